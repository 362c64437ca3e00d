//! What the ledger records. An event's stored JSON bytes are the leaf: written once, never re-encoded. Pure.
//!
//! The bytes are printable ASCII. Whatever was in a name, a reason or a claim, a leaf is one line of text that neither
//! breaks a log, nor moves a terminal's cursor, nor reads backwards.

mod actor;
mod asked;
pub mod bounds;
mod denials;
mod jump;
mod kinds;
mod locks;
mod people;
mod refused;
mod target;

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};
use time::OffsetDateTime;

use super::emergency::{Proof, Signature};
pub use actor::Actor;
pub use asked::RequestDetails;
pub use denials::Denials;
pub use jump::{Jump, RequestedJumpHost};
pub use locks::{Locked, Revoked, Unlocked};
pub use target::{Applicant, Covered, LockTarget, RevokeTarget, Target};

/// One leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The leaf's place in the ledger, from 0. A pass's serial is its event's index.
    pub index: u64,
    /// When the decision was made.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What happened.
    #[serde(flatten)]
    pub what: EventKind,
}

impl Event {
    /// The leaf's bytes: JSON on one line, without a newline at its end, all printable ASCII. Time is written in UTC.
    ///
    /// # Errors
    /// `at` is outside the years 0 to 9999.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(1024);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
        let at = self.at.to_offset(time::UtcOffset::UTC);
        let (index, what) = (self.index, &self.what);
        Utc { index, at, what }.serialize(&mut serializer)?;
        Ok(bytes)
    }

    /// Reads what [`Event::to_bytes`] wrote.
    ///
    /// # Errors
    /// Anything else: another form, an unknown kind of event, bytes that are not printable ASCII.
    pub fn parse(leaf: &[u8]) -> Result<Self, Error> {
        match leaf.iter().position(|byte| !matches!(byte, b' '..=b'~')) {
            Some(at) => Err(Error::NotPrintable(at)),
            None => Ok(serde_json::from_slice(leaf)?),
        }
    }
}

/// Any value as JSON on one line, all printable ASCII.
///
/// # Errors
/// Where the value itself cannot be written.
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

/// Why bytes are no leaf, or an event cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A leaf is printable ASCII.
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

/// The kinds of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a denial is as common as a pass, and the store boxes every event anyway"
)]
pub enum EventKind {
    /// A daemon started. Index 0 is always one, so no pass has serial 0.
    Started {
        /// The daemon's version.
        version: String,
        /// The server's name.
        server: String,
        /// Whether each commit signs its head in the database from here on.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        signed_heads: bool,
        /// Events that this start found after the signed head: not written by a daemon with this ledger's key. They
        /// changed nothing.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        unsigned: Vec<u64>,
    },
    /// A policy came into force.
    PolicyLoaded {
        /// Hash of the policy file.
        policy: String,
    },
    /// A pass was decided; its key is used only after this is durable.
    Issued(Box<Issued>),
    /// Signing failed after `issued`.
    SigningFailed {
        /// The pass that was not signed: its event's index.
        serial: u64,
        /// What went wrong.
        cause: String,
    },
    /// A proven identity was refused.
    Denied {
        /// Who asked.
        who: Actor,
        /// For what.
        ask: RequestDetails,
        /// Fingerprint of the subject key, where there was one.
        key: Option<String>,
        /// The stable reason code.
        reason: String,
        /// The sentence that the caller got.
        detail: String,
        /// Hash of the policy file that decided.
        policy: String,
        /// Whether something of ask, claims or sentence was too long and was left out ([`EventKind::bounded`]).
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        cut: bool,
        /// Whether the token that was shown was bound to no key.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        unbound: bool,
    },
    /// So many more denials, beyond the rate at which each gets an event of its own.
    Denials(Box<Denials>),
    /// An ask waits for somebody else's yes. Its index is the request's id, its leaf hash what approvers sign.
    Requested(Box<Requested>),
    /// Somebody approved a request.
    Approved(Box<RequestDecision>),
    /// Somebody denied a request.
    Refused(Box<RequestDecision>),
    /// Whoever asked took a request back.
    Cancelled(Box<RequestDecision>),
    /// Somebody closed the review of an emergency.
    Reviewed(Box<RequestDecision>),
    /// Hosts must refuse these passes from now on.
    Revoked(Box<Revoked>),
    /// Something gets no new pass, and hosts must refuse the ones it has.
    Locked(Box<Locked>),
    /// Something gets passes again; what was revoked stays revoked.
    Unlocked(Box<Unlocked>),
    /// A CA key is published and not yet used.
    KeyStaged {
        /// Its fingerprint.
        key: String,
    },
    /// A CA key signs new passes from now on.
    KeyActivated {
        /// Its fingerprint.
        key: String,
    },
    /// A CA key signs no more; it is published until its last pass expires.
    KeyRetired {
        /// Its fingerprint.
        key: String,
    },
}

