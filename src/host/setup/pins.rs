//! The CA keys that the administrator named by their fingerprints.

use super::{SetupOptions, TrustedBy};
use crate::{
    host::{error::InvalidAnswer, keys::CaKeys, server::Answer},
    ssh::sshsig::Namespace,
};

/// Checks the CA keys in an answer. With pins, every key must be pinned, or a pinned key must have
/// signed them all.
pub(super) fn check_keys(
    answer: &Answer,
    options: &SetupOptions,
) -> Result<(CaKeys, TrustedBy), InvalidAnswer> {
    let pins = &options.pins;
    let keys = CaKeys::parse(&answer.body)?;
    if pins.is_empty() {
        let by = match options.server_fingerprint {
            Some(_) => TrustedBy::ServerFingerprint,
            None => TrustedBy::Tls,
        };
        return Ok((keys, by));
    }
    let served = keys
        .fingerprints()
        .into_iter()
        .collect::<Vec<_>>()
        .join(", ");
    let pinned = keys.only(pins).ok_or_else(|| {
        InvalidAnswer::Pin(format!(
            "none of the server's keys has the --ca-fingerprint; they are {served}"
        ))
    })?;
    if pinned == keys {
        return Ok((keys, TrustedBy::Pin));
    }
    let signed = pinned.verify(
        "/ca.pub",
        Namespace::CaKeys,
        &answer.body,
        &answer.signatures,
    );
    signed.map_err(|error| {
        InvalidAnswer::Pin(format!(
            "not all of the server's keys are pinned ({served}), and {error}"
        ))
    })?;
    Ok((keys, TrustedBy::Pin))
}
