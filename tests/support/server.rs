//! A daemon in a process of its own, as an operator runs it: `daypass serve` over files in a folder.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use daypass::{config::Config, dev::issuer::Issuer};
use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};

use super::api::Api;

/// The files of one daemon, and the issuer it trusts.
pub struct ServerFiles {
    folder: PathBuf,
    port: u16,
    tls_ca: String,
    /// The loopback issuer.
    pub issuer: Issuer,
}

/// Its process; killed by id when dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// How it ended; it must do so within ten seconds.
    pub async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl ServerFiles {
    /// Writes configuration, policy, keys and TLS certificate into `folder`.
    pub async fn prepare(folder: &Path, policy: &str) -> Self {
        let issuer = Issuer::start().await.unwrap();
        let port = free_port();
        let tls_ca = write_tls(folder);
        write_key(&folder.join("ca_key"));
        write_key(&folder.join("ledger_key"));
        fs::write(folder.join("policy.toml"), policy).unwrap();
        fs::write(
            folder.join("daypass.toml"),
            configuration(port, issuer.url()),
        )
        .unwrap();
        let config = Config::load(&folder.join("daypass.toml")).unwrap();
        daypass::daemon::prepare(&config).await.unwrap();
        Self {
            folder: folder.to_owned(),
            port,
            tls_ca,
            issuer,
        }
    }

    /// Starts the daemon behind `prefix` (strace and its options, or nothing).
    pub fn spawn(&self, prefix: &[&str]) -> Process {
        self.spawn_with(prefix, &[])
    }

    /// The same with more options.
    pub fn spawn_with(&self, prefix: &[&str], options: &[&str]) -> Process {
        let daypass = env!("CARGO_BIN_EXE_daypass");
        let words: Vec<&str> = prefix
            .iter()
            .copied()
            .chain([daypass, "serve", "--config"])
            .collect();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("daemon.log"))
            .unwrap();
        let child = Command::new(words[0])
            .args(&words[1..])
            .arg(self.folder.join("daypass.toml"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error} (apt-get install strace)", words[0]));
        Process(child)
    }

    /// A door to it once it is ready; none where it ended first.
    pub async fn door(&self, process: &mut Process) -> Option<Api> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while process.0.try_wait().unwrap().is_none() {
            if let Some(door) = Api::try_open(&self.url(), self.tls_ca.as_bytes()).await {
                return Some(door);
            }
            assert!(
                Instant::now() < deadline,
                "daemon is not ready after 30 s:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The root that its TLS certificate is trusted by (PEM).
    pub fn tls_ca(&self) -> &str {
        &self.tls_ca
    }

    /// What it logged, of all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default()
    }
}

fn configuration(port: u16, issuer: &str) -> String {
    format!(
        r#"
name = "localhost"
listen = "127.0.0.1:{port}"
state = "state"
policy = "policy.toml"
[tls]
certificate = "tls.pem"
key = "tls.key"
[[ca.key]]
file = "ca_key"
state = "active"
[ledger]
key = "ledger_key"
[[issuer]]
name = "dev"
url = "{issuer}"
client_id = "daypass"
algorithms = ["ES256", "RS256", "EdDSA"]
binding = "nonce"
[limits]
requests_per_address = {{ per_second = 1000000, burst = 1000000 }}
requests_per_identity = {{ per_second = 1000000, burst = 1000000 }}
"#
    )
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn write_key(path: &Path) {
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    write_secret(path, &key.to_openssh(LineEnding::LF).unwrap());
}

fn write_tls(folder: &Path) -> String {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.pem"), certified.cert.pem()).unwrap();
    write_secret(
        &folder.join("tls.key"),
        &certified.signing_key.serialize_pem(),
    );
    certified.cert.pem()
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
