//! Judges whether an event may come next in a ledger: its form, its signatures, and the rules of
//! the ledger state. Pure.
//!
//! `ledger verify` applies it to a whole export, and the store to the events after the last signed
//! head.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Event, EventKind, LedgerState, acceptance, approval, consent, emergency,
    event::{self, LedgerKeyChanged, RequestDecision},
    hosts,
    state::{Rejection, Verb},
    tree::{Hash, leaf_hash},
};

/// The judge of one ledger, after some number of its events. Its memory is bounded by that of the
/// ledger state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judge {
    size: u64,
    passes: u64,
    state: LedgerState,
    server: String,
    signs_heads: bool,
    last_at: Option<OffsetDateTime>,
    /// Leaf hashes of requests and passes that can be decided or reviewed, by index.
    digests: BTreeMap<u64, Hash>,
    /// Number of digests at which those of forgotten requests are dropped.
    digests_limit: usize,
}

/// Smallest value of `digests_limit`, so that small ledgers are never scanned.
const FEWEST_DIGESTS: usize = 64;

/// Reason why an event is not valid at its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The leaf is not an event in the ledger's form.
    #[error("{0}")]
    Event(#[from] event::Error),
    /// An event is missing, repeated or out of order.
    #[error("the event here must have index {expected}, and it has {found}")]
    Index {
        /// The index expected here.
        expected: u64,
        /// The index of the event.
        found: u64,
    },
    /// The event contradicts earlier ones, or its signature is missing or invalid.
    #[error("{0}")]
    Contradiction(&'static str),
    /// A rule of the ledger state rejects the event.
    #[error("breaks a rule: {0}")]
    Rejection(#[from] Rejection),
}

impl Judge {
    /// Judges the next leaf and takes it in if it is valid.
    ///
    /// # Errors
    /// Returns the first fault. The judge cannot be used afterwards.
    pub(crate) fn take(&mut self, leaf: &[u8]) -> Result<Event, Fault> {
        let event = Event::parse(leaf)?;
        self.take_parsed(&event, leaf_hash(leaf))?;
        Ok(event)
    }

    /// [`Judge::take`] of a leaf that was parsed already. `digest` is its leaf hash.
    ///
    /// # Errors
    /// As [`Judge::take`].
    pub(crate) fn take_parsed(&mut self, event: &Event, digest: Hash) -> Result<(), Fault> {
        self.expect_next(event)?;
        self.fits(&event.what, event.index)
            .map_err(Fault::Contradiction)?;
        self.state.admit(event)?;
        self.accept(digest, event);
        Ok(())
    }

    /// Takes in the next leaf without checking its signatures and rules, because a signed head
    /// covers it.
    ///
    /// # Errors
    /// Returns [`Fault::Event`] or [`Fault::Index`] if it is not the next event.
    pub(crate) fn take_covered(&mut self, leaf: &[u8], digest: Hash) -> Result<(), Fault> {
        let event = Event::parse(leaf)?;
        self.expect_next(&event)?;
        self.accept(digest, &event);
        Ok(())
    }

    /// Takes in the next event, which the state of [`Judge::state`] has admitted. `digest` is
    /// its leaf hash.
    pub(crate) fn accept(&mut self, digest: Hash, event: &Event) {
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
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::LedgerKeyChanged(_)
            | EventKind::HostAdded(_)
            | EventKind::HostJoined(_)
            | EventKind::HostRemoved(_)
            | EventKind::CaKeyOrdered(_)
            | EventKind::HostCertified(_)
            | EventKind::HostBehind(_)
            | EventKind::HostCurrent { .. }
            | EventKind::ForeignLogin(_) => (),
        }
        self.state.apply(event);
        self.remember(event.index, digest);
        self.last_at = Some(event.at);
        self.size += 1;
    }

    /// Number of events.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Number of passes among them.
    pub(crate) fn passes(&self) -> u64 {
        self.passes
    }

    /// The ledger state after these events.
    pub(crate) fn state(&self) -> &LedgerState {
        &self.state
    }

    /// The time of the last event.
    pub(crate) fn last_at(&self) -> Option<OffsetDateTime> {
        self.last_at
    }

    /// Whether one of the events says that heads are signed from there on.
    pub(crate) fn signs_heads(&self) -> bool {
        self.signs_heads
    }

    /// Keeps the digest of a request, or of a pass under review.
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

    fn expect_next(&self, event: &Event) -> Result<(), Fault> {
        let (expected, found) = (self.size, event.index);
        match expected == found {
            true => Ok(()),
            false => Err(Fault::Index { expected, found }),
        }
    }

    fn fits(&self, what: &EventKind, index: u64) -> Result<(), &'static str> {
        if index == 0 && !matches!(what, EventKind::Started { .. }) {
            return Err("is the first one and is not `started`");
        }
        match what {
            EventKind::Issued(issued) if !is_sha256(&issued.to_be_signed) => {
                Err("is a pass without the hash of its signed bytes")
            }
            EventKind::Issued(issued) => {
                emergency::check(&self.server, issued)?;
                consent::check(&self.server, issued)
            }
            EventKind::SigningFailed { serial, .. } if !self.state.has_certificate(*serial) => {
                Err("names a serial that no earlier certificate has")
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
                order.map_or(Ok(()), |order| order.check(&self.server))?;
                acceptance::check_statement(what, &self.server)
            }
            EventKind::LedgerKeyChanged(changed) => {
                let order = what.order();
                order.map_or(Ok(()), |order| order.check(&self.server))?;
                self.hands_over(changed)
            }
            EventKind::HostAdded(_) | EventKind::HostRemoved(_) | EventKind::CaKeyOrdered(_) => {
                let order = what.order();
                order.map_or(Ok(()), |order| order.check(&self.server))
            }
            EventKind::HostJoined(joined) => hosts::check(&self.server, joined),
            EventKind::HostCertified(certified) if !is_sha256(&certified.to_be_signed) => {
                Err("is a host certificate without the hash of its signed bytes")
            }
            EventKind::PolicyLoaded { policy, text } => self.has_its_text(policy, text.as_deref()),
            EventKind::Started { .. }
            | EventKind::HostCertified(_)
            | EventKind::SigningFailed { .. }
            | EventKind::Requested(_)
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::HostBehind(_)
            | EventKind::HostCurrent { .. }
            | EventKind::ForeignLogin(_) => Ok(()),
        }
    }

    fn hands_over(&self, changed: &LedgerKeyChanged) -> Result<(), &'static str> {
        let of_this_ledger = format!("{}/ledger", self.server);
        match changed.handover.check() {
            Ok(()) if changed.handover.new.origin() == of_this_ledger => Ok(()),
            Ok(()) => Err("hands over another ledger"),
            Err(_) => Err("is a handover without the signatures of both keys"),
        }
    }

    /// Checks that a policy's text is there if it must be, and that it is that policy's.
    fn has_its_text(&self, policy: &str, text: Option<&str>) -> Result<(), &'static str> {
        match text {
            None if self.state.lacks_policy_text(policy) => {
                Err("puts another policy in force without its text")
            }
            Some(text) if event::policy_hash(text) != policy => {
                Err("has a policy's text with another hash than the one it names")
            }
            None | Some(_) => Ok(()),
        }
    }

    /// Verifies the decider's signature over the request that the decision names.
    fn signed(&self, verb: Verb, decided: &RequestDecision) -> Result<(), &'static str> {
        let Some(digest) = self.digests.get(&decided.request) else {
            return Err("decides a request that does not exist");
        };
        let message = approval::Message {
            verb,
            server_name: &self.server,
            issuer: &decided.who.issuer,
            subject: &decided.who.subject,
            digest,
            comment: &decided.comment,
        };
        let message = message.to_bytes();
        if !approval::is_signed(&decided.key, &message, &decided.signature) {
            return Err("is a decision with an invalid signature");
        }
        match &decided.presence {
            Some(it) if !approval::shows_presence(&it.key, &message, &it.signature) => {
                Err("is a decision with an invalid signature of a passkey or security key")
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A SHA-256 hash in lower-case hex.
fn is_sha256(text: &str) -> bool {
    base16ct::lower::decode(text, &mut [0; 32]).is_ok_and(|hash| hash.len() == 32)
}

#[cfg(test)]
mod tests;
