//! Offline verification of an export. Pure.
//!
//! Format: one line per leaf (its JSON bytes) from index 0 on, an empty line, then the signed
//! checkpoint to the end.

use super::{
    checkpoint::{self, Checkpoint, Verifier},
    event,
    judge::{Fault, Judge},
    state::Rejection,
    tree::{Frontier, leaf_hash},
};

/// The content of a valid export.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// The checkpoint that covers all events.
    pub checkpoint: Checkpoint,
    /// Number of events.
    pub events: u64,
    /// Number of passes.
    pub passes: u64,
}

/// Fault of an export. Lines count from 1 and indices from 0: line n holds the event with
/// index n - 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not end in an empty line and a checkpoint.
    #[error("line {line}: no checkpoint follows the events; the export is cut off")]
    CutOff {
        /// The last line.
        line: usize,
    },
    /// The checkpoint does not verify with this ledger's key.
    #[error("line {line}: {source}")]
    Checkpoint {
        /// The checkpoint's first line.
        line: u64,
        /// The checkpoint's error.
        source: checkpoint::Error,
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
    let (leaves, note) = split(export)?;
    let mut walk = Walk::default();
    for leaf in leaves.split_inclusive(|byte| *byte == b'\n') {
        walk.take(leaf.strip_suffix(b"\n").unwrap_or(leaf))?;
    }
    walk.finish(note, verifier)
}

/// Splits the export into the leaves, each with its newline, and the note.
fn split(export: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    if let Some(note) = export.strip_prefix(b"\n") {
        return Ok((&[], note));
    }
    let empty_line = export.windows(2).position(|pair| pair == b"\n\n");
    let parts = empty_line.and_then(|at| export.split_at_checked(at + 1));
    let (leaves, rest) = parts.ok_or_else(|| Error::CutOff {
        line: export.split_inclusive(|byte| *byte == b'\n').count(),
    })?;
    Ok((leaves, rest.strip_prefix(b"\n").unwrap_or(rest)))
}

/// The state of a verification, line by line.
#[derive(Default)]
struct Walk {
    frontier: Frontier,
    judge: Judge,
}

impl Walk {
    fn take(&mut self, leaf: &[u8]) -> Result<(), Error> {
        let index = self.frontier.size();
        let line = index + 1;
        self.judge.take(leaf).map_err(|fault| match fault {
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
        })?;
        self.frontier.push(leaf_hash(leaf));
        Ok(())
    }

    fn finish(self, note: &[u8], verifier: &Verifier) -> Result<VerifyReport, Error> {
        let events = self.frontier.size();
        let line = events + 2;
        let note = String::from_utf8_lossy(note);
        let checkpoint = verifier
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
        })
    }
}

#[cfg(test)]
mod tests;
