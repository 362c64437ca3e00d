//! Proof that a host holds its host keys: the message that each key signs, and the check. Pure.
//!
//! The same message is signed by every key of the call, and names them all, so no key can be taken
//! from one call into another.

use ssh_key::{Algorithm, HashAlg, PublicKey};

use super::{
    sshsig::{Error, Namespace, Signature},
    wire,
};

/// The most host keys of one host: one of each type.
pub const MAX_KEYS: usize = 4;

/// The call that a proof is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostVerb {
    /// The host joins.
    Join,
    /// The host reports.
    Sync,
    /// The host reports logins.
    Logins,
}

impl HostVerb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Sync => "sync",
            Self::Logins => "logins",
        }
    }
}

/// What the keys of a host sign.
#[derive(Clone, Copy, Debug)]
pub struct HostProof<'a> {
    /// The server's name.
    pub server: &'a str,
    /// The call.
    pub verb: HostVerb,
    /// SHA-256 of the join code ([`crate::ledger::join_code`]), of the token, or of the report.
    pub digest: &'a [u8; 32],
    /// All public keys of the call, in their order.
    pub keys: &'a [PublicKey],
}

impl HostProof<'_> {
    /// The signed bytes, as length-prefixed strings (RFC 4251, 5): domain, verb, server name,
    /// SHA-256 of what the call is about, and the blob of each key.
    ///
    /// # Errors
    /// Returns an error if a key has no blob.
    ///
    /// # Examples
    /// ```
    /// use daypass::ssh::host_proof::{HostProof, HostVerb};
    /// use ssh_key::public::{Ed25519PublicKey, KeyData, PublicKey};
    ///
    /// let key = PublicKey::from(KeyData::Ed25519(Ed25519PublicKey([1; 32])));
    /// let proof = HostProof {
    ///     server: "ca",
    ///     verb: HostVerb::Join,
    ///     digest: &[7; 32],
    ///     keys: &[key],
    /// };
    /// let expected = [
    ///     b"\0\0\0\x0fdaypass-host@v1".as_slice(), // the domain
    ///     b"\0\0\0\x04join",
    ///     b"\0\0\0\x02ca", // the server's name
    ///     b"\0\0\0\x20",   // SHA-256 of the code
    ///     &[7; 32],
    ///     b"\0\0\0\x33", // a key's blob: its type, then 32 bytes
    ///     b"\0\0\0\x0bssh-ed25519",
    ///     b"\0\0\0\x20",
    ///     &[1; 32],
    /// ];
    /// assert_eq!(proof.message()?, expected.concat());
    /// # Ok::<(), ssh_key::Error>(())
    /// ```
    pub fn message(&self) -> Result<Vec<u8>, ssh_key::Error> {
        let mut message = wire::strings(&[
            Namespace::Host.as_bytes(),
            self.verb.as_str().as_bytes(),
            self.server.as_bytes(),
            self.digest,
        ]);
        for key in self.keys {
            wire::put_string(&mut message, &key.to_bytes()?);
        }
        Ok(message)
    }
}

/// Checks that `key` made `signature` over [`HostProof::message`]. An RSA key signs with SHA-512.
///
/// # Errors
/// Returns the signature's error.
pub(crate) fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), Error> {
    signature.verify(key, Namespace::Host, message)?;
    match signature.algorithm() {
        Algorithm::Rsa { hash } if hash != Some(HashAlg::Sha512) => Err(Error::NotSigned),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use ssh_key::{PrivateKey, rand_core::OsRng};

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    #[test]
    fn a_message_changes_with_each_of_its_parts() {
        let (one, other) = (key(), key());
        let keys = [one.public_key().clone(), other.public_key().clone()];
        let turned = [keys[1].clone(), keys[0].clone()];
        let base = HostProof {
            server: "a",
            verb: HostVerb::Join,
            digest: &[1; 32],
            keys: &keys,
        };
        let message = base.message().unwrap();
        for other in [
            HostProof {
                server: "b",
                ..base
            },
            HostProof {
                verb: HostVerb::Sync,
                ..base
            },
            HostProof {
                digest: &[2; 32],
                ..base
            },
            HostProof {
                keys: &keys[..1],
                ..base
            },
            HostProof {
                keys: &turned,
                ..base
            },
        ] {
            assert_ne!(other.message().unwrap(), message, "{other:?}");
        }
    }

    #[test]
    fn a_signature_counts_for_its_key_and_namespace_only() {
        let (one, other) = (key(), key());
        let signed = Signature::sign(&one, Namespace::Host, b"m").unwrap();
        assert!(verify(one.public_key(), b"m", &signed).is_ok());
        assert!(verify(other.public_key(), b"m", &signed).is_err());
        assert!(verify(one.public_key(), b"n", &signed).is_err());
        let elsewhere = Signature::sign(&one, Namespace::Issue, b"m").unwrap();
        assert!(verify(one.public_key(), b"m", &elsewhere).is_err());
    }
}
