//! Which CA keys a set-up trusts.

use serde::Serialize;
use ssh_key::{Fingerprint, HashAlg};

use super::SetupOptions;
use crate::{
    host::{
        Error, Settings,
        error::InvalidAnswer,
        files::Layout,
        keys::CaKeys,
        server::{Answer, Server},
        sync,
    },
    ssh::sshsig::Namespace,
};

/// Reason why the CA keys are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrustedBy {
    /// The administrator named their fingerprints, or that of a key that signed them all.
    Pin,
    /// A CA key that this host trusts has signed them: it was set up for this server before.
    KnownKey,
    /// The administrator named the fingerprint of the server's TLS certificate.
    ServerFingerprint,
    /// Only the server's TLS certificate proves them.
    Tls,
}

/// The CA keys that this host trusts, if it is set up for this server already. With keys that are
/// missing or broken it trusts none: a set-up is what helps.
///
/// # Errors
/// Returns [`Error::File`] if the keys cannot be read.
pub(super) fn kept(
    layout: &Layout,
    before: Option<&Settings>,
    server: &Server,
) -> Result<Option<CaKeys>, Error> {
    if !before.is_some_and(|before| server.is_any_of(&before.server)) {
        return Ok(None);
    }
    match sync::trusted(layout) {
        Ok(keys) => Ok(Some(keys)),
        Err(Error::Usage(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks the server for its CA keys, and checks them by [`check`].
///
/// # Errors
/// Returns the error if the server does not answer, or the keys are refused.
pub(super) async fn ask(
    server: &Server,
    options: &SetupOptions,
    kept: Option<&CaKeys>,
) -> Result<(CaKeys, TrustedBy), Error> {
    Ok(check(&server.ca_keys().await?, options, kept)?)
}

/// Checks the CA keys in an answer. With pins, every key must be pinned, or a pinned key must have
/// signed them all. `kept` are those that this host trusts: one of them must have signed, unless a
/// pin names another key, and an older list must not replace theirs.
fn check(
    answer: &Answer,
    options: &SetupOptions,
    kept: Option<&CaKeys>,
) -> Result<(CaKeys, TrustedBy), InvalidAnswer> {
    let keys = CaKeys::parse(&answer.body)?;
    if !options.pins.is_empty() {
        check_pins(&keys, answer, &options.pins)?;
    }
    let by = match (&*options.pins, kept, options.server_fingerprint) {
        ([_, ..], _, _) => TrustedBy::Pin,
        ([], Some(_), _) => TrustedBy::KnownKey,
        ([], None, Some(_)) => TrustedBy::ServerFingerprint,
        ([], None, None) => TrustedBy::Tls,
    };
    let Some(kept) = kept else {
        return Ok((keys, by));
    };
    let is_new = |pin: &Fingerprint| {
        let mut kept = kept.iter();
        !kept.any(|key| key.fingerprint(HashAlg::Sha256) == *pin)
    };
    let checked = match options.pins.iter().any(is_new) {
        true => sync::not_older(kept, keys),
        false => sync::check_keys(kept, answer),
    };
    let checked = checked.map_err(|cause| InvalidAnswer::Again(Box::new(cause)))?;
    Ok((checked, by))
}

fn check_pins(keys: &CaKeys, answer: &Answer, pins: &[Fingerprint]) -> Result<(), InvalidAnswer> {
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
    if pinned == *keys {
        return Ok(());
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
    })
}
