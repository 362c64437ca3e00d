//! Ed25519 and ECDSA P-256 private keys in OpenSSH files, encrypted ones with their passphrase.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use ssh_key::{
    PrivateKey,
    private::{EcdsaKeypair, KeypairData},
    public::PublicKey,
};
use zeroize::Zeroizing;

use super::{Key, ecdsa_p256, ed25519};

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

/// The file's text, if it is a file that nobody but its owner can read.
fn read_private(path: &Path) -> Result<Zeroizing<String>, Problem> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(Problem::NotAKey);
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Problem::Exposed(mode));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
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
    Ok(Key {
        public: PublicKey::from(private.public_key().key_data().clone()),
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

/// What is wrong with a key file, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("others can read it (mode {0:03o}); run `chmod 600` on it")]
    Exposed(u32),
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
