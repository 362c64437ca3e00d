//! The ledger's events. An event's stored JSON bytes are the leaf: written once, never encoded
//! again. Pure.
//!
//! The bytes are printable ASCII. Even with hostile names, reasons or claims, a leaf is one line
//! that cannot forge a log line, move a terminal's cursor or change the direction of text.

mod actor;
mod asked;
pub(crate) mod bounds;
mod ca_key_steps;
mod ca_keys;
mod claims;
mod decision;
mod denials;
mod foreign;
mod hosts;
mod jump;
pub(crate) mod kinds;
mod ledger_key;
mod locks;
mod on_behalf;
mod people;
mod reading;
mod refused;
mod target;

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::emergency::{Proof, Signature};
use crate::{ssh::permissions::Permissions, unix_seconds::UnixSeconds};
pub use actor::Actor;
pub use asked::RequestDetails;
pub use ca_key_steps::{CaKeyState, CaKeyStep};
pub use ca_keys::{CaKeyNamed, CaKeyOrdered, ca_key_fingerprint};
pub use claims::Claims;
pub use decision::{Presence, RequestDecision};
pub(crate) use denials::Denials;
pub use foreign::{ForeignLogin, LoginFinding, SeenCertificate};
pub use hosts::{HostAdded, HostBehind, HostCertified, HostJoined, HostKey, HostRemoved};
pub(crate) use jump::{Jump, RequestedJumpHost};
pub use ledger_key::LedgerKeyChanged;
pub use locks::{Locked, Revoked, Unlocked};
pub use on_behalf::OnBehalf;
pub use target::{Applicant, Covered, LockTarget, NewHost, RevokeTarget, Target};

/// One leaf of the ledger.
///
/// ```
/// use daypass::ledger::{Event, EventKind};
///
/// // One line in the ledger; wrapped here.
/// let leaf = concat!(
///     r#"{"index":5,"at":"2026-11-22T15:32:51.123Z","type":"issued","#,
///     r#""who":{"issuer":"https://id.example.com","subject":"u-4711","#,
///     r#""label":"alice@example.com","claims":{"groups":["oncall"]}},"#,
///     r#""ask":{"role":"web-logs"},"key":"SHA256:subject","binding":"nonce","#,
///     r#""key_id":"alice@example.com/web-logs","principals":["weblogs@web"],"extensions":[],"#,
///     r#""valid_after":1795361511,"valid_before":1795363371,"#,
///     r#""policy":"abab","ca":"SHA256:ca","to_be_signed":"cdcd"}"#,
/// );
/// let event = Event::parse(leaf.as_bytes())?;
/// assert_eq!(event.index, 5);
/// assert!(matches!(&event.what, EventKind::Issued(pass) if pass.who.subject == "u-4711"));
/// assert_eq!(event.to_bytes()?, leaf.as_bytes());
/// # Ok::<(), daypass::ledger::event::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The leaf's index, from 0. A pass's serial is the index of its event.
    pub index: u64,
    /// Time of the decision.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The kind of event, with its data.
    #[serde(flatten)]
    pub what: EventKind,
}

impl Event {
    /// Encodes the leaf: one line of printable ASCII JSON without a final newline. The time is in
    /// UTC.
    ///
    /// # Errors
    /// Returns [`Error::Json`] if `at` is outside the years 0 to 9999.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(1024);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
        let at = self.at.to_offset(time::UtcOffset::UTC);
        let (index, what) = (self.index, &self.what);
        Utc { index, at, what }.serialize(&mut serializer)?;
        Ok(bytes)
    }
}

/// The hash by which events name the policy of this text: hex SHA-256 of the file's bytes.
pub(crate) fn policy_hash(text: &str) -> String {
    base16ct::lower::encode_string(&Sha256::digest(text))
}

/// Encodes a value as one line of printable ASCII JSON.
///
/// # Errors
/// Returns the error of the value's own serialization.
pub fn ascii_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, Ascii,
    ))?;
    Ok(bytes)
}

/// [`Event`], borrowed, with its time in UTC.
#[derive(Serialize)]
struct Utc<'a> {
    index: u64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    #[serde(flatten)]
    what: &'a EventKind,
}

/// Reason why bytes are not a leaf, or an event cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A byte at this offset is not printable ASCII.
    #[error("byte {0} is not printable ASCII")]
    NotPrintable(usize),
    /// Not JSON, or not an event.
    #[error("not an event: {0}")]
    Json(#[from] serde_json::Error),
}

/// Compact JSON whose strings are printable ASCII.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain = fragment;
        while let Some(at) = plain.find(|c: char| !matches!(c, ' '..='~')) {
            let (before, rest) = plain.split_at(at);
            CompactFormatter.write_string_fragment(writer, before)?;
            let mut characters = rest.chars();
            if let Some(character) = characters.next() {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            plain = characters.as_str();
        }
        CompactFormatter.write_string_fragment(writer, plain)
    }
}

