//! The SSH key a login is for: a fresh one of ours, a file of the user's, or one that lives in the ssh-agent.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, rand_core::OsRng};

use super::{Error, agent, state::State};
use crate::ssh::{
    self,
    sshsig::{self, Namespace, Signature},
};

/// The name of our own key in the state folder.
const OWN: &str = "key";

/// Where a session's key is; the session remembers this, never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// `key` in the state folder, made for this login.
    Own,
    /// A private key file of the user's.
    File(PathBuf),
    /// The private half is in the ssh-agent (or in hardware behind it).
    Agent {
        /// In OpenSSH form.
        public_key: String,
    },
}

/// A key that can sign. Its `Debug` shows no private half (ssh-key sees to that).
#[derive(Debug)]
pub enum Key {
    /// We hold the private half.
    Held(Box<PrivateKey>),
    /// The agent does.
    Agent(Box<PublicKey>),
}

impl Key {
    /// A fresh Ed25519 key. It is nowhere but in memory yet.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn fresh() -> Result<Self, Error> {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)
            .map_err(|error| Error::other(format!("failed to make a key: {error}")))?;
        Ok(Self::Held(Box::new(key)))
    }

    /// The key of a session.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn open(place: &KeyPlace, state: &State) -> Result<Self, Error> {
        match place {
            KeyPlace::Own => match state.read(OWN)? {
                Some(text) => Self::read(&text, &state.path(OWN)),
                None => Err(Error::sign_in("the session's key is gone")),
            },
            KeyPlace::File(path) => Self::read(&read(path)?, path),
            KeyPlace::Agent { public_key } => Ok(Self::Agent(Box::new(public(public_key)?))),
        }
    }

    /// The key in a file's text; `path` names the file in errors.
    ///
    /// # Errors
    /// Where it is no key that we can use.
    pub(super) fn read(text: &str, path: &Path) -> Result<Self, Error> {
        let key = PrivateKey::from_openssh(text).ok().filter(signs_in_process);
        key.map(|key| Self::Held(Box::new(key))).ok_or_else(|| {
            Error::sign_in(&format!("{} is no longer a key we can use", path.display()))
        })
    }

    /// `--key PATH`: a private key file, or a public key file whose private half is in the agent. A private file
    /// that cannot sign here (encrypted, RSA, a FIDO handle) stands for its public half in the agent.
    ///
    /// # Errors
    /// Where it is neither.
    pub async fn choose(path: &Path) -> Result<(Self, KeyPlace), Error> {
        let path = std::path::absolute(path).map_err(Error::file(path))?;
        let text = read(&path)?;
        if let Ok(public) = PublicKey::from_openssh(text.trim()) {
            return in_agent(public, &path).await;
        }
        let private = PrivateKey::from_openssh(&text).map_err(|_| {
            Error::Usage(format!(
                "{} holds neither an OpenSSH private key nor a public key",
                path.display()
            ))
        })?;
        expect_accepted(private.public_key(), &path)?;
        if signs_in_process(&private) {
            return Ok((Self::Held(Box::new(private)), KeyPlace::File(path)));
        }
        in_agent(private.public_key().clone(), &path).await
    }

    /// The public half, without its comment.
    pub fn public(&self) -> PublicKey {
        let key = match self {
            Self::Held(private) => private.public_key(),
            Self::Agent(public) => public,
        };
        PublicKey::new(key.key_data().clone(), "")
    }

    /// `SHA256:...`
    pub fn fingerprint(&self) -> String {
        self.public().fingerprint(HashAlg::Sha256).to_string()
    }

    /// The private half, where we hold it.
    pub fn private(&self) -> Option<&PrivateKey> {
        match self {
            Self::Held(private) => Some(private),
            Self::Agent(_) => None,
        }
    }

    /// An armored SSHSIG over a possession message.
    ///
    /// # Errors
    /// Where the agent, or the hardware behind it, does not sign.
    pub async fn sign(&self, message: &[u8]) -> Result<String, Error> {
        self.sign_for(Namespace::Issue, message).await
    }

    /// An armored SSHSIG over any message, in its namespace.
    ///
    /// # Errors
    /// As [`Key::sign`].
    pub async fn sign_for(&self, namespace: Namespace, message: &[u8]) -> Result<String, Error> {
        let failed = |error: sshsig::Error| {
            let cause =
                std::error::Error::source(&error).map_or(String::new(), |it| format!(": {it}"));
            Error::other(format!("failed to sign: {error}{cause}"))
        };
        let signature = match self {
            Self::Held(private) => Signature::sign(private, namespace, message),
            Self::Agent(public) => {
                let data = sshsig::signed_data(namespace, message).map_err(failed)?;
                Signature::frame(public, namespace, agent::sign(public, data).await?)
            }
        };
        signature
            .and_then(|signature| signature.to_armored())
            .map_err(failed)
    }

    /// Keeps a fresh key as the session's own.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn keep(&self, state: &State, name: &str) -> Result<(), Error> {
        let Some(private) = self.private() else {
            return Ok(());
        };
        state.write(name, private_text(private)?.as_bytes())?;
        state.write(
            format!("{name}.pub"),
            public_line(&self.public())?.as_bytes(),
        )
    }

    /// Forgets the session's own key; a user's file or agent key is not ours to remove.
    pub(super) fn forget(state: &State) -> Result<(), Error> {
        state.remove(OWN)?;
        state.remove("key.pub")
    }
}

