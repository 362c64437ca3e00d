//! A registered key that signs: in this process, by the ssh-agent, or by `ssh-keygen -Y sign`,
//! which asks for passphrases, PINs and touches.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use ssh_key::PublicKey;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    client::{
        Error,
        key::{Key, expect_accepted},
    },
    ssh::sshsig::Namespace,
};

/// Signer of a registered key.
#[derive(Debug)]
pub(crate) enum Signer {
    /// A key file that this process can use, or a key in the agent.
    Key(Key),
    /// A file that only `ssh-keygen` can use: encrypted, RSA, or a security key's handle.
    Keygen {
        /// The file.
        path: PathBuf,
        /// Its public half.
        public: Box<PublicKey>,
        /// Whether the user can be asked for a passphrase or PIN.
        may_ask: bool,
    },
}

impl Signer {
    /// Opens the key at `path`: a private key file, or a `.pub` file whose private half is in the
    /// agent or beside it.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if it is not a key.
    pub(crate) async fn open(path: &Path, may_ask: bool) -> Result<Self, Error> {
        match Key::choose(path).await {
            Ok((key, _)) => Ok(Self::Key(key)),
            Err(error) => match public_half(path) {
                Some(public) => {
                    expect_accepted(&public, path)?;
                    Ok(Self::Keygen {
                        path: path.to_owned(),
                        public: Box::new(public),
                        may_ask,
                    })
                }
                None => Err(error),
            },
        }
    }

    /// The public half, without its comment.
    pub(crate) fn public(&self) -> PublicKey {
        match self {
            Self::Key(key) => key.public(),
            Self::Keygen { public, .. } => PublicKey::new(public.key_data().clone(), ""),
        }
    }

    /// Signs `message` for `namespace`; returns an armored SSHSIG.
    ///
    /// # Errors
    /// Returns the error if the agent, `ssh-keygen` or the hardware behind them does not sign.
    pub(crate) async fn sign(&self, namespace: Namespace, message: &[u8]) -> Result<String, Error> {
        match self {
            Self::Key(key) => key.sign_for(namespace, message).await,
            Self::Keygen { path, may_ask, .. } => {
                let output = keygen(path, namespace, message, *may_ask).await;
                signature(
                    path,
                    &output.map_err(|error| {
                        Error::other(format!("failed to run ssh-keygen: {error}"))
                    })?,
                )
            }
        }
    }
}

async fn keygen(
    path: &Path,
    namespace: Namespace,
    message: &[u8],
    may_ask: bool,
) -> std::io::Result<Output> {
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-Y", "sign", "-n", namespace.as_str(), "-f"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(if may_ask {
            Stdio::inherit()
        } else {
            Stdio::piped()
        })
        .kill_on_drop(true);
    if !may_ask {
        // ssh-keygen would ask on the terminal even with a piped stdin; this makes it fail instead.
        command
            .env("SSH_ASKPASS", "false")
            .env("SSH_ASKPASS_REQUIRE", "force");
    }
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(message).await?;
    }
    child.wait_with_output().await
}

fn signature(path: &Path, output: &Output) -> Result<String, Error> {
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && text.contains("SSH SIGNATURE") {
        return Ok(text.into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("it said nothing").trim();
    Err(Error::other(format!(
        "ssh-keygen did not sign with {}: {said}",
        path.display()
    )))
}

/// The public half of the key at `path`, or of the `.pub` file beside it.
fn public_half(path: &Path) -> Option<PublicKey> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let text = read(path)?;
    let public = |text: &str| PublicKey::from_openssh(text.trim()).ok();
    let own = public(&text).or_else(|| {
        let private = ssh_key::PrivateKey::from_openssh(&text).ok()?;
        Some(private.public_key().clone())
    });
    own.or_else(|| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".pub");
        public(&read(Path::new(&beside))?)
    })
}
