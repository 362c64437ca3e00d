//! Key binding and proof of possession (PROTOCOL.sshsig). Pure.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use ssh_key::{Algorithm, PublicKey, SshSig};

use super::{
    Commitment, Error,
    proof::{SECRET_LENGTH, commitment},
};

/// Bytes of an armored proof at most: a 16,384-bit RSA key with its signature fits.
const PROOF_LIMIT: usize = 8 * 1024;

/// Bytes at the end of a security key's signature: flags (u8) and counter (u32), PROTOCOL.u2f.
const SECURITY_KEY_TRAILER: usize = 5;

/// The flag that a finger touched the security key, PROTOCOL.u2f.
const USER_PRESENT: u8 = 0x01;

/// The token's commitment, if it has one, is to this key and secret.
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
    let actual = commitment(key, secret).map_err(Error::ProofMalformed)?;
    verify_slices_are_equal(expected.as_bytes(), actual.as_bytes()).map_err(|_| Error::OtherKey)
}

/// `armored` is a signature by `key` over `message` in this namespace.
pub(super) fn check_proof(
    namespace: &str,
    key: &PublicKey,
    message: &[u8],
    armored: &str,
) -> Result<(), Error> {
    if armored.len() > PROOF_LIMIT {
        return Err(Error::ProofKind("it is too large"));
    }
    let proof = SshSig::from_pem(armored).map_err(Error::ProofMalformed)?;
    check_kind(&proof)?;
    key.verify(namespace, message, &proof).map_err(Error::Proof)
}

/// What ssh-key leaves to its caller: the version from below, reserved bytes, and that a security key was touched.
/// (Its hash algorithms are SHA-256 and SHA-512 only; it compares key and namespace, and knows no RSA with SHA-1.)
fn check_kind(proof: &SshSig) -> Result<(), Error> {
    if proof.version() != SshSig::VERSION {
        return Err(Error::ProofKind("its version is unknown"));
    }
    if !proof.reserved().is_empty() {
        return Err(Error::ProofKind("it has reserved content"));
    }
    match proof.algorithm() {
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => check_touched(proof),
        _ => Ok(()),
    }
}

fn check_touched(proof: &SshSig) -> Result<(), Error> {
    let signature = proof.signature_bytes();
    let flags = signature
        .len()
        .checked_sub(SECURITY_KEY_TRAILER)
        .and_then(|at| signature.get(at));
    match flags {
        Some(flags) if flags & USER_PRESENT != 0 => Ok(()),
        _ => Err(Error::ProofKind("the security key was not touched")),
    }
}