/// A private key as OpenSSH writes it.
pub(super) fn private_text(key: &PrivateKey) -> Result<zeroize::Zeroizing<String>, Error> {
    key.to_openssh(LineEnding::LF)
        .map_err(|error| Error::other(format!("failed to encode the key: {error}")))
}

/// A public key as a line of a `.pub` file.
pub(super) fn public_line(key: &PublicKey) -> Result<String, Error> {
    let line = key
        .to_openssh()
        .map_err(|error| Error::other(format!("failed to encode the key: {error}")))?;
    Ok(format!("{line}\n"))
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<String>, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    Ok(zeroize::Zeroizing::new(text))
}

fn public(text: &str) -> Result<PublicKey, Error> {
    PublicKey::from_openssh(text).map_err(|_| Error::sign_in("the session's key is damaged"))
}

/// RSA keys do not sign in ssh-key 0.6 (the crate gets a prime wrong); FIDO handles and encrypted keys need the agent.
fn signs_in_process(key: &PrivateKey) -> bool {
    !key.is_encrypted()
        && matches!(
            key.algorithm(),
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. }
        )
}

/// Refuses a key that the CA would refuse later: at a sign-in, or on the day of an emergency.
pub(super) fn expect_accepted(key: &PublicKey, path: &Path) -> Result<(), Error> {
    let refused = |error| Error::Usage(format!("{} cannot be used: {error}", path.display()));
    ssh::key::check(key).map(|_| ()).map_err(refused)
}

async fn in_agent(public: PublicKey, path: &Path) -> Result<(Key, KeyPlace), Error> {
    expect_accepted(&public, path)?;
    // ssh-key 0.6 writes the signature of this type in a form that no verifier reads.
    if public.algorithm() == Algorithm::SkEcdsaSha2NistP256 {
        return Err(Error::Usage(
            "ecdsa-sk keys are not supported yet: use an ed25519-sk key".to_owned(),
        ));
    }
    if !agent::holds(&public).await? {
        return Err(Error::Usage(format!(
            "the private half of {} is not in the ssh-agent: add it with `ssh-add {}`",
            path.display(),
            path.with_extension("").display()
        )));
    }
    let public_key = public_line(&public)?.trim_end().to_owned();
    Ok((Key::Agent(Box::new(public)), KeyPlace::Agent { public_key }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_file_is_used_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        let Key::Held(key) = Key::fresh().unwrap() else {
            panic!("a fresh key is held")
        };
        fs::write(&path, private_text(&key).unwrap().as_bytes()).unwrap();
        let (chosen, place) = Key::choose(&path).await.unwrap();
        assert_eq!(place, KeyPlace::File(path));
        assert_eq!(chosen.public().key_data(), key.public_key().key_data());
    }

    #[tokio::test]
    async fn what_is_no_key_is_wrong_usage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        fs::write(&path, "hello").unwrap();
        assert_eq!(Key::choose(&path).await.unwrap_err().exit_code(), 2);
    }

    #[tokio::test]
    async fn a_proof_verifies_with_the_public_half() {
        let key = Key::fresh().unwrap();
        let signature = Signature::from_armored(key.sign(b"message").await.unwrap()).unwrap();
        let public = key.public();
        signature
            .verify(&public, Namespace::Issue, b"message")
            .unwrap();
        let other = signature.verify(&public, Namespace::Approve, b"message");
        assert!(other.is_err());
    }

    #[test]
    fn our_own_key_is_kept_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let key = Key::fresh().unwrap();
        key.keep(&state, "key").unwrap();
        let opened = Key::open(&KeyPlace::Own, &state).unwrap();
        assert_eq!(opened.fingerprint(), key.fingerprint());
        Key::forget(&state).unwrap();
        assert_eq!(
            Key::open(&KeyPlace::Own, &state).unwrap_err().exit_code(),
            4
        );
    }
}
