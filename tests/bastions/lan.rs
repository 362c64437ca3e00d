//! A client, a bastion and a host on one network: namespaces joined by a bridge in a fourth one, so
//! that each reaches each. Needs root and iproute2. All of it goes with the value, also where a
//! test fails.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::support;
use daypass::dev::sshd::Sshd;
use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};

/// How long an sshd may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every sshd here says, apart from its files, its ports and who may do what.
const EVERY: &str = "PidFile none\nLogLevel VERBOSE\nAuthorizedKeysFile none\nPasswordAuthentication no\n\
    KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\nPrintMotd no\n\
    UseDNS no\nSubsystem sftp internal-sftp\nAuthorizedPrincipalsCommandUser nobody\n";

/// Those of several tests at once have names of their own.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The network.
pub(super) struct Lan {
    prefix: String,
    names: Vec<String>,
}

/// One sshd in one namespace.
pub(super) struct Server {
    child: Child,
    folder: PathBuf,
    host_key: String,
}

impl Lan {
    /// A member has the addresses 192.0.2.N and 2001:db8::N.
    pub(super) fn new(members: &[(&str, u8)]) -> Self {
        support::root::expect_root("bastions", "network namespaces");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut lan = Self {
            prefix: format!("dp{}-{number}", std::process::id()),
            names: Vec::new(),
        };
        let switch = lan.add("switch");
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        for (name, number) in members {
            lan.join(&switch, name, *number);
        }
        lan
    }

    fn add(&mut self, name: &str) -> String {
        let name = self.namespace(name);
        ip(&["netns", "add", &name]);
        self.names.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        name
    }

    fn join(&mut self, switch: &str, name: &str, number: u8) {
        let (port, member) = (format!("to-{name}"), self.add(name));
        let (four, six) = (
            format!("192.0.2.{number}/24"),
            format!("2001:db8::{number}/64"),
        );
        ip(&[
            "-n", switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
            &member,
        ]);
        ip(&["-n", switch, "link", "set", &port, "master", "br0", "up"]);
        ip(&["-n", &member, "address", "add", &four, "dev", "eth0"]);
        ip(&[
            "-n", &member, "address", "add", &six, "dev", "eth0", "nodad",
        ]);
        ip(&["-n", &member, "link", "set", "eth0", "up"]);
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// The words before a command that is to run at a member.
    pub(super) fn at(&self, name: &str) -> [String; 3] {
        ["netns".into(), "exec".into(), self.namespace(name)]
    }

    /// An sshd at a member that trusts this CA.
    pub(super) fn sshd(
        &self,
        name: &str,
        port: u16,
        ca: &str,
        folder: &Path,
        more: &str,
    ) -> Server {
        fs::create_dir_all(folder).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let file = |name: &str| folder.join(name).display().to_string();
        key.write_openssh_file(Path::new(&file("host_key")), LineEnding::LF)
            .unwrap();
        fs::write(file("ca.pub"), ca).unwrap();
        let config = format!(
            "Port {port}\nHostKey {}\nTrustedUserCAKeys {}\n{EVERY}{more}",
            file("host_key"),
            file("ca.pub")
        );
        fs::write(file("sshd_config"), config).unwrap();
        let program = Sshd::find().expect("sshd is missing: apt-get install openssh-server");
        let accounts = support::accounts::write(folder, &["deploy", "jump"]);
        // `ip netns exec` gives the program a mount namespace, too.
        let enter = r#"mount --bind "$0" /etc/passwd && exec "$@""#;
        let child = Command::new("ip")
            .args(self.at(name))
            .args(["sh", "-c", enter])
            .arg(accounts)
            .arg(program)
            .args(["-D", "-E", &file("log"), "-f", &file("sshd_config")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server {
            child,
            folder: folder.to_owned(),
            host_key: key.public_key().to_openssh().unwrap(),
        };
        server.expect_listening();
        server
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for name in &self.names {
            // What cannot be removed is gone already.
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

impl Server {
    /// Its host key in OpenSSH form.
    pub(super) fn host_key(&self) -> &str {
        &self.host_key
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn expect_listening(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches("Server listening on").count() < 2 {
            let ended = self.child.try_wait().unwrap();
            let late = Instant::now() > deadline;
            assert!(ended.is_none() && !late, "no sshd: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).output();
    let Output { status, stderr, .. } = done.expect("ip is missing: apt-get install iproute2");
    let said = String::from_utf8_lossy(&stderr);
    assert!(
        status.success(),
        "ip {words:?}: {said} (it needs root and a kernel with network namespaces, veth and bridges)"
    );
}
