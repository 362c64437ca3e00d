//! The keys of a server's ledger, as the server names them and as this client remembers them.

use std::path::PathBuf;

use super::Error;
use crate::{
    ledger::{
        checkpoint::Verifier,
        handover::{Handover, KeyHistory},
    },
    proto::v1,
};

/// The keys that end in the `named` one.
///
/// # Errors
/// Returns [`Error::Untrusted`] if the verifier key or a handover is invalid, or they lead to
/// another key.
pub(super) fn keys(named: &str, handovers: &[Handover]) -> Result<KeyHistory, Error> {
    let newest = key(named)?;
    let keys = KeyHistory::new(newest.clone(), handovers);
    let keys = keys.map_err(|fault| untrusted(&fault.to_string()))?;
    match *keys.newest() == newest {
        true => Ok(keys),
        false => Err(untrusted(&format!(
            "its handovers lead to {} and not to {newest}",
            keys.newest()
        ))),
    }
}

/// The handovers by which the `named` key follows from the `known` ones; none if it is the newest
/// of them.
///
/// # Errors
/// Returns the sentence that says why it does not follow.
pub(super) fn followed(
    known: &Result<KeyHistory, Error>,
    named: &str,
    offered: &[Handover],
) -> Result<Option<KeyHistory>, String> {
    let known = known.as_ref().map_err(Error::to_string)?;
    let named = key(named).map_err(|error| error.to_string())?;
    let followed = known.follow(&named, offered);
    followed.map_err(|fault| fault.to_string())
}

/// Reads the handovers that a server offers. Their signatures are not verified.
///
/// # Errors
/// Returns [`Error::Untrusted`] if one has no keys.
pub(super) fn unverified_handovers(wire: Vec<v1::LedgerHandover>) -> Result<Vec<Handover>, Error> {
    let handover = |wire: v1::LedgerHandover| {
        Ok(Handover {
            size: wire.size,
            old: key(&wire.old_key)?,
            new: key(&wire.new_key)?,
            old_signature: wire.old_signature,
            new_signature: wire.new_signature,
        })
    };
    wire.into_iter().map(handover).collect()
}

/// The error of a server whose key changed without a handover, although the files `kept` remember
/// a checkpoint by the key that was `known`, or handovers to it.
pub(super) fn changed((known, named): (&str, &str), why: &str, kept: &[PathBuf]) -> Error {
    let kept: Vec<String> = kept.iter().map(|it| it.display().to_string()).collect();
    Error::Fork(format!(
        "the server's ledger key has changed from {known} to {named}, and no handover that counts says so: {why}. If the \
         server was restored from a backup from before a handover, its operators hand the ledger over again; if they \
         announced another key, remove {} and try again",
        kept.join(" and ")
    ))
}

/// Says which handovers are new.
pub(super) fn news(known: &[Handover], now: &[Handover], say: impl Fn(&str)) {
    for Handover { size, new, .. } in now.iter().filter(|it| !known.contains(it)) {
        say(&format!(
            "note: the server's ledger has another key from entry {size} on, {new}; the key before it has signed that"
        ));
    }
}

fn key(text: &str) -> Result<Verifier, Error> {
    Verifier::parse(text).map_err(|error| untrusted(&error.to_string()))
}

fn untrusted(why: &str) -> Error {
    Error::Untrusted(format!("its ledger key: {why}"))
}
