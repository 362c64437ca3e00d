//! The account that the throw-away host lets in.
//!
//! For root on Linux it is `deploy`, an account that exists on that host alone: its sshd runs in a
//! mount namespace, in which `/etc/passwd` has one more line. The machine itself is not changed. So
//! the name of the user who logs in differs from the login, as with real hosts. Other users cannot
//! start an sshd for another account, so for them it is their own account.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{DirBuilderExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use super::{Error, files};

/// The account's name.
const NAME: &str = "deploy";

/// Its home on that host: an empty folder of the machine, over which the namespace mounts another.
const HOME: &str = "/run/daypass-dev";

/// The first user id to try, then downwards: below those that systemd allots, above those of
/// people.
const LAST_ID: u32 = 59_999;

/// Enters the namespace and becomes the program: `unshare ... sh -c ENTER PASSWD HOME PROGRAM...`.
const ENTER: &str =
    r#"mount --bind "$0" /etc/passwd && mount --bind "$1" "$2" && shift 2 && exec "$@""#;

/// True if this process can start a host with an account of its own. Tried once.
static HAS_OWN: OnceLock<bool> = OnceLock::new();

/// The account that the host lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// The current user.
    Current(String),
    /// An account that only the host has.
    Own,
}

impl Account {
    /// The account that this process can offer.
    ///
    /// # Errors
    /// Returns an error if `id` does not name the current user.
    pub(super) fn find() -> Result<Self, Error> {
        if *HAS_OWN.get_or_init(can_have_own) {
            return Ok(Self::Own);
        }
        Ok(Self::Current(id(&["-un"])?))
    }

    /// The login name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Current(name) => name,
            Self::Own => NAME,
        }
    }

    /// The logins that the host lets in. A pass names those of its holder.
    pub(super) fn logins(&self) -> Vec<&str> {
        match self {
            Self::Current(name) => vec![name],
            Self::Own => vec![NAME, "root"],
        }
    }

    /// The command words that start a program in a namespace that knows the account. Its files go
    /// to `dir`.
    ///
    /// # Errors
    /// Returns an error if a file cannot be made.
    pub(super) fn words(&self, dir: &Path) -> Result<Vec<OsString>, Error> {
        match self {
            Self::Current(_) => Ok(Vec::new()),
            Self::Own => {
                let (passwd, home) = make(dir)?;
                let enter = [
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    "/bin/sh",
                    "-c",
                ];
                let words = enter.iter().map(OsString::from);
                let rest = [ENTER.into(), passwd.into(), home.into(), HOME.into()];
                Ok(words.chain(rest).collect())
            }
        }
    }
}

/// True for root, on a kernel that gives mount namespaces.
fn can_have_own() -> bool {
    let root = id(&["-u"]).is_ok_and(|id| id == "0");
    let script = r#"mount --bind /etc/passwd /etc/passwd"#;
    let tried = || {
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "/bin/sh", "-c"])
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    };
    root && tried().is_ok_and(|status| status.success())
}

/// Makes the host's `/etc/passwd` and the account's home.
fn make(dir: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let (passwd, home) = (dir.join("passwd"), dir.join("home"));
    let (text, id) = accounts(&files::read(Path::new("/etc/passwd"))?);
    files::write(&passwd, &text)?;
    set_mode(&passwd, 0o644)?;
    files::make_folder(&home)?;
    chown(&home, Some(id), Some(id)).map_err(files::failed("give away", &home))?;
    make_public_folder(Path::new(HOME))?;
    Ok((passwd, home))
}

/// The machine's accounts and the new one, and its user id. `*` matches no password, and does not
/// lock the account either.
fn accounts(machine: &str) -> (String, u32) {
    let ours = format!("{NAME}:");
    let others: Vec<&str> = machine
        .lines()
        .filter(|line| !line.starts_with(&ours))
        .collect();
    let taken = |id: u32| {
        let id = id.to_string();
        others
            .iter()
            .any(|line| line.split(':').nth(2) == Some(&*id))
    };
    let id = (1..=LAST_ID)
        .rev()
        .find(|id| !taken(*id))
        .unwrap_or(LAST_ID);
    let mut text = others.join("\n");
    text.push_str(&format!(
        "\n{NAME}:*:{id}:{id}:an account of a dev world:{HOME}:/bin/sh\n"
    ));
    (text, id)
}

/// Makes a folder of the machine that every user may enter, if it is missing.
pub(super) fn make_public_folder(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path);
    made.map_err(files::failed("make", path))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, mode).map_err(files::failed("open", path))
}

/// The output of `id` with these arguments; empty if there is no such user.
pub(super) fn id(arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new("id").args(arguments).output();
    let output = output.map_err(|error| Error::System("ask `id` who we are", error))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_added_once_and_has_an_id_of_its_own() {
        let machine =
            "root:x:0:0:root:/root:/bin/bash\ndeploy:x:7:7::/:/bin/sh\nx:x:59999:1::/:/bin/sh\n";
        let (text, id) = accounts(machine);
        assert_eq!(id, 59_998);
        assert_eq!(
            text,
            "root:x:0:0:root:/root:/bin/bash\nx:x:59999:1::/:/bin/sh\n\
             deploy:*:59998:59998:an account of a dev world:/run/daypass-dev:/bin/sh\n"
        );
    }
}
