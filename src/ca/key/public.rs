//! The public half of a CA key whose private one another program keeps.

use std::path::{Path, PathBuf};

use ssh_key::{
    PublicKey,
    public::{EcdsaPublicKey, KeyData},
};

use crate::{modes, ssh};

/// The most bytes a file of a public key may have.
const MAX_FILE: u64 = 16 * 1024;

/// Reads the file that `ssh-keygen` calls `NAME.pub`.
///
/// # Errors
/// [`Error`] names the file and what to do about it.
pub fn load(path: &Path) -> Result<PublicKey, Error> {
    let fail = |problem| Error {
        path: path.to_owned(),
        problem,
    };
    let text =
        modes::read_trusted_text(path, MAX_FILE).map_err(|error| fail(Problem::File(error)))?;
    parse(&text).map_err(fail)
}

fn parse(text: &str) -> Result<PublicKey, Problem> {
    if text.contains("PRIVATE KEY-----") {
        return Err(Problem::Private);
    }
    let key = ssh::key::parse(text.trim_end())?;
    match key.key_data() {
        KeyData::Ed25519(_) | KeyData::Ecdsa(EcdsaPublicKey::NistP256(_)) | KeyData::Rsa(_) => {
            // The comment is no part of the key.
            Ok(PublicKey::from(key.key_data().clone()))
        }
        _ => Err(Problem::Algorithm),
    }
}

/// A file of a public key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("public CA key {}: {problem}", path.display())]
pub struct Error {
    path: PathBuf,
    problem: Problem,
}

/// Problem of the file, and the remedy.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    File(modes::Problem),
    #[error(
        "is a private key: with `agent` or `pkcs11`, `file` is the public half, and the private one is nowhere on this disk"
    )]
    Private,
    #[error(
        "is not usable: {0}; `ssh-add -L` and `ssh-keygen -D MODULE` print the keys of an agent and a token"
    )]
    Key(#[from] ssh::key::InvalidKey),
    #[error("is none of Ed25519, ECDSA P-256 and RSA")]
    Algorithm,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use ssh_key::{Algorithm, EcdsaCurve, LineEnding, PrivateKey, rand_core::OsRng};

    use super::*;

    #[test]
    fn a_file_without_a_key_that_can_sign_passes_is_refused_with_what_to_do() {
        let key = |algorithm| PrivateKey::random(&mut OsRng, algorithm).unwrap();
        let public = |key: &PrivateKey| key.public_key().to_openssh().unwrap();
        let good = key(Algorithm::Ed25519);
        let curve = EcdsaCurve::NistP384;
        let cases = [
            (
                good.to_openssh(LineEnding::LF).unwrap().to_string(),
                "is a private key",
            ),
            (String::new(), "ssh-add -L"),
            ("ssh-ed25519 AAAA".to_owned(), "ssh-keygen -D MODULE"),
            (
                format!("{}\n{}\n", public(&good), public(&good)),
                "is not usable",
            ),
            (public(&key(Algorithm::Ecdsa { curve })), "none of Ed25519"),
            (
                include_str!("../../../tests/golden/certificates/rsa2048.pub").to_owned(),
                "3072 to 8192",
            ),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca_key.pub");
        for (text, says) in cases {
            std::fs::write(&path, &text).unwrap();
            let refused = load(&path).unwrap_err().to_string();
            assert!(refused.contains(says), "{text}: {refused}");
            assert!(refused.contains("ca_key.pub"), "{refused}");
        }
        std::fs::write(&path, format!("{} a comment\n", public(&good))).unwrap();
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.key_data(), good.public_key().key_data());
        assert_eq!(loaded.comment(), "");
    }
}