/// All of a pass but its serial, which is the event's index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    /// Who it is for.
    pub who: Actor,
    /// What was asked.
    pub ask: RequestDetails,
    /// Fingerprint of the subject key (`SHA256:...`).
    pub key: String,
    /// How the token was bound to the key.
    pub binding: BindingWord,
    /// The certificate's key id.
    pub key_id: String,
    /// The certificate's principals.
    pub principals: Vec<String>,
    /// The exact force-command, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<String>,
    /// The certificate's source addresses; absent: any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_addresses: Option<Vec<String>>,
    /// The certificate's extensions.
    pub extensions: Vec<String>,
    /// Unix seconds.
    pub valid_after: u64,
    /// Unix seconds.
    pub valid_before: u64,
    /// Hash of the policy file that decided.
    pub policy: String,
    /// Fingerprint of the CA key.
    pub ca: String,
    /// Hex SHA-256 of the exact to-be-signed bytes; the writer fills it, for they hold the serial.
    pub to_be_signed: String,
    /// The signatures by registered keys, where no token was shown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub emergency_proof: Option<Box<Proof>>,
    /// Of a jump pass: what it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jump: Option<Jump>,
}

impl Issued {
    /// Who signed for it with registered keys; nobody where a token was shown.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature> {
        let proof = self.emergency_proof.iter();
        proof.flat_map(|proof| &proof.signatures)
    }
}

/// An ask that waits, with all that its pass would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    /// Who asked.
    pub who: Actor,
    /// What was asked.
    pub ask: RequestDetails,
    /// Fingerprint of the subject key that alone may redeem it.
    pub key: String,
    /// How many distinct approvers are needed.
    pub needed: u32,
    /// Unix seconds: when it ends by itself, approved or not.
    pub expires_at: u64,
    /// The principals that the pass would have.
    pub principals: Vec<String>,
    /// The exact force-command, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<String>,
    /// The source addresses; absent: any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_addresses: Option<Vec<String>>,
    /// The extensions.
    pub extensions: Vec<String>,
    /// The pass's lifetime.
    pub ttl_seconds: u64,
    /// Hash of the policy file that decided.
    pub policy: String,
    /// The bastion that it would go through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub through: Option<RequestedJumpHost>,
}

/// Somebody's decision about a request, with their signature ([`super::approval`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestDecision {
    /// The request's id.
    pub request: u64,
    /// The role that it is for.
    pub role: String,
    /// Who decided.
    pub who: Actor,
    /// Their public key in OpenSSH form.
    pub key: String,
    /// Their SSHSIG in base64, on one line.
    pub signature: String,
    /// Their words, which are signed too.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub comment: String,
    /// Hash of the policy file that let them decide.
    pub policy: String,
}

/// The binding's word in the ledger: `nonce`, `audience`, `none`; `emergency` where registered keys stand for a token.
pub type BindingWord = String;

#[cfg(test)]
pub(super) mod tests;
