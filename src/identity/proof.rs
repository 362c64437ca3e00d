//! Values that client and server compute alike: key commitments, possession messages and token
//! hashes. Pure.
//!
//! Nothing here decides: the server compares in [`super::Identity::prove_possession`].

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use ssh_key::PublicKey;

use crate::ssh::{key::blob_of, sshsig::Namespace, wire};

/// Bytes of the secret behind a [`commitment`]. It is random, and the client reveals it only when
/// it asks for a pass.
pub const SECRET_LENGTH: usize = 32;

/// Separates commitments from every other use of SHA-256.
const COMMITMENT_DOMAIN: &[u8] = b"daypass-binding@v1\0";

/// The commitment of a login, 43 characters: base64url of SHA-256 over the domain, then the key
/// blob (RFC 4253, section 6.6) and the secret, each after its length as u32 big-endian.
///
/// # Errors
/// Returns an error if the key has no blob.
pub fn commitment(key: &PublicKey, secret: &[u8]) -> Result<String, ssh_key::Error> {
    let mut material = COMMITMENT_DOMAIN.to_vec();
    material.extend(wire::strings(&[&blob_of(key)?, secret]));
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(&material)))
}

/// The audience that a login under [`super::Binding::Audience`] asks its issuer for.
pub(crate) fn bound_audience(audience: &str, commitment: &str) -> String {
    format!("{audience}#{commitment}")
}

/// SHA-256 of a compact token. It stands for the token in possession messages and in the ledger.
pub fn token_hash(unverified_jwt: &str) -> [u8; 32] {
    Sha256::digest(unverified_jwt.as_bytes()).into()
}

/// The hash of the two tokens of a renewed sign-in: SHA-256 of the fresh one, a space, and the
/// original.
pub fn refreshed_hash(unverified_fresh: &str, unverified_original: &str) -> [u8; 32] {
    let both = format!("{unverified_fresh} {unverified_original}");
    Sha256::digest(both.as_bytes()).into()
}

/// The bytes that a possession proof signs, as length-prefixed strings (RFC 4251, section 5):
/// domain, server name, hash of the token, key blob, and the ask's canonical bytes
/// ([`crate::proto::ask_bytes`]).
///
/// # Errors
/// Returns an error if the key has no blob.
///
/// # Examples
/// ```
/// use daypass::identity::proof::possession_message;
/// use ssh_key::public::{Ed25519PublicKey, KeyData, PublicKey};
///
/// let key = PublicKey::from(KeyData::Ed25519(Ed25519PublicKey([1; 32])));
/// let message = possession_message("ca", &[7; 32], &key, b"ask")?;
/// let expected = [
///     b"\0\0\0\x10daypass-issue@v1".as_slice(), // the domain
///     b"\0\0\0\x02ca",                         // the server's name
///     b"\0\0\0\x20",                           // the token's SHA-256
///     &[7; 32],
///     b"\0\0\0\x33",                           // the key's blob: its type, then 32 bytes
///     b"\0\0\0\x0bssh-ed25519",
///     b"\0\0\0\x20",
///     &[1; 32],
///     b"\0\0\0\x03ask", // the ask's bytes
/// ];
/// assert_eq!(message, expected.concat());
/// # Ok::<(), ssh_key::Error>(())
/// ```
pub fn possession_message(
    server_name: &str,
    token_hash: &[u8; 32],
    key: &PublicKey,
    ask: &[u8],
) -> Result<Vec<u8>, ssh_key::Error> {
    Ok(wire::strings(&[
        Namespace::Issue.as_bytes(),
        server_name.as_bytes(),
        token_hash,
        &blob_of(key)?,
        ask,
    ]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const OTHER_KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB6dOhWEsCtB6CbXBYKcKGvSw0DhKOQyfVxGuqNcYZhb";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    #[test]
    fn a_commitment_is_the_same_on_every_machine() {
        // python3: base64url(sha256(b"daypass-binding@v1\0" + u32(blob) + blob + u32(32) + 32 *
        // b"\x07"))
        let expected = "FC-IT9i2mfxOAMs4xvbO8pZANO74eVpFZ_RSH0_Bwus";
        assert_eq!(commitment(&key(KEY), &[7; 32]).unwrap(), expected);
    }

    #[test]
    fn a_commitment_ignores_the_comment_and_nothing_else() {
        let base = commitment(&key(KEY), &[7; 32]).unwrap();
        let commented = format!("{KEY} alice@laptop");
        assert_eq!(commitment(&key(&commented), &[7; 32]).unwrap(), base);
        assert_ne!(commitment(&key(OTHER_KEY), &[7; 32]).unwrap(), base);
        assert_ne!(commitment(&key(KEY), &[8; 32]).unwrap(), base);
        assert_ne!(commitment(&key(KEY), &[7; 31]).unwrap(), base);
    }

    #[test]
    fn a_possession_message_changes_with_each_of_its_parts() {
        let base = possession_message("a", &[1; 32], &key(KEY), b"ask").unwrap();
        let others = [
            possession_message("b", &[1; 32], &key(KEY), b"ask"),
            possession_message("a", &[2; 32], &key(KEY), b"ask"),
            possession_message("a", &[1; 32], &key(OTHER_KEY), b"ask"),
            possession_message("a", &[1; 32], &key(KEY), b"ask2"),
        ];
        for other in others {
            assert_ne!(other.unwrap(), base);
        }
        assert!(base.starts_with(b"\0\0\0\x10daypass-issue@v1\0\0\0\x01a\0\0\0\x20"));
    }
}
