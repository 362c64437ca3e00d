//! Offline verification of an export. Pure.
//!
//! What needs no other event, parsing and hashing, is done by blocks of lines ([`Block::prepare`]),
//! on several threads if the caller has them. The rest is done in order.
//!
//! Format: one line per leaf (its JSON bytes) from index 0 on, an empty line, then the signed
//! checkpoint to the end.

mod lines;

use super::{
    Event,
    checkpoint::{self, Checkpoint, Verifier},
    event,
    handover::{self, Handover, KeyHistory},
    judge::{Fault, Judge},
    state::Rejection,
    tree::{Frontier, Hash},
};
pub(crate) use lines::{Block, Prepared};
use lines::{Lines, NOTE_LIMIT};

/// The content of a valid export.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// The checkpoint that covers all events.
    pub checkpoint: Checkpoint,
    /// Number of events.
    pub events: u64,
    /// Number of passes.
    pub passes: u64,
    /// The handovers of its key.
    pub handovers: Vec<Handover>,
}

/// Fault of an export. Lines count from 1 and indices from 0: line n holds the event with
/// index n - 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not end in an empty line and a checkpoint.
    #[error("line {line}: no checkpoint follows the events; the export is cut off")]
    CutOff {
        /// The last line.
        line: u64,
    },
    /// The file has no byte.
    #[error("the export is empty")]
    Empty,
    /// The checkpoint ends before its signature does.
    #[error("line {line}: the checkpoint is not whole; the export is cut off")]
    CutCheckpoint {
        /// The checkpoint's first line.
        line: u64,
    },
    /// A line has no end for so long that it is not an event.
    #[error("line {line}: it is over 16 MiB long, and an event is not")]
    TooLong {
        /// The line.
        line: u64,
    },
    /// The checkpoint does not verify with this ledger's key.
    #[error("line {line}: {source}")]
    Checkpoint {
        /// The checkpoint's first line.
        line: u64,
        /// The checkpoint's error.
        source: checkpoint::Error,
    },
    /// The ledger's handovers do not lead from the known keys to the key of its checkpoint.
    #[error("line {line}: {source}")]
    Keys {
        /// The checkpoint's first line.
        line: u64,
        /// The fault.
        source: handover::Fault,
    },
    /// A line is not an event in the ledger's form.
    #[error("line {line}: {source}")]
    Event {
        /// The line.
        line: u64,
        /// The error.
        source: event::Error,
    },
    /// An event is missing before this line, repeated or out of order.
    #[error("line {line}: the event here must have index {expected}, and it has {found}")]
    Index {
        /// The line.
        line: u64,
        /// The expected index.
        expected: u64,
        /// The index of the event.
        found: u64,
    },
    /// An event contradicts the ones before it.
    #[error("line {line}: event {index} {what}")]
    Contradiction {
        /// The line.
        line: u64,
        /// The event's index.
        index: u64,
        /// The contradiction.
        what: &'static str,
    },
    /// A rule of the ledger state rejects an event.
    #[error("line {line}: event {index} breaks a rule: {rejection}")]
    Rejection {
        /// The line.
        line: u64,
        /// The event's index.
        index: u64,
        /// The broken rule.
        rejection: Rejection,
    },
    /// There are fewer or more events than were signed.
    #[error("the checkpoint is over {signed} events, and lines 1 to {events} hold {events}")]
    Size {
        /// The checkpoint's size.
        signed: u64,
        /// The number of events.
        events: u64,
    },
    /// Every line has the right form, but some line is not what was signed.
    #[error(
        "lines 1 to {events} (events 0 to {}) are not what was signed: at least one was changed",
        .events.saturating_sub(1)
    )]
    Root {
        /// The number of events.
        events: u64,
    },
}

/// Verifies a whole export.
///
/// Every leaf parses, has its own index and is admitted after the ones before it. Together they
/// have the size and root of a checkpoint that `verifier` accepts.
///
/// # Errors
/// Returns the first fault with its line.
pub fn verify_export(export: &[u8], verifier: &Verifier) -> Result<VerifyReport, Error> {
    let mut verification = Verification::default();
    verification.take(export)?;
    verification.finish(&KeyHistory::from(verifier.clone()))
}

/// Bytes of a part that is split at once.
const PART: usize = 256 * 1024;

/// A verification that takes an export in parts of any size. Its memory is bounded by that of the
/// ledger state.
#[derive(Default)]
pub(crate) struct Verification {
    frontier: Frontier,
    judge: Judge,
    lines: Lines,
    /// A size whose root is kept.
    wanted: Option<u64>,
    root: Option<Hash>,
}

