//! A pass for unit tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use ssh_key::{Algorithm, Certificate, PrivateKey, certificate::Builder, rand_core::OsRng};

use crate::client::key::Key;

/// A pass for `key`, valid in `after..before` (Unix seconds), and the CA key that signed it.
pub(in crate::client) fn pass(key: &Key, after: u64, before: u64) -> (Certificate, PrivateKey) {
    let ca = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let public = key.public();
    let mut builder =
        Builder::new_with_random_nonce(&mut OsRng, public.key_data().clone(), after, before)
            .unwrap();
    builder.serial(7).unwrap();
    builder.key_id("alice@example.com/shell").unwrap();
    builder.valid_principal("root").unwrap();
    (builder.sign(&ca).unwrap(), ca)
}
