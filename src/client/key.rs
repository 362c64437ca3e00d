//! The SSH key of a login: a fresh key of ours, a key file of the user's, or a key in the
//! ssh-agent.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, PrivateKey, PublicKey, rand_core::OsRng};
use zeroize::Zeroizing;

use super::{
    Error, agent,
    key_text::{private_text, public_line, public_text},
    state::State,
};
use crate::ssh::{
    self,
    key::fingerprint,
    sshsig::{self, Namespace, Signature},
};

/// The file of our own key in the state folder.
const OWN: &str = "key";

/// The location of a session's key. The session remembers this, never the private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// `key` in the state folder, made by a login.
    Own,
    /// A private key file of the user's.
    File(PathBuf),
    /// The private half is in the ssh-agent (or in hardware behind it).
    Agent {
        /// The public half in OpenSSH form.
        public_key: String,
    },
}

/// A key that can sign. Its `Debug` output has no private half; ssh-key leaves it out.
#[derive(Debug)]
pub(crate) enum Key {
    /// This process holds the private half.
    Held(Box<PrivateKey>),
    /// The agent holds the private half.
    Agent(Box<PublicKey>),
}

impl Key {
    /// Makes an Ed25519 key, in memory only.
    ///
    /// # Errors
    /// Returns the error if the system has no randomness.
    pub(crate) fn fresh() -> Result<Self, Error> {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)
            .map_err(|error| Error::other(format!("failed to make a key: {error}")))?;
        Ok(Self::Held(Box::new(key)))
    }

    /// Opens the key of a session.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if it is gone or damaged.
    pub(crate) fn open(place: &KeyPlace, state: &State) -> Result<Self, Error> {
        match place {
            KeyPlace::Own => match state.read(OWN)? {
                Some(text) => Self::read(&text, &state.path(OWN)),
                None => Err(Error::sign_in("the session's key is gone")),
            },
            KeyPlace::File(path) => Self::read(&read(path)?, path),
            KeyPlace::Agent { public_key } => Ok(Self::Agent(Box::new(public(public_key)?))),
        }
    }

    /// Reads the private key in `text`; `path` names its file in errors.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if this process cannot sign with it.
    pub(super) fn read(text: &str, path: &Path) -> Result<Self, Error> {
        let key = PrivateKey::from_openssh(text).ok().filter(signs_in_process);
        key.map(|key| Self::Held(Box::new(key))).ok_or_else(|| {
            Error::sign_in(&format!("{} is no longer a key we can use", path.display()))
        })
    }

    /// Opens the key that `--key PATH` names: a private key file, or a public key file whose
    /// private half is in the agent.
    ///
    /// A private key that cannot sign in this process (encrypted, RSA, a FIDO handle) is looked for
    /// in the agent.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the file is neither, or the agent does not hold the key.
    pub(crate) async fn choose(path: &Path) -> Result<(Self, KeyPlace), Error> {
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
    pub(crate) fn public(&self) -> PublicKey {
        let key = match self {
            Self::Held(private) => private.public_key(),
            Self::Agent(public) => public,
        };
        PublicKey::new(key.key_data().clone(), "")
    }

    /// The fingerprint, `SHA256:...`.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.public())
    }

    /// The private half; none if the agent holds it.
    pub(crate) fn private(&self) -> Option<&PrivateKey> {
        match self {
            Self::Held(private) => Some(private),
            Self::Agent(_) => None,
        }
    }

    /// Signs a possession message; returns an armored SSHSIG.
    ///
    /// # Errors
    /// Returns the error if the agent, or the hardware behind it, does not sign.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<String, Error> {
        self.sign_for(Namespace::Issue, message).await
    }

    /// Signs any message for `namespace`; returns an armored SSHSIG.
    ///
    /// # Errors
    /// As [`Key::sign`].
    pub(crate) async fn sign_for(
        &self,
        namespace: Namespace,
        message: &[u8],
    ) -> Result<String, Error> {
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

    /// Writes the key to the state folder as `name` and `name.pub`. Does nothing if the agent holds
    /// it.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written.
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

    /// Removes the session's own key. A key file of the user's, or a key in the agent, is not ours
    /// to remove.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be removed.
    pub(super) fn forget(state: &State) -> Result<(), Error> {
        state.remove(OWN)?;
        state.remove("key.pub")
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    Ok(Zeroizing::new(text))
}

fn public(text: &str) -> Result<PublicKey, Error> {
    PublicKey::from_openssh(text).map_err(|_| Error::sign_in("the session's key is damaged"))
}

/// Whether this process can sign with the key. FIDO handles and encrypted keys need the agent; RSA
/// keys do too, because ssh-key 0.6 gets a prime of theirs wrong.
fn signs_in_process(key: &PrivateKey) -> bool {
    !key.is_encrypted()
        && matches!(
            key.algorithm(),
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. }
        )
}

/// Checks that the CA accepts the key, which `path` names in errors: before a login or an
/// emergency fails because of it.
///
/// # Errors
/// Returns [`Error::Usage`] if it does not.
pub(super) fn expect_accepted(key: &PublicKey, path: &Path) -> Result<(), Error> {
    let refused = |error| Error::Usage(format!("{} cannot be used: {error}", path.display()));
    ssh::key::check(key).map(|_| ()).map_err(refused)
}

/// The key whose private half is in the agent; `path` names its file in errors.
async fn in_agent(public: PublicKey, path: &Path) -> Result<(Key, KeyPlace), Error> {
    expect_accepted(&public, path)?;
    // ssh-key 0.6 encodes SSHSIGs of this type in a way that no verifier reads.
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
    let public_key = public_text(&public)?;
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
    async fn a_file_that_is_not_a_key_is_wrong_usage() {
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
