//! Verification of bare SSH signatures (RFC 4253 section 6.6, RFC 5656, RFC 8332, RFC 8709,
//! PROTOCOL.u2f). Pure.
//!
//! Ed25519 and ECDSA are verified by aws-lc-rs. It accepts no signature that ssh-key refuses, and
//! refuses points whose encoding is not canonical. Hosts may read those as another key.

use aws_lc_rs::{
    digest::{self, SHA256},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};
use signature::Verifier;
use ssh_key::{
    Algorithm, EcdsaCurve, Signature,
    public::{EcdsaPublicKey, KeyData},
};

use super::wire::Reader;

/// Bytes at the end of a security key's signature: flags (u8) and counter (u32), PROTOCOL.u2f.
pub(super) const SECURITY_KEY_TRAILER: usize = 5;

/// Whether `key` made `signature` over `message`, by the key's own algorithm.
pub(crate) fn is_signed_by(key: &KeyData, message: &[u8], signature: &Signature) -> bool {
    let bytes = signature.as_bytes();
    match (key, signature.algorithm()) {
        (KeyData::Ed25519(point), Algorithm::Ed25519) => is_ed25519(&point.0, message, bytes),
        (KeyData::Ecdsa(point), Algorithm::Ecdsa { curve }) if point.curve() == curve => {
            is_ecdsa(point, message, bytes)
        }
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            of_security_key(bytes).is_some_and(|(signature, trailer)| {
                let message = security_key_message(key.application(), trailer, message);
                is_verified(&ED25519, &key.public_key().0, &message, signature)
            })
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            of_security_key(bytes).is_some_and(|(signature, trailer)| {
                let message = security_key_message(key.application(), trailer, message);
                let point = EcdsaPublicKey::NistP256(*key.ec_point());
                is_ecdsa(&point, &message, signature)
            })
        }
        // ssh-key knows only sizes of RSA keys that OpenSSH takes, too.
        (KeyData::Rsa(key), Algorithm::Rsa { .. }) => key.verify(message, signature).is_ok(),
        _ => false,
    }
}

/// Whether the Ed25519 key at `point` made `signature` over `message`.
pub(crate) fn is_ed25519(point: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    is_verified(&ED25519, point, message, signature)
}

pub(super) fn is_ecdsa(point: &EcdsaPublicKey, message: &[u8], blob: &[u8]) -> bool {
    let algorithm: &'static dyn VerificationAlgorithm = match point.curve() {
        EcdsaCurve::NistP256 => &ECDSA_P256_SHA256_FIXED,
        EcdsaCurve::NistP384 => &ECDSA_P384_SHA384_FIXED,
        EcdsaCurve::NistP521 => &ECDSA_P521_SHA512_FIXED,
    };
    let fixed = fixed_signature(blob, coordinate(point.curve()));
    fixed.is_some_and(|fixed| is_verified(algorithm, point.as_sec1_bytes(), message, &fixed))
}

pub(super) fn is_verified(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = UnparsedPublicKey::new(algorithm, key);
    key.verify(message, signature).is_ok()
}

/// Bytes of one coordinate of a point, and of each half of a signature.
fn coordinate(curve: EcdsaCurve) -> usize {
    match curve {
        EcdsaCurve::NistP256 => 32,
        EcdsaCurve::NistP384 => 48,
        EcdsaCurve::NistP521 => 66,
    }
}

/// From SSH's two integers (RFC 5656 section 3.1.2) to r || s, each of `length` bytes.
fn fixed_signature(blob: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut reader = Reader::new(blob);
    let mut fixed = Vec::with_capacity(2 * length);
    for _ in 0..2 {
        let number = reader.positive()?;
        fixed.resize(fixed.len() + length.checked_sub(number.len())?, 0);
        fixed.extend_from_slice(number);
    }
    reader.is_empty().then_some(fixed)
}

/// The signature of the security key's chip, and its flags and counter.
fn of_security_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(bytes.len().checked_sub(SECURITY_KEY_TRAILER)?)
}

/// The bytes that a security key signs for a message (PROTOCOL.u2f, "SSH U2F Signatures").
fn security_key_message(application: &str, trailer: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = |bytes: &[u8]| digest::digest(&SHA256, bytes);
    let (application, message) = (hash(application.as_bytes()), hash(message));
    [application.as_ref(), trailer, message.as_ref()].concat()
}

#[cfg(test)]
mod tests;
