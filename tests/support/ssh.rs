//! A throw-away sshd and the real `ssh` against it, bounded in time.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use daypass::dev::sshd::{Sshd, put_krl};
use ssh_key::Certificate;
use tempfile::TempDir;
use tokio::process::Command;

/// How long one login may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A private key and its certificate, in files as `ssh -i` wants them.
pub struct Pass {
    folder: TempDir,
    certificate: Certificate,
}

impl Pass {
    /// The folder holds the private key `pass`.
    pub fn new(folder: TempDir, certificate: Certificate) -> Self {
        let text = certificate.to_openssh().unwrap();
        fs::write(folder.path().join("pass-cert.pub"), text).unwrap();
        Self {
            folder,
            certificate,
        }
    }

    pub fn serial(&self) -> u64 {
        self.certificate.serial()
    }

    /// This certificate beside another pass's private key.
    pub fn with_key_of(&self, other: &Self) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::copy(other.key(), folder.path().join("pass")).unwrap();
        Self::new(folder, self.certificate.clone())
    }

    /// The same with one bit of the certificate changed, so many bytes before its end.
    pub fn with_changed_bit(&self, from_the_end: usize) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::copy(self.key(), folder.path().join("pass")).unwrap();
        let mut bytes = self.certificate.to_bytes().unwrap();
        let at = bytes.len() - from_the_end;
        *bytes.get_mut(at).unwrap() ^= 1;
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        let kind = self.certificate.algorithm().to_certificate_type();
        let text = format!("{kind} {encoded}\n");
        fs::write(folder.path().join("pass-cert.pub"), text).unwrap();
        Self {
            folder,
            certificate: self.certificate.clone(),
        }
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("pass")
    }
}

/// How a login ended.
#[derive(Debug)]
pub struct Login {
    pub status: Option<i32>,
    pub stdout: String,
    /// What `ssh` said; shown where a test fails.
    pub stderr: String,
}

/// A host with a real sshd that trusts one CA, for one login.
pub struct Host {
    sshd: Sshd,
    folder: TempDir,
}

impl Host {
    /// Starts it. A missing sshd is a failure, not a skip.
    pub async fn start(ca_keys: &str) -> Self {
        let program = Sshd::find().expect("sshd is missing: apt-get install openssh-server");
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let sshd = Sshd::start(&program, folder.path(), ca_keys, None).await;
        let sshd = sshd.unwrap();
        let known = format!("[127.0.0.1]:{} {}\n", sshd.port(), sshd.host_key());
        fs::write(folder.path().join("known_hosts"), known).unwrap();
        Self { sshd, folder }
    }

    /// Gives the host another revocation list.
    pub fn revoke(&self, krl: &[u8]) {
        put_krl(self.sshd.krl(), krl).unwrap();
    }

    /// Logs in and runs `command` (a shell where it is empty).
    pub async fn login(&self, pass: &Pass, command: &[&str]) -> Login {
        self.login_with(pass, &[], command).await
    }

    /// The same with further options of `ssh`.
    pub async fn login_with(&self, pass: &Pass, options: &[&str], command: &[&str]) -> Login {
        let mut ssh = Command::new("ssh");
        ssh.args(self.options(pass))
            .args(["-p", &self.sshd.port().to_string(), "-l", self.sshd.user()])
            .args(options)
            .arg("127.0.0.1")
            .args(command);
        finished(ssh).await
    }

    /// Logs in with a key that an agent holds.
    pub async fn login_by_agent(&self, pass: &Pass, agent: &Path, command: &[&str]) -> Login {
        let mut ssh = Command::new("ssh");
        let by_agent = |word: String| match word.as_str() {
            "IdentityAgent=none" => format!("IdentityAgent={}", agent.display()),
            _ => word,
        };
        ssh.args(self.options(pass).into_iter().map(by_agent))
            .args(["-p", &self.sshd.port().to_string(), "-l", self.sshd.user()])
            .arg("127.0.0.1")
            .args(command);
        finished(ssh).await
    }

    /// Runs an sftp batch.
    pub async fn sftp(&self, pass: &Pass, batch: &str) -> Login {
        let file = pass.folder.path().join("batch");
        fs::write(&file, batch).unwrap();
        let mut sftp = Command::new("sftp");
        sftp.args(self.options(pass))
            .arg("-b")
            .arg(file)
            .args(["-P", &self.sshd.port().to_string()])
            .arg(format!("{}@127.0.0.1", self.sshd.user()));
        finished(sftp).await
    }

    /// Options of `ssh` and `sftp`: this host, this pass and nothing of the user's own.
    fn options(&self, pass: &Pass) -> Vec<String> {
        let known_hosts = self.folder.path().join("known_hosts");
        let options = [
            "BatchMode=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "ConnectTimeout=60".to_owned(),
            "IdentityAgent=none".to_owned(),
            "GlobalKnownHostsFile=none".to_owned(),
            format!("UserKnownHostsFile={}", known_hosts.display()),
            format!("CertificateFile={}-cert.pub", pass.key().display()),
        ];
        let mut words = vec!["-F".to_owned(), "none".to_owned()];
        words.extend(["-i".to_owned(), pass.key().display().to_string()]);
        words.extend(options.into_iter().flat_map(|it| ["-o".to_owned(), it]));
        words
    }

    /// Demands that a login fails for want of a key, and answers with what sshd logged of it.
    pub async fn refuses(&self, pass: &Pass) -> String {
        let before = self.log().len();
        let login = self.login(pass, &["echo", "in"]).await;
        assert_eq!(login.status, Some(255), "{login:?}");
        assert!(login.stderr.contains("Permission denied"), "{login:?}");
        assert_eq!(login.stdout, "");
        self.log().split_off(before)
    }

    /// What sshd has logged.
    pub fn log(&self) -> String {
        self.sshd.log()
    }
}

/// Runs it to its end, bounded in time.
async fn finished(mut command: Command) -> Login {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("ssh took too long")
        .expect("ssh is missing: apt-get install openssh-client");
    Login {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The login name the host takes.
pub fn login() -> String {
    Sshd::login().unwrap()
}
