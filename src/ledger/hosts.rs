//! Verification of a host's proofs from the ledger alone. Pure.

use ssh_key::PublicKey;

use super::event::HostJoined;
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
    const UNREADABLE: &str = "is a host with an invalid key";
    let keys = joined.keys.iter().map(|it| key::parse_host(&it.key));
    let keys: Vec<PublicKey> = keys.collect::<Result<_, _>>().map_err(|_| UNREADABLE)?;
    let digest = base16ct::lower::decode_vec(&joined.digest).ok();
    let digest: [u8; 32] = digest
        .and_then(|digest| digest.try_into().ok())
        .ok_or("is a host that joined without a code or token")?;
    let proof = HostProof {
        server,
        verb: HostVerb::Join,
        digest: &digest,
        keys: &keys,
    };
    let message = proof.message().map_err(|_| UNREADABLE)?;
    let is_signed = |(key, shown): (&PublicKey, &super::event::HostKey)| {
        Signature::from_compact(&shown.signature)
            .is_ok_and(|signature| host_proof::verify(key, &message, &signature).is_ok())
    };
    match keys.iter().zip(&joined.keys).all(is_signed) {
        true => Ok(()),
        false => Err("is a host whose key did not sign"),
    }
}
