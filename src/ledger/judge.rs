//! Whether an event may be the next one of a ledger: its form, its signatures, and the rules of the standing. Pure.
//!
//! `ledger verify` judges a whole export by it, and the store what it finds after the last signed head.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{
    Event, EventKind, LedgerState, approval, emergency,
    event::{self, RequestDecision},
    state::{Rejection, Verb},
    tree::{Hash, leaf_hash},
};

/// The judge of one ledger, after some number of its events. Its memory is bounded by what the standing remembers.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    size: u64,
    passes: u64,
    state: LedgerState,
    server: String,
    signs_heads: bool,
    last_at: Option<OffsetDateTime>,
    /// The digests of what can be decided, by index.
    digests: BTreeMap<u64, Hash>,
    /// At this many digests, those that the standing has forgotten are dropped.
    digests_limit: usize,
}

/// The fewest digests that are worth a look for forgotten ones.
const FEWEST_DIGESTS: usize = 64;

/// What is wrong with an event in its place.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is not an event of the form that the ledger writes.
    #[error("{0}")]
    Event(#[from] event::Error),
    /// An event is missing before it, or stands twice, or is out of order.
    #[error("the event here must have index {expected}, and it has {found}")]
    Index {
        /// The index that belongs here.
        expected: u64,
        /// The index that the event has.
        found: u64,
    },
    /// It contradicts the events before it, or lacks a signature.
    #[error("{0}")]
    Contradiction(&'static str),
    /// A rule of the standing is against it.
    #[error("could not be: {0}")]
    Rejection(#[from] Rejection),
}

impl Judge {
    /// Judges the next leaf, and takes it in if nothing is wrong with it.
    ///
    /// # Errors
    /// The first thing that is wrong; the judge is then of no further use.
    pub fn take(&mut self, leaf: &[u8]) -> Result<Event, Fault> {
        let event = self.parse(leaf)?;
        self.fits(&event.what, event.index)
            .map_err(Fault::Contradiction)?;
        self.state.admit(&event)?;
        self.accept(leaf_hash(leaf), &event);
        Ok(event)
    }

    /// Takes in the next leaf without a look at its signatures and rules, because a signed head covers it.
    ///
    /// # Errors
    /// [`Fault::Event`] or [`Fault::Index`] if it is not the next event at all.
    pub fn take_covered(&mut self, leaf: &[u8], digest: Hash) -> Result<(), Fault> {
        let event = self.parse(leaf)?;
        self.accept(digest, &event);
        Ok(())
    }

    /// Takes in the next event, which was admitted by [`Judge::state`]; `digest` is its leaf's hash.
    pub fn accept(&mut self, digest: Hash, event: &Event) {
        match &event.what {
            EventKind::Started {
                server,
                signed_heads,
                ..
            } => {
                server.clone_into(&mut self.server);
                self.signs_heads |= signed_heads;
            }
            EventKind::Issued(_) => self.passes += 1,
            EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Requested(_)
            | EventKind::Approved(_)
            | EventKind::Refused(_)
            | EventKind::Cancelled(_)
            | EventKind::Reviewed(_)
            | EventKind::Revoked(_)
            | EventKind::Locked(_)
            | EventKind::Unlocked(_)
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. } => (),
        }
        self.state.apply(event);
        self.remember(event.index, digest);
        self.last_at = Some(event.at);
        self.size += 1;
    }

    /// How many events were taken in.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many of them are passes.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// What stands after them.
    pub fn state(&self) -> &LedgerState {
        &self.state
    }

    /// The time of the last one.
    pub fn last_at(&self) -> Option<OffsetDateTime> {
        self.last_at
    }

    /// Whether one of them says that the head of each commit is signed from there on.
    pub fn signs_heads(&self) -> bool {
        self.signs_heads
    }

    /// Keeps the digest of what can be decided: a request, or a pass under review.
    fn remember(&mut self, index: u64, digest: Hash) {
        if self.state.request(index).is_none() {
            return;
        }
        self.digests.insert(index, digest);
        if self.digests.len() > self.digests_limit {
            let state = &self.state;
            self.digests
                .retain(|index, _| state.request(*index).is_some());
            self.digests_limit = FEWEST_DIGESTS.max(self.digests.len() * 2);
        }
    }

    fn parse(&self, leaf: &[u8]) -> Result<Event, Fault> {
        let event = Event::parse(leaf)?;
        let (expected, found) = (self.size, event.index);
        match expected == found {
            true => Ok(event),
            false => Err(Fault::Index { expected, found }),
        }
    }

    fn fits(&self, what: &EventKind, index: u64) -> Result<(), &'static str> {
        match what {
            EventKind::Started { .. } => Ok(()),
            _ if index == 0 => Err("is not `started`, as the first one always is"),
            EventKind::Issued(issued) if !is_sha256(&issued.to_be_signed) => {
                Err("is a pass without the hash of what was signed")
            }
            EventKind::Issued(issued) => emergency::check(&self.server, issued),
            EventKind::SigningFailed { serial, .. } if !self.state.has_pass(*serial) => {
                Err("speaks of a serial that is no pass before it")
            }
            EventKind::Denials(denials) if !denials.is_valid() => {
                Err("counts denials that do not add up")
            }
            EventKind::Approved(decided) => self.signed(Verb::Approve, decided),
            EventKind::Refused(decided) => self.signed(Verb::Deny, decided),
            EventKind::Cancelled(decided) => self.signed(Verb::Cancel, decided),
            EventKind::Reviewed(decided) => self.signed(Verb::Review, decided),
            EventKind::Revoked(_) | EventKind::Locked(_) | EventKind::Unlocked(_) => {
                let order = what.order();
                order.map_or(Ok(()), |order| order.check(&self.server))
            }
            EventKind::SigningFailed { .. }
            | EventKind::Requested(_)
            | EventKind::PolicyLoaded { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. } => Ok(()),
        }
    }

    /// A decision carries its maker's signature over exactly the request that it names.
    fn signed(&self, verb: Verb, decided: &RequestDecision) -> Result<(), &'static str> {
        let Some(digest) = self.digests.get(&decided.request) else {
            return Err("decides what is no request before it");
        };
        let message = approval::Message {
            verb,
            server_name: &self.server,
            issuer: &decided.who.issuer,
            subject: &decided.who.subject,
            digest,
            comment: &decided.comment,
        };
        match approval::is_signed(&decided.key, &message.to_bytes(), &decided.signature) {
            true => Ok(()),
            false => Err("is a decision without its maker's signature"),
        }
    }
}

/// A SHA-256 hash in lower-case hex.
fn is_sha256(text: &str) -> bool {
    text.len() == 64 && base16ct::lower::decode_vec(text).is_ok()
}

#[cfg(test)]
mod tests;
