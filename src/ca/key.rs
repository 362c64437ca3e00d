//! The CA's keys: signing, and the check that it was the right key that signed.
//!
//! A private half is in this process ([`mod@file`]), or another program keeps it ([`Elsewhere`]).

mod checks;
pub mod file;
pub mod public;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use ssh_key::{
    Algorithm, EcdsaCurve, HashAlg, Mpint, PublicKey, Signature,
    public::{EcdsaPublicKey, KeyData},
};

use super::{error::Error, to_sign::ToSign};
use crate::ssh::{self, wire};
use checks::Checks;

/// A signing key with its public half, which is known from the start. Private bytes in this process
/// stay inside aws-lc, which clears them.
pub struct Key {
    public: PublicKey,
    private: Private,
    /// The checks of an Ed25519 key in this process.
    checks: Option<Checks>,
}

/// Place of the private half.
enum Private {
    Ed25519(Box<Ed25519KeyPair>),
    EcdsaP256(Box<EcdsaKeyPair>),
    Elsewhere(Arc<dyn Elsewhere>),
    /// This server lacks it.
    Absent,
}

/// A private half that another program keeps: an ssh-agent, a PKCS#11 token, `daypass signer`.
pub trait Elsewhere: Send + Sync {
    /// Signs a message, within a deadline of its own. For RSA the algorithm is rsa-sha2-512.
    fn sign<'a>(&'a self, to_sign: ToSign<'a>) -> Signing<'a>;

    /// Looks for the key once, within a deadline. If it does not answer, now or later, the search
    /// goes on in the background.
    fn start(&self) -> Looking<'_>;

    /// Looks for the key once, within a deadline.
    fn find(&self) -> Looking<'_>;

    /// Asks once whether the key is still there, within a deadline and as cheaply as can be, unless
    /// it was heard of just now or is known to be away. If it is gone, the search for it begins.
    fn look(&self) -> Looking<'_>;

    /// Why it does not answer, since it did not the last time.
    fn away(&self) -> Option<String>;
}

/// A signature that is being made.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Signature, Unsigned>> + Send + 'a>>;

/// The search for a key.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Result<(), Away>> + Send + 'a>>;

/// A key that does not answer now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

/// Reason why a key elsewhere gave no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// It does not answer.
    #[error(transparent)]
    Away(#[from] Away),
    /// It answers, and does not sign this message.
    #[error("{0}")]
    Refused(String),
}

impl Key {
    /// The public half, without a comment.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key with this public half, whose private one is elsewhere.
    pub fn elsewhere(public: PublicKey, keeper: Arc<dyn Elsewhere>) -> Self {
        Self {
            public,
            private: Private::Elsewhere(keeper),
            checks: None,
        }
    }

    /// The key with this public half, whose private one this server lacks. It signs nothing.
    pub(super) fn absent(public: PublicKey) -> Self {
        Self {
            public,
            private: Private::Absent,
            checks: None,
        }
    }

    /// Whether this server has the private half, or a way to it.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.private, Private::Absent)
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Absent`], [`Error::Away`] and [`Error::Refused`] if the key fails,
    /// is not here or refuses;
    /// [`Error::Signature`] if the signature is not its own.
    pub(super) async fn sign(&self, to_sign: ToSign<'_>) -> Result<Signature, Error> {
        let message = to_sign.message();
        let signature = match &self.private {
            Private::Ed25519(pair) => {
                Signature::new(Algorithm::Ed25519, pair.sign(message).as_ref()).ok()
            }
            Private::EcdsaP256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                signature
                    .ok()
                    .and_then(|fixed| ecdsa_signature(fixed.as_ref()))
            }
            Private::Elsewhere(keeper) => Some(self.signed_elsewhere(keeper, to_sign).await?),
            Private::Absent => return Err(self.not_here()),
        };
        let signature = signature.ok_or(Error::Key)?;
        let is_own = match (&self.private, &self.checks) {
            (Private::Ed25519(_), Some(checks)) => {
                checks.is_signed(message, signature.as_bytes()).await
            }
            _ => is_signed_by(&self.public, message, &signature),
        };
        match is_own {
            true => Ok(signature),
            false => Err(Error::Signature),
        }
    }

    async fn signed_elsewhere(
        &self,
        keeper: &Arc<dyn Elsewhere>,
        to_sign: ToSign<'_>,
    ) -> Result<Signature, Error> {
        keeper.sign(to_sign).await.map_err(|error| match error {
            Unsigned::Away(why) => self.named(&why.0),
            Unsigned::Refused(why) => Error::Refused {
                key: ssh::key::fingerprint(&self.public),
                why,
            },
        })
    }

    /// Looks for the key, if another program keeps it, and goes on in the background if it does
    /// not answer.
    pub(crate) async fn start(&self) {
        if let Private::Elsewhere(keeper) = &self.private {
            // What wants to sign is told.
            let _ = keeper.start().await;
        }
    }

    /// Asks whether the key is still there, if another program keeps it: [`Elsewhere::look`].
    pub(crate) async fn look(&self) {
        if let Private::Elsewhere(keeper) = &self.private {
            // What wants to sign is told.
            let _ = keeper.look().await;
        }
    }

    /// Looks for the key once.
    ///
    /// # Errors
    /// [`Error::Away`] and [`Error::Absent`].
    pub(crate) async fn find(&self) -> Result<(), Error> {
        match &self.private {
            Private::Ed25519(_) | Private::EcdsaP256(_) => Ok(()),
            Private::Absent => Err(self.not_here()),
            Private::Elsewhere(keeper) => {
                let found = keeper.find().await;
                found.map_err(|why| self.named(&why.0))
            }
        }
    }

    /// Why the key does not answer, if it is known not to.
    ///
    /// # Errors
    /// [`Error::Away`] and [`Error::Absent`].
    pub(crate) fn expect_here(&self) -> Result<(), Error> {
        match &self.private {
            Private::Ed25519(_) | Private::EcdsaP256(_) => Ok(()),
            Private::Absent => Err(self.not_here()),
            Private::Elsewhere(keeper) => match keeper.away() {
                None => Ok(()),
                Some(why) => Err(self.named(&why)),
            },
        }
    }

    fn not_here(&self) -> Error {
        Error::Absent {
            key: ssh::key::fingerprint(&self.public),
        }
    }

    fn named(&self, why: &str) -> Error {
        Error::Away {
            key: ssh::key::fingerprint(&self.public),
            why: why.to_owned(),
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

/// How an RSA key of a CA signs (RFC 8332).
pub(crate) const RSA_SHA2_512: Algorithm = Algorithm::Rsa {
    hash: Some(HashAlg::Sha512),
};

/// Whether `signature` over `message` was made by `key`, of one of the algorithms that a CA's key
/// has.
fn is_signed_by(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let is_known = match key.key_data() {
        KeyData::Ed25519(_) | KeyData::Ecdsa(EcdsaPublicKey::NistP256(_)) => true,
        // sshd takes no SHA-1, and SHA-256 is nothing that we ask for.
        KeyData::Rsa(_) => signature.algorithm() == RSA_SHA2_512,
        _ => false,
    };
    is_known && ssh::signed_by::is_signed_by(key.key_data(), message, signature)
}

/// From r || s to SSH's two integers (RFC 5656 section 3.1.2).
pub(crate) fn ecdsa_signature(fixed: &[u8]) -> Option<Signature> {
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
