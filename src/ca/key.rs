//! The CA's private keys: signing, and the check that it was the right key that signed.

pub mod file;

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use ssh_key::{
    Algorithm, EcdsaCurve, Mpint, PublicKey, Signature,
    public::{EcdsaPublicKey, KeyData},
};

use crate::ssh::{self, wire};

/// A signing key with its public half, which is derived once. Private bytes stay inside aws-lc,
/// which clears them.
pub struct Key {
    public: PublicKey,
    private: Private,
}

/// Place of the private half.
enum Private {
    Ed25519(Box<Ed25519KeyPair>),
    EcdsaP256(Box<EcdsaKeyPair>),
}

impl Key {
    /// The public half, without a comment.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`; `None` if the key fails. The caller checks the signature with
    /// [`is_signed_by`].
    pub(super) fn sign(&self, message: &[u8]) -> Option<Signature> {
        match &self.private {
            Private::Ed25519(pair) => {
                Signature::new(Algorithm::Ed25519, pair.sign(message).as_ref()).ok()
            }
            Private::EcdsaP256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).ok()?;
                ecdsa_signature(signature.as_ref())
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key")
            .field(&ssh::key::fingerprint(&self.public))
            .finish()
    }
}

/// Whether `signature` over `message` was made by `key`, of one of the algorithms that a CA's key
/// has.
pub(super) fn is_signed_by(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let is_known = matches!(
        key.key_data(),
        KeyData::Ed25519(_) | KeyData::Ecdsa(EcdsaPublicKey::NistP256(_))
    );
    is_known && ssh::signed_by::is_signed_by(key.key_data(), message, signature)
}

/// From r || s to SSH's two integers (RFC 5656 section 3.1.2).
fn ecdsa_signature(fixed: &[u8]) -> Option<Signature> {
    let (r, s) = fixed.split_at_checked(32)?;
    let mut blob = Vec::with_capacity(80);
    for number in [r, s] {
        wire::put_string(
            &mut blob,
            Mpint::from_positive_bytes(number).ok()?.as_bytes(),
        );
    }
    let curve = EcdsaCurve::NistP256;
    Signature::new(Algorithm::Ecdsa { curve }, blob).ok()
}

fn ed25519(seed: &[u8], public: &[u8]) -> Option<Private> {
    let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
    (pair.public_key().as_ref() == public).then(|| Private::Ed25519(Box::new(pair)))
}

fn ecdsa_p256(scalar: &[u8], public: &[u8]) -> Option<Private> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, public).ok()?;
    (pair.public_key().as_ref() == public).then(|| Private::EcdsaP256(Box::new(pair)))
}

#[cfg(test)]
pub(in crate::ca) mod sample;
#[cfg(test)]
mod tests;
