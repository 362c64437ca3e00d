//! Whether an event may be the next one of a ledger: its form, its signatures, and the rules of the standing. Pure.
//!
//! `ledger verify` judges a whole export by it, and the store what it finds after the last signed head.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Event, Standing, What, approval, emergency,
    event::{self, Decided},
    standing::{Objection, Verb},
    tree::{Hash, leaf_hash},
};

/// The judge of one ledger, after some number of its events.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    size: u64,
    passes: BTreeSet<u64>,
    standing: Standing,
    server: String,
    /// The digests of what can be decided, by index.
    digests: BTreeMap<u64, Hash>,
}

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
    Objection(#[from] Objection),
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
        self.standing.admit(&event)?;
        self.accept(leaf, event)
    }

    /// How many events were taken in.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many of them are passes.
    pub fn passes(&self) -> u64 {
        self.passes.len() as u64
    }

    fn parse(&self, leaf: &[u8]) -> Result<Event, Fault> {
        let event = Event::parse(leaf)?;
        let (expected, found) = (self.size, event.index);
        match expected == found {
            true => Ok(event),
            false => Err(Fault::Index { expected, found }),
        }
    }

    fn accept(&mut self, leaf: &[u8], event: Event) -> Result<Event, Fault> {
        match &event.what {
            What::Started { server, .. } => server.clone_into(&mut self.server),
            What::Requested(_) => drop(self.digests.insert(event.index, leaf_hash(leaf))),
            What::Issued(_) => {
                self.digests.insert(event.index, leaf_hash(leaf));
                self.passes.insert(event.index);
            }
            _ => (),
        }
        self.standing.apply(&event);
        self.size += 1;
        Ok(event)
    }

    fn fits(&self, what: &What, index: u64) -> Result<(), &'static str> {
        match what {
            What::Started { .. } => Ok(()),
            _ if index == 0 => Err("is not `started`, as the first one always is"),
            What::Issued(issued) if !is_sha256(&issued.to_be_signed) => {
                Err("is a pass without the hash of what was signed")
            }
            What::Issued(issued) => emergency::check(&self.server, issued),
            What::SigningFailed { serial, .. } if !self.passes.contains(serial) => {
                Err("speaks of a serial that is no pass before it")
            }
            What::Denials(denials) if !denials.is_sound() => {
                Err("counts denials that do not add up")
            }
            What::Approved(decided) => self.signed(Verb::Approve, decided),
            What::Refused(decided) => self.signed(Verb::Deny, decided),
            What::Cancelled(decided) => self.signed(Verb::Cancel, decided),
            What::Reviewed(decided) => self.signed(Verb::Review, decided),
            What::SigningFailed { .. }
            | What::Requested(_)
            | What::PolicyLoaded { .. }
            | What::Denied { .. }
            | What::Denials(_)
            | What::Revoked(_)
            | What::Locked(_)
            | What::Unlocked(_)
            | What::KeyStaged { .. }
            | What::KeyActivated { .. }
            | What::KeyRetired { .. } => Ok(()),
        }
    }

    /// A decision carries its maker's signature over exactly the request that it names.
    fn signed(&self, verb: Verb, decided: &Decided) -> Result<(), &'static str> {
        let Some(digest) = self.digests.get(&decided.request) else {
            return Err("decides what is no request before it");
        };
        let message = approval::message(verb, &self.server, digest, &decided.comment);
        match approval::is_signed(&decided.key, &message, &decided.signature) {
            true => Ok(()),
            false => Err("is a decision without its maker's signature"),
        }
    }
}

/// A SHA-256 hash in lower-case hex.
fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