impl Verification {
    /// Begins one that keeps the root of the first `size` events.
    pub(crate) fn with_root_of(size: u64) -> Self {
        let mut verification = Self {
            wanted: Some(size),
            ..Self::default()
        };
        verification.keep_root();
        verification
    }

    /// The root of the size that was asked for, once there are so many events.
    pub(crate) fn root(&self) -> Option<Hash> {
        self.root
    }

    /// Number of events so far.
    pub(crate) fn events(&self) -> u64 {
        self.frontier.size()
    }

    /// Takes the next part of the export. The checkpoint behind the events is not checked yet.
    ///
    /// # Errors
    /// Returns the first fault with its line.
    pub(crate) fn take(&mut self, part: &[u8]) -> Result<(), Error> {
        // A large part has several blocks.
        for part in part.chunks(PART) {
            if let Some(block) = self.split(part)? {
                self.judge(block.prepare())?;
            }
        }
        Ok(())
    }

    /// Takes the next part of the export, up to [`PART`] bytes. Returns a block to prepare, if one
    /// is full: the results go to [`Verification::judge`], in order.
    ///
    /// # Errors
    /// Returns [`Error::TooLong`], whose line is right once every block before it was judged.
    pub(crate) fn split(&mut self, part: &[u8]) -> Result<Option<Block>, Error> {
        let taken = self.lines.take(part);
        taken.map_err(|lines::TooLong { line }| Error::TooLong { line })
    }

    /// The events that are in no block yet, after the last part.
    pub(crate) fn remaining(&mut self) -> Option<Block> {
        self.lines.remaining()
    }

    /// Judges the next events. Returns them: each may stand at its place.
    ///
    /// # Errors
    /// Returns the first fault with its line.
    pub(crate) fn judge(&mut self, prepared: Prepared) -> Result<Vec<Event>, Error> {
        let Prepared {
            events,
            digests,
            fault,
        } = prepared;
        for (event, digest) in events.iter().zip(digests) {
            self.event(event, digest)?;
            self.frontier.add(digest);
            self.keep_root();
        }
        match fault {
            None => Ok(events),
            Some(source) => Err(Error::Event {
                line: self.frontier.size() + 1,
                source,
            }),
        }
    }

    fn event(&mut self, event: &Event, digest: Hash) -> Result<(), Error> {
        let index = self.frontier.size();
        let line = index + 1;
        let judged = self.judge.take_parsed(event, digest);
        judged.map_err(|fault| match fault {
            Fault::Event(source) => Error::Event { line, source },
            Fault::Index { expected, found } => Error::Index {
                line,
                expected,
                found,
            },
            Fault::Contradiction(what) => Error::Contradiction { line, index, what },
            Fault::Rejection(rejection) => Error::Rejection {
                line,
                index,
                rejection,
            },
        })
    }

    fn keep_root(&mut self) {
        if self.wanted == Some(self.frontier.size()) {
            self.root = Some(self.frontier.root());
        }
    }

    /// Compares the events with the checkpoint behind them. It is signed by the key to which the
    /// handovers among the events lead; they must lead to or from a key that is known.
    ///
    /// # Errors
    /// Returns the first fault with its line.
    pub(crate) fn finish(mut self, keys: &KeyHistory) -> Result<VerifyReport, Error> {
        if let Some(block) = self.remaining() {
            self.judge(block.prepare())?;
        }
        let events = self.frontier.size();
        let (note, is_cut) = self.lines.end();
        let Some(note) = note else {
            let line = events + u64::from(is_cut);
            return Err(match line {
                0 => Error::Empty,
                line => Error::CutOff { line },
            });
        };
        let line = events + 2;
        let note = String::from_utf8_lossy(&note);
        // Signatures are behind an empty line, and each line has its end. A note that is too long
        // is not cut off.
        let signatures = note.split_once("\n\n").map(|(_, signatures)| signatures);
        let is_whole = signatures.is_some_and(|lines| lines.ends_with('\n'));
        if !is_whole && note.len() < NOTE_LIMIT {
            return Err(Error::CutCheckpoint { line });
        }
        let handovers = self.judge.state().handovers();
        let keys = keys.of_ledger(handovers, events);
        let keys = keys.map_err(|source| Error::Keys { line, source })?;
        let checkpoint = keys
            .verify(&note)
            .map_err(|source| Error::Checkpoint { line, source })?;
        if checkpoint.size != events {
            let signed = checkpoint.size;
            return Err(Error::Size { signed, events });
        }
        if checkpoint.root != self.frontier.root() {
            return Err(Error::Root { events });
        }
        let passes = self.judge.passes();
        Ok(VerifyReport {
            checkpoint,
            events,
            passes,
            handovers: keys.handovers().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests;
