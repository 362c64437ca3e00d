//! The documents that a signer signs for hosts, and what it demands of each. Pure.
//!
//! No event says what a document must hold, so a signer cannot demand a proof of its content. It
//! demands that a stolen daemon cannot use one to make hosts trust other keys or other people: a
//! list of CA keys names keys of the signer's configuration only, and a recovery document names
//! exactly its administrators. A list of revoked passes can lack one that a stolen daemon wants to
//! use, as a daemon can also withhold the list.

use std::collections::BTreeSet;

use ssh_key::PublicKey;

use crate::{
    ca::to_sign::HostDocument,
    ledger::recovery::Recovery,
    ssh::{self, ca_keys, krl::Krl},
};

/// The most keys that a fault names.
const NAMED: usize = 8;

/// What a signer knows of the documents.
pub(super) struct Known<'a> {
    /// The CA's keys.
    pub(super) keys: BTreeSet<Vec<u8>>,
    /// The key that signs.
    pub(super) own: &'a PublicKey,
    /// The server's name.
    pub(super) server: &'a str,
    /// Fingerprints of the administrators' keys.
    pub(super) administrators: &'a BTreeSet<String>,
    /// The size of the checkpoint that came with it: versions are indices.
    pub(super) size: u64,
}

/// Fault of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It does not read as what it is.
    #[error("{0}")]
    Unreadable(String),
    /// Its version is no index of the ledger.
    #[error("its version {0} is beyond the ledger")]
    Version(u64),
    /// A key that is not in the signer's configuration.
    #[error(
        "it names a CA key that the signer's configuration does not: {0}. Name its public half in `others` of signer.toml, \
         and start the signer again"
    )]
    Key(String),
    /// The list lacks the key that signs it.
    #[error("it lacks the key that signs")]
    OwnKey,
    /// A serial that the ledger does not have.
    #[error("it revokes a pass that the ledger does not have")]
    Serial,
    /// Another server.
    #[error("it is of another server: {0}")]
    Server(String),
    /// Other administrators than the signer's configuration names.
    #[error(
        "its administrators' keys are not those of the signer's configuration: it names {}. Set `administrators` of \
         signer.toml to what [admin] of the policy names, and start the signer again",
        listed(.0)
    )]
    Administrators(BTreeSet<String>),
}

/// Checks a document.
///
/// # Errors
/// The first [`Fault`].
pub(super) fn check(kind: HostDocument, content: &[u8], known: &Known<'_>) -> Result<(), Fault> {
    match kind {
        HostDocument::Krl => krl(content, known),
        HostDocument::CaKeys => keys(content, known),
        HostDocument::Recovery => recovery(content, known),
    }
}

fn krl(content: &[u8], known: &Known<'_>) -> Result<(), Fault> {
    let list = Krl::parse(content).map_err(|error| Fault::Unreadable(error.to_string()))?;
    within(list.version(), known.size)?;
    for (ca, serials) in list.sections() {
        if !ca.is_empty() && !known.keys.contains(ca) {
            return Err(Fault::Key(fingerprint(ca)));
        }
        if serials.last().is_some_and(|last| *last >= known.size) {
            return Err(Fault::Serial);
        }
    }
    Ok(())
}

/// A version line, and one line for each key.
fn keys(content: &[u8], known: &Known<'_>) -> Result<(), Fault> {
    let unreadable = |what: &str| Fault::Unreadable(what.to_owned());
    let text = std::str::from_utf8(content).map_err(|_| unreadable("it is not text"))?;
    let version = ca_keys::version_of(text);
    let lines = text
        .strip_prefix(&ca_keys::version_line(version))
        .ok_or_else(|| unreadable("its first line is not its version"))?;
    within(version, known.size)?;
    let mut has_own = false;
    for line in lines.lines() {
        let key = PublicKey::from_openssh(line).map_err(|_| unreadable("a line is not a key"))?;
        let is_canonical = key.to_openssh().is_ok_and(|again| again == line);
        let blob = key
            .to_bytes()
            .map_err(|_| unreadable("a line is not a key"))?;
        if !is_canonical || !known.keys.contains(&blob) {
            return Err(Fault::Key(ssh::key::fingerprint(&key)));
        }
        has_own |= key.key_data() == known.own.key_data();
    }
    has_own.then_some(()).ok_or(Fault::OwnKey)
}

fn recovery(content: &[u8], known: &Known<'_>) -> Result<(), Fault> {
    let document =
        Recovery::parse(content).map_err(|error| Fault::Unreadable(error.to_string()))?;
    within(document.version, known.size)?;
    if document.server != known.server {
        return Err(Fault::Server(document.server));
    }
    if document.administrators != *known.administrators {
        return Err(Fault::Administrators(document.administrators));
    }
    if let Some(restored) = &document.restored {
        within(restored.size, known.size)?;
    }
    document
        .accepted
        .map_or(Ok(()), |accepted| within(accepted.index, known.size))
}

fn within(version: u64, size: u64) -> Result<(), Fault> {
    match version <= size {
        true => Ok(()),
        false => Err(Fault::Version(version)),
    }
}

/// The first of these keys, for people.
fn listed(keys: &BTreeSet<String>) -> String {
    let named: Vec<&str> = keys.iter().take(NAMED).map(String::as_str).collect();
    match (named.is_empty(), keys.len().saturating_sub(NAMED)) {
        (true, _) => "none".to_owned(),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    }
}

fn fingerprint(blob: &[u8]) -> String {
    PublicKey::from_bytes(blob).map_or_else(
        |_| "not a key".to_owned(),
        |key| ssh::key::fingerprint(&key),
    )
}