/// The kinds of event, with their data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a denial is as common as a pass, and the store boxes every event anyway"
)]
pub enum EventKind {
    /// A daemon started. The event at index 0 is always of this kind, so no pass has serial 0.
    Started {
        /// The daemon's version.
        version: String,
        /// The server's name.
        server: String,
        /// Whether the head of each commit is signed in the database from here on.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        signed_heads: bool,
        /// Whether an older copy of the ledger was restored before this start.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        restored: bool,
        /// Whether that copy was put back by hand, some starts ago perhaps.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        by_hand: bool,
        /// Indices of events that this start found after the signed head. No daemon with this
        /// ledger's key wrote them; they changed nothing.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        unsigned: Vec<u64>,
    },
    /// A policy came into force.
    PolicyLoaded {
        /// Hash of the policy file: hex SHA-256 of its bytes.
        policy: String,
        /// The whole file, if another policy was in force before. Earlier versions left it out.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
    },
    /// A pass was granted. Its signature is made only after this event is durable.
    Issued(Box<Issued>),
    /// Signing failed after an `issued` event.
    SigningFailed {
        /// The pass without a signature: the index of its event.
        serial: u64,
        /// The error.
        cause: String,
    },
    /// A proven identity was denied.
    Denied {
        /// The caller.
        who: Actor,
        /// The ask that was denied.
        ask: RequestDetails,
        /// Fingerprint of the subject key, if there was one.
        key: Option<String>,
        /// The stable reason code.
        reason: String,
        /// The sentence that the caller received.
        detail: String,
        /// Hash of the policy file that denied.
        policy: String,
        /// Whether a part of ask, claims or sentence was too long and was cut
        /// ([`EventKind::bounded`]).
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        cut: bool,
        /// Whether the token was bound to no key.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        unbound: bool,
        /// The identity that asked on behalf of `who`, if it was another.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<Box<Actor>>,
    },
    /// A count of denials beyond the rate at which each gets an event of its own.
    Denials(Box<Denials>),
    /// An ask waits for approval. The event's index is the request's id; approvers sign its leaf
    /// hash.
    Requested(Box<Requested>),
    /// An approver approved a request.
    Approved(Box<RequestDecision>),
    /// An approver denied a request.
    Refused(Box<RequestDecision>),
    /// The requester withdrew a request.
    Cancelled(Box<RequestDecision>),
    /// A reviewer closed the review of an emergency.
    Reviewed(Box<RequestDecision>),
    /// Hosts must refuse these passes from now on.
    Revoked(Box<Revoked>),
    /// A target gets no new pass, and hosts must refuse the passes it has.
    Locked(Box<Locked>),
    /// A lock ended. Passes that it revoked stay revoked.
    Unlocked(Box<Unlocked>),
    /// Takes the place of an event that a lost ledger may have had.
    Skipped,
    /// A CA key is published but not yet used.
    KeyStaged {
        /// Its fingerprint.
        key: String,
    },
    /// A CA key signs new passes from now on.
    KeyActivated {
        /// Its fingerprint.
        key: String,
    },
    /// A CA key signs no new passes. It stays published until its last pass expires.
    KeyRetired {
        /// Its fingerprint.
        key: String,
    },
    /// An administrator's order about a key of the CA.
    CaKeyOrdered(Box<CaKeyOrdered>),
    /// An administrator handed the ledger over to another key.
    LedgerKeyChanged(Box<LedgerKeyChanged>),
    /// An administrator lets a host join, or join again with other keys.
    HostAdded(Box<HostAdded>),
    /// A host joined, with these keys.
    HostJoined(Box<HostJoined>),
    /// An administrator removed a host. It gets no new certificate.
    HostRemoved(Box<HostRemoved>),
    /// A host certificate. Its signature is made only after this event is durable.
    HostCertified(Box<HostCertified>),
    /// A host fell behind.
    HostBehind(Box<HostBehind>),
    /// A host that was behind is current again.
    HostCurrent {
        /// Its name.
        host: String,
    },
    /// A login on a known host that the ledger does not explain.
    ForeignLogin(Box<ForeignLogin>),
}

/// A pass, except its serial, which is the event's index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    /// The holder.
    pub who: Actor,
    /// The ask that was granted.
    pub ask: RequestDetails,
    /// Fingerprint of the subject key (`SHA256:...`).
    pub key: String,
    /// Binding of the token to the key.
    pub binding: BindingWord,
    /// The certificate's key id.
    pub key_id: String,
    /// Permissions of the certificate.
    #[serde(flatten)]
    pub permissions: Permissions,
    /// First second of validity.
    pub valid_after: UnixSeconds,
    /// First second after validity.
    pub valid_before: UnixSeconds,
    /// Hash of the policy file that granted.
    pub policy: String,
    /// Fingerprint of the CA key.
    pub ca: String,
    /// Hex SHA-256 of the exact to-be-signed bytes. The writer fills it in, because those bytes
    /// contain the serial.
    pub to_be_signed: String,
    /// Signatures by registered keys, if the pass was issued without a token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub emergency_proof: Option<Box<Proof>>,
    /// For a jump pass: the bastion and the pass that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jump: Option<Jump>,
    /// The identity that asked, if it was not the holder, and the holder's consent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub on_behalf: Option<Box<OnBehalf>>,
}

impl Issued {
    /// The signatures by registered keys; none if a token was shown.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = &Signature> {
        let proof = self.emergency_proof.iter();
        proof.flat_map(|proof| &proof.signatures)
    }
}

/// An ask that waits for approval, with all that its pass would contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    /// The requester.
    pub who: Actor,
    /// The ask.
    pub ask: RequestDetails,
    /// Fingerprint of the subject key. Only this key may redeem the request.
    pub key: String,
    /// Required number of distinct approvers.
    pub needed: u32,
    /// Time at which the request expires, approved or not.
    pub expires_at: UnixSeconds,
    /// Permissions of the pass.
    #[serde(flatten)]
    pub permissions: Permissions,
    /// Lifetime of the pass, in seconds.
    pub ttl_seconds: u64,
    /// Hash of the policy file that demands approval.
    pub policy: String,
    /// The bastion in front of the host, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub through: Option<RequestedJumpHost>,
}

/// Binding of a token: `nonce`, `audience` or `none`; `emergency` for registered keys without a
/// token.
pub(crate) type BindingWord = String;

#[cfg(test)]
pub(super) mod tests;
