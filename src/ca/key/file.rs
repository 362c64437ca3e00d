//! Ed25519 and ECDSA P-256 private keys in OpenSSH files, encrypted ones with their passphrase.

use std::{
    fs,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use ssh_key::{
    PrivateKey,
    private::{EcdsaKeypair, KeypairData},
    public::PublicKey,
};
use zeroize::Zeroizing;

use super::{Key, checks::Checks, ecdsa_p256, ed25519};
use crate::modes;

/// The most bytes a key file may have.
const MAX_FILE: u64 = 16 * 1024;

/// Reads a key file; `passphrase` opens an encrypted one.
///
/// # Errors
/// [`Error`] names the file and what to do about it.
pub fn load(path: &Path, passphrase: Option<&SecretString>) -> Result<Key, Error> {
    let fail = |problem| Error {
        path: path.to_owned(),
        problem,
    };
    let text = read_private(path).map_err(fail)?;
    parse(&text, passphrase).map_err(fail)
}

/// The file's text, if no other user can read it.
fn read_private(path: &Path) -> Result<Zeroizing<String>, Problem> {
    if !fs::metadata(path).map_err(modes::Problem::Io)?.is_file() {
        return Err(Problem::NotAKey);
    }
    modes::read_secret(path, MAX_FILE).map_err(|problem| match problem {
        modes::Problem::TooLarge(_) | modes::Problem::NotText => Problem::NotAKey,
        modes::Problem::Io(_)
        | modes::Problem::Denied { .. }
        | modes::Problem::Readable { .. }
        | modes::Problem::Writable { .. } => Problem::File(problem),
    })
}

/// Reads a private key from its OpenSSH text.
pub(super) fn parse(text: &str, passphrase: Option<&SecretString>) -> Result<Key, Problem> {
    let stored = PrivateKey::from_openssh(text).map_err(|_| Problem::NotAKey)?;
    let private = if stored.is_encrypted() {
        let passphrase = passphrase.ok_or(Problem::Encrypted)?;
        stored
            .decrypt(passphrase.expose_secret())
            .map_err(|_| Problem::Passphrase)?
    } else {
        stored
    };
    let half = match private.key_data() {
        KeypairData::Ed25519(pair) => {
            let seed = Zeroizing::new(pair.private.to_bytes());
            ed25519(&*seed, &pair.public.0)
        }
        KeypairData::Ecdsa(EcdsaKeypair::NistP256 { public, private }) => {
            ecdsa_p256(private.as_slice(), public.as_bytes())
        }
        _ => return Err(Problem::Algorithm),
    };
    let public = PublicKey::from(private.public_key().key_data().clone());
    Ok(Key {
        checks: Checks::of(&public),
        public,
        private: half.ok_or(Problem::NotAKey)?,
    })
}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("CA key {}: {problem}", path.display())]
pub struct Error {
    path: PathBuf,
    problem: Problem,
}

/// Problem of a key file, and the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    File(#[from] modes::Problem),
    #[error("is not an OpenSSH private key file; make one with `ssh-keygen -t ed25519`")]
    NotAKey,
    #[error("is encrypted; give its passphrase with `passphrase_file` or `passphrase_credential`")]
    Encrypted,
    #[error("does not open with this passphrase")]
    Passphrase,
    #[error("is neither an Ed25519 nor an ECDSA P-256 key; make one with `ssh-keygen -t ed25519`")]
    Algorithm,
}

#[cfg(test)]
mod tests;
