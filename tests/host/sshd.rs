//! A real sshd with the files that `setup` and `sync` wrote.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    ca::{Ca, Pass},
    fake_ca::{FakeCa, krl_signed},
    host::Host,
    support::{accounts, files::chmod, ports::free_port},
};

/// The account that the host alone has.
const LOGIN: &str = "deploy";

/// How long sshd may take to answer, and ssh to log in.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running sshd. Dropping it ends the process.
pub(crate) struct Sshd {
    child: Child,
    port: u16,
    known_hosts: TempDir,
}

impl Sshd {
    /// Starts the system's sshd with the host's configuration.
    pub(crate) fn start(host: &Host) -> Self {
        let program = daypass::dev::sshd::Sshd::find();
        let program = program.expect("sshd is missing: apt-get install openssh-server");
        for _ in 0..5 {
            let port = free_port();
            let child = Command::new("/usr/bin/env")
                .args(enter(host))
                .arg(&program)
                .args(["-D", "-E"])
                .arg(host.path("sshd.log"))
                .args(["-p", &port.to_string(), "-f"])
                .arg(host.path("sshd_config"))
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            let known_hosts = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let key = String::from_utf8(host.read("host_key.pub")).unwrap();
            let line = format!("[127.0.0.1]:{port} {key}");
            fs::write(known_hosts.path().join("known_hosts"), line).unwrap();
            let mut sshd = Self {
                child,
                port,
                known_hosts,
            };
            if sshd.listens(host) {
                return sshd;
            }
        }
        panic!("sshd does not start: {}", log(host));
    }

    /// Waits until it says that it listens; false if it ended, for another program may have taken
    /// its port. A test that only connects might reach that other program.
    fn listens(&mut self, host: &Host) -> bool {
        let line = format!("Server listening on 127.0.0.1 port {}.", self.port);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            if log(host).contains(&line) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether this pass logs in as [`login`].
    pub(crate) fn takes(&self, pass: &Pass) -> bool {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let key = folder.path().join("pass");
        fs::write(&key, &pass.key).unwrap();
        chmod(&key, 0o600);
        let certificate = pass.certificate.to_openssh().unwrap();
        fs::write(folder.path().join("pass-cert.pub"), certificate).unwrap();
        let known_hosts = self.known_hosts.path().join("known_hosts");
        let output = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
            ])
            .args(["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=60"])
            .args([
                "-o",
                "IdentityAgent=none",
                "-o",
                "GlobalKnownHostsFile=none",
            ])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
            .arg("-o")
            .arg(format!("CertificateFile={}-cert.pub", key.display()))
            .args(["-p", &self.port.to_string(), "-l", &login(), "-i"])
            .arg(&key)
            .args(["127.0.0.1", "echo in"])
            .stdin(Stdio::null())
            .output()
            .expect("ssh is missing: apt-get install openssh-client");
        let said = String::from_utf8_lossy(&output.stderr);
        let is_in = output.stdout == b"in\n";
        let is_refused = ["Permission denied", "Too many authentication failures"];
        let is_refused = is_refused.iter().any(|it| said.contains(it));
        assert!(is_in || is_refused, "{output:?}");
        is_in
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free once this has returned.
pub(crate) fn log(host: &Host) -> String {
    fs::read_to_string(host.path("sshd.log")).unwrap_or_default()
}

/// The login name everything here is about: an account that the host alone has, if root runs the
/// tests, so that no test works only because the user's name is the login.
pub(crate) fn login() -> String {
    match user().as_str() {
        "root" => LOGIN.to_owned(),
        other => other.to_owned(),
    }
}

/// The words before a program that is to run where that account is known.
pub(crate) fn enter(host: &Host) -> Vec<String> {
    match user().as_str() {
        "root" => accounts::enter(&accounts::write(&host.path(""), &[LOGIN])),
        _ => Vec::new(),
    }
}

/// An account of this machine: ours.
pub(crate) fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// sshd of another than root can run commands only as that one.
pub(crate) fn principals_user() -> String {
    match user().as_str() {
        "root" => "nobody".to_owned(),
        other => other.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_group_web_takes_passes_for_web_and_no_other() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let as_user = principals_user();
    host.set_up(&server, &["--group", "web", "--principals-user", &as_user])
        .await;
    let sshd = Sshd::start(&host);
    let name = |group: &str| format!("{}{group}", login());
    for (case, principals, expected) in [
        ("the host's group", vec![name("@web")], true),
        ("one of two groups", vec![name("@db"), name("@web")], true),
        ("another group", vec![name("@db")], false),
        ("no group", vec![name("")], false),
        (
            "another login of the group",
            vec!["other@web".to_owned()],
            false,
        ),
        (
            "a group that only begins so",
            vec![name("@web2"), name("@we")],
            false,
        ),
    ] {
        let principals: Vec<&str> = principals.iter().map(String::as_str).collect();
        let pass = ca.pass(3, &principals);
        assert_eq!(sshd.takes(&pass), expected, "{case}: {}", log(&host));
    }
    assert!(
        !sshd.takes(&Ca::new().pass(3, &[&name("@web")])),
        "a stranger's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_no_group_takes_login_names() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    let sshd = Sshd::start(&host);
    assert!(sshd.takes(&ca.pass(3, &[&login()])), "{}", log(&host));
    assert!(!sshd.takes(&ca.pass(3, &[&format!("{}@web", login())])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_sshd_refuses_what_a_sync_revoked_and_no_other_pass() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    let sshd = Sshd::start(&host);
    let (bob, alice) = (ca.pass(7, &[&login()]), ca.pass(8, &[&login()]));
    assert!(sshd.takes(&bob) && sshd.takes(&alice), "{}", log(&host));
    server.krl(krl_signed(&ca, 5, &[7]));
    host.json(&["sync"]).await;
    assert!(!sshd.takes(&bob), "{}", log(&host));
    assert!(sshd.takes(&alice), "{}", log(&host));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_sshd_takes_a_new_ca_key_after_a_sync() {
    let (ca, next) = (Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    let sshd = Sshd::start(&host);
    let pass = next.pass(7, &[&login()]);
    assert!(!sshd.takes(&pass));
    server.keys(super::fake_ca::keys_signed(&[&ca, &next], &ca));
    host.json(&["sync"]).await;
    assert!(sshd.takes(&pass), "{}", log(&host));
}
