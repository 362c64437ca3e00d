//! A laptop: a user of another name than any login, with a user id and a home of their own, in a
//! mount namespace. Needs root. What it runs sees the machine's files, its own `/etc/passwd`, and
//! under `/mnt` its home and `daypass`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use daypass::dev::World;
use tokio::process::Command;

use super::{accounts, command::Done};

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user's name.
pub const NAME: &str = "ada";

/// Where the home is, as the user sees it.
pub const HOME: &str = "/mnt/ada";

/// `sh -c ENTER sh PASSWD HOME DAYPASS ID PROGRAM...`
const ENTER: &str = r#"set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/ada /mnt/bin
touch /mnt/bin/daypass
printf '127.0.0.1 localhost web-1\n::1 localhost\n' >/mnt/hosts
mount --bind /mnt/hosts /etc/hosts
mount --bind "$1" /etc/passwd
mount --bind "$2" /mnt/ada
mount --bind "$3" /mnt/bin/daypass
id=$4
shift 4
cd /mnt/ada
exec setpriv --reuid "$id" --regid "$id" --clear-groups "$@""#;

/// The laptop.
pub struct Laptop {
    folder: tempfile::TempDir,
    server: String,
}

impl Laptop {
    /// No user is signed in. The user's own ssh configuration says where `web-1` is, and whose key
    /// it has.
    pub fn new(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        accounts::write_with_homes(folder.path(), &[(NAME, Path::new(HOME))]);
        let laptop = Self {
            folder,
            server: world.server().0,
        };
        let home = laptop.home();
        fs::create_dir_all(home.join(".ssh")).unwrap();
        for folder in [home.clone(), home.join(".ssh")] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
            own(&folder);
        }
        laptop.put("tls.pem", &world.server().1);
        laptop.put(
            "password",
            &fs::read_to_string(world.files().password()).unwrap(),
        );
        let known = fs::read_to_string(world.files().known_hosts()).unwrap();
        laptop.put(".ssh/known_hosts", &known);
        let port = world.sshd().unwrap().port();
        laptop.put(
            ".ssh/config",
            &format!("Host web-*\n    HostName 127.0.0.1\n    HostKeyAlias web-1\n    Port {port}\n    BatchMode yes\n"),
        );
        laptop
    }

    /// The home, as root sees it.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A file of the user's.
    pub fn put(&self, name: &str, text: &str) {
        let path = self.home().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        own(&path);
    }

    /// Runs a program as the user, without a terminal.
    pub async fn run(&self, words: &[&str]) -> Done {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private"])
            .args(["/bin/sh", "-c", ENTER, "sh"])
            .arg(self.folder.path().join("passwd"))
            .arg(self.home())
            .args([env!("CARGO_BIN_EXE_daypass"), &accounts::id(0).to_string()])
            .args(words)
            .env_clear()
            .env(
                "PATH",
                "/mnt/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", HOME)
            .env("USER", NAME)
            .env("DAYPASS_DEV", HOME)
            .env("DAYPASS_SERVER", &self.server)
            .env("DAYPASS_CA_FILE", format!("{HOME}/tls.pem"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output
            .expect("it took too long")
            .expect("unshare is missing: apt-get install util-linux");
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A line for the shell.
    pub async fn sh(&self, line: &str) -> Done {
        self.run(&["sh", "-c", line]).await
    }

    /// What it prints, trimmed; it must succeed.
    pub async fn says(&self, line: &str) -> String {
        let done = self.sh(line).await;
        assert_eq!(done.code, 0, "{line}: {done:?}");
        done.stdout.trim_end().to_owned()
    }
}

fn own(path: &Path) {
    let id = Some(accounts::id(0));
    chown(path, id, id).expect(
        "this test has a user of its own, which only root can give files: run it as root, as in `sudo tests/run --test laptop`",
    );
}
