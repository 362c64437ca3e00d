//! The host keys of this machine, and signatures by them. `ssh-keygen` reads the private keys, so
//! none is ever in our memory: also those of an agent and of types that we cannot sign with.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use ssh_key::{Algorithm, EcdsaCurve, PublicKey};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Error, files::read, settings::JoinedKey, sshd::Effective};
use crate::ssh::{
    host_proof::MAX_KEYS,
    key::{self, fingerprint},
    sshsig::{Namespace, Signature},
};

/// Time for `ssh-keygen` to sign.
const PATIENCE: Duration = Duration::from_secs(20);

/// Our name for the program.
const PROGRAM: &str = "ssh-keygen";

/// A host key of this machine.
#[derive(Clone, Debug)]
pub(crate) struct HostKey {
    /// The file that sshd's configuration names.
    pub file: PathBuf,
    /// The public key, without comment.
    pub public: PublicKey,
    /// The socket of the agent that has the private key, if one has it.
    agent: Option<String>,
}

impl HostKey {
    /// The host keys that sshd uses: the first of each type, at most four. Types that no host
    /// certificate is for are left out.
    ///
    /// # Errors
    /// Returns [`Error::Sshd`] if there is none, and the error if `ssh-keygen` is missing.
    pub(crate) async fn all(effective: &Effective) -> Result<Vec<Self>, Error> {
        let mut keys: Vec<Self> = Vec::new();
        for file in effective.values("hostkey") {
            // sshd goes on without one that it cannot read, such as a type that was never made.
            let Some(key) = Self::at(Path::new(file), Some(effective)).await? else {
                continue;
            };
            let is_other = |known: &Self| known.public.algorithm() != key.public.algorithm();
            if keys.iter().all(is_other) {
                keys.push(key);
            }
        }
        keys.truncate(MAX_KEYS);
        if keys.is_empty() {
            return Err(Error::Sshd(
                "sshd has no host key that can be certified (ed25519, ecdsa, or rsa with 2048 bits or more); make them with: \
                 ssh-keygen -A"
                    .to_owned(),
            ));
        }
        Ok(keys)
    }

    /// The host key of this file; none if it is missing or unreadable, or of a type that no host
    /// certificate is for.
    ///
    /// # Errors
    /// Returns the error if `ssh-keygen` is missing.
    pub(crate) async fn at(
        file: &Path,
        effective: Option<&Effective>,
    ) -> Result<Option<Self>, Error> {
        let agent = effective.map(|effective| effective.value("hostkeyagent"));
        let public = public_key(file).await?;
        Ok(public.map(|public| Self {
            file: file.to_owned(),
            public,
            agent: agent.filter(|it| *it != "none").map(str::to_owned),
        }))
    }

    /// The same in the settings.
    pub(crate) fn joined(&self) -> JoinedKey {
        JoinedKey {
            file: self.file.clone(),
            fingerprint: fingerprint(&self.public),
            kind: kind(&self.public).to_owned(),
        }
    }

    /// Signs `message` as a host: an SSHSIG without armor. RSA keys sign with SHA-512.
    ///
    /// # Errors
    /// Returns [`Error::Sshd`] with `ssh-keygen`'s own message.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let namespace = Namespace::Host.as_str();
        let words = ["-Y", "sign", "-n", namespace, "-f"].map(OsStr::new);
        let socket = match self.agent.as_deref() {
            Some("SSH_AUTH_SOCK") | None => None,
            Some(socket) => Some(socket),
        };
        let output = run(
            &[&words[..], &[self.file.as_os_str()]].concat(),
            socket,
            message,
        )
        .await?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            let file = self.file.display();
            return Err(Error::Sshd(format!(
                "ssh-keygen does not sign with the host key {file}: {said} (OpenSSH 8.1 or newer signs)"
            )));
        }
        let signature = Signature::from_armored(&output.stdout)
            .and_then(|signature| signature.to_blob())
            .map_err(|error| Error::Sshd(format!("ssh-keygen's signature is invalid: {error}")))?;
        Ok(signature)
    }
}

/// The name of a key's type in the name of its certificate's file.
fn kind(key: &PublicKey) -> &'static str {
    match key.algorithm() {
        Algorithm::Rsa { .. } => "rsa",
        Algorithm::Ecdsa { curve } => match curve {
            EcdsaCurve::NistP256 => "ecdsa",
            EcdsaCurve::NistP384 => "ecdsa-384",
            EcdsaCurve::NistP521 => "ecdsa-521",
        },
        // Of the types that `parse_host` reads, only this one is left.
        _ => "ed25519",
    }
}

/// The public key of a host key's file, which is private or, with an agent, public. None if the
/// file is missing or unreadable, or the key is of a type that no host certificate is for.
async fn public_key(file: &Path) -> Result<Option<PublicKey>, Error> {
    let Ok(Some(text)) = read(file) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    if let Ok(key) = key::parse_host(&text) {
        return Ok(Some(key));
    }
    let words = [OsStr::new("-y"), OsStr::new("-f"), file.as_os_str()];
    let output = run(&words, None, b"").await?;
    Ok(key::parse_host(&String::from_utf8_lossy(&output.stdout)).ok())
}

async fn run(arguments: &[&OsStr], agent: Option<&str>, input: &[u8]) -> Result<Output, Error> {
    let failed = Error::file(Path::new(PROGRAM));
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        // sshd takes no key with a passphrase either.
        .env("SSH_ASKPASS_REQUIRE", "never")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(agent) = agent {
        command.env("SSH_AUTH_SOCK", agent);
    }
    let done = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that reads nothing has failed, and says why.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    match tokio::time::timeout(PATIENCE, done).await {
        Ok(output) => output.map_err(failed),
        Err(_) => Err(Error::Sshd(format!(
            "ssh-keygen did not end within {} s",
            PATIENCE.as_secs()
        ))),
    }
}
