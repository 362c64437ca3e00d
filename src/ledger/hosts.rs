//! Verification of a host's proofs from the ledger alone. Pure.

use ssh_key::PublicKey;

use super::event::{HostJoined, HostKey};
use crate::ssh::{
    host_proof::{self, HostProof, HostVerb},
    key,
    sshsig::Signature,
};

/// Verifies the signature of each key of a host that joined `server`.
///
/// # Errors
/// Returns the fault, as a sentence about the event.
pub(super) fn check(server: &str, joined: &HostJoined) -> Result<(), &'static str> {
    let digest = base16ct::lower::decode_vec(&joined.digest).ok();
    let digest: [u8; 32] = digest
        .and_then(|digest| digest.try_into().ok())
        .ok_or("is a host that joined without a code or token")?;
    match is_signed_by_all(server, HostVerb::Join, &digest, &joined.keys) {
        None => Err("is a host with an invalid key"),
        Some(false) => Err("is a host whose key did not sign"),
        Some(true) => Ok(()),
    }
}

/// Whether each key signed the call about `digest` at `server`. None if a key is invalid.
pub(crate) fn is_signed_by_all(
    server: &str,
    verb: HostVerb,
    digest: &[u8; 32],
    shown: &[HostKey],
) -> Option<bool> {
    let keys = shown.iter().map(|it| key::parse_host(&it.key).ok());
    let keys: Vec<PublicKey> = keys.collect::<Option<_>>()?;
    let proof = HostProof {
        server,
        verb,
        digest,
        keys: &keys,
    };
    let message = proof.message().ok()?;
    let is_signed = |(key, shown): (&PublicKey, &HostKey)| {
        Signature::from_compact(&shown.signature)
            .is_ok_and(|signature| host_proof::verify(key, &message, &signature).is_ok())
    };
    Some(keys.iter().zip(shown).all(is_signed))
}
