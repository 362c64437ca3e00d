//! Key binding and proof of possession (PROTOCOL.sshsig). Pure.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use ssh_key::PublicKey;

use super::{
    binding::Commitment,
    error::Error,
    proof::{SECRET_LENGTH, commitment},
};
use crate::ssh::sshsig::{Namespace, Signature};

/// Checks that the token's commitment, if it has one, is to this key and secret.
pub(super) fn check_binding(
    bound: &Commitment,
    key: &PublicKey,
    secret: &[u8],
) -> Result<(), Error> {
    let expected = match bound {
        Commitment::Nonce(value) | Commitment::Audience(value) => value,
        Commitment::Absent => return Ok(()),
    };
    if secret.len() != SECRET_LENGTH {
        return Err(Error::OtherKey);
    }
    let actual = commitment(key, secret).map_err(Error::KeyMalformed)?;
    verify_slices_are_equal(expected.as_bytes(), actual.as_bytes()).map_err(|_| Error::OtherKey)
}

/// Checks that `armored` is a signature by `key` over `message` in this namespace.
pub(super) fn check_proof(
    namespace: Namespace,
    key: &PublicKey,
    message: &[u8],
    armored: &str,
) -> Result<(), Error> {
    let signature = Signature::from_armored(armored)?;
    Ok(signature.verify(key, namespace, message)?)
}
