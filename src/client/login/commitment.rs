//! The commitment that binds an ID token to a key: a hash over the public key and a secret of this
//! login.

use std::path::Path;

use rand::{RngCore, rngs::OsRng};
use zeroize::Zeroizing;

use crate::{
    client::{
        Error,
        key::{Key, KeyPlace},
    },
    identity::proof,
};

/// The key and the secret that one login commits to.
pub(super) struct Commitment {
    pub(super) key: Key,
    pub(super) place: KeyPlace,
    /// Revealed to the server with the first ask; it proves that the token was requested for this
    /// key.
    pub(super) secret: Zeroizing<[u8; 32]>,
    /// The nonce, or the audience's suffix.
    pub(super) text: String,
}

impl Commitment {
    /// Makes a fresh secret over a fresh key, or over the key at `path`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if there is no usable key at `path`.
    pub(super) async fn make(path: Option<&Path>) -> Result<Self, Error> {
        let (key, place) = match path {
            Some(path) => Key::choose(path).await?,
            None => (Key::fresh()?, KeyPlace::Own),
        };
        Self::over(key, place)
    }

    /// Makes a fresh secret over `key`.
    ///
    /// # Errors
    /// Returns the error if the key cannot be encoded.
    pub(super) fn over(key: Key, place: KeyPlace) -> Result<Self, Error> {
        Self::with_secret(key, place, fresh_secret())
    }

    /// The commitment to `key` with a known secret.
    ///
    /// # Errors
    /// Returns the error if the key cannot be encoded.
    pub(super) fn with_secret(
        key: Key,
        place: KeyPlace,
        secret: Zeroizing<[u8; 32]>,
    ) -> Result<Self, Error> {
        let text = proof::commitment(&key.public(), &*secret)
            .map_err(|error| Error::other(format!("failed to commit to the key: {error}")))?;
        Ok(Self {
            key,
            place,
            secret,
            text,
        })
    }
}

fn fresh_secret() -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    #[allow(
        clippy::disallowed_methods,
        reason = "the client is an edge: randomness enters here"
    )]
    OsRng.fill_bytes(&mut *secret);
    secret
}
