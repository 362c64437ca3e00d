//! Offline verification of an export. Pure.
//!
//! The export: one line per leaf (its JSON bytes) from index 0 on, an empty line, then the signed checkpoint to the end.

use super::{
    checkpoint::{self, Checkpoint, Verifier},
    event,
    judge::{Fault, Judge},
    state::Rejection,
    tree::{Frontier, leaf_hash},
};

/// What a good export held.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// The head that all of it adds up to.
    pub checkpoint: Checkpoint,
    /// How many events there are.
    pub events: u64,
    /// How many of them are passes.
    pub passes: u64,
}

/// What is wrong with an export. Lines count from 1 and indices from 0: line n holds the event with index n - 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not end in an empty line and a checkpoint.
    #[error("line {line}: no checkpoint follows the events; the export is cut off")]
    CutOff {
        /// The last line that there is.
        line: usize,
    },
    /// The checkpoint is not one by this ledger's key.
    #[error("line {line}: {source}")]
    Checkpoint {
        /// Where the checkpoint begins.
        line: u64,
        /// What is wrong with it.
        source: checkpoint::Error,
    },
    /// A line is not an event of the form that the ledger writes.
    #[error("line {line}: {source}")]
    Event {
        /// The line.
        line: u64,
        /// What is wrong with it.
        source: event::Error,
    },
    /// An event is missing before this line, or stands twice, or is out of order.
    #[error("line {line}: the event here must have index {expected}, and it has {found}")]
    Index {
        /// The line.
        line: u64,
        /// The index that belongs here.
        expected: u64,
        /// The index that the event has.
        found: u64,
    },
    /// An event contradicts the ones before it.
    #[error("line {line}: event {index} {what}")]
    Contradiction {
        /// The line.
        line: u64,
        /// The event's index.
        index: u64,
        /// What is impossible about it.
        what: &'static str,
    },
    /// An event that could not come there.
    #[error("line {line}: event {index} could not be: {rejection}")]
    Rejection {
        /// The line.
        line: u64,
        /// The event's index.
        index: u64,
        /// The rule that was broken.
        rejection: Rejection,
    },
    /// Fewer or more events than were signed.
    #[error("the checkpoint is over {signed} events, and lines 1 to {events} hold {events}")]
    Size {
        /// The checkpoint's size.
        signed: u64,
        /// How many events there are.
        events: u64,
    },
    /// Every line has the right form, but some line is not what was signed.
    #[error(
        "lines 1 to {events} (events 0 to {}) are not what was signed: at least one was changed",
        .events.saturating_sub(1)
    )]
    Root {
        /// How many events there are.
        events: u64,
    },
}

/// Checks a whole export: every leaf parses, carries its own index and fits the ones before it, and together they have the
/// size and root of a checkpoint by `verifier`.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn verify_export(export: &[u8], verifier: &Verifier) -> Result<VerifyReport, Error> {
    let (leaves, note) = split(export)?;
    let mut walk = Walk::default();
    for leaf in leaves.split_inclusive(|byte| *byte == b'\n') {
        walk.take(leaf.strip_suffix(b"\n").unwrap_or(leaf))?;
    }
    walk.finish(note, verifier)
}

/// The leaves, each with its newline, and the note.
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

/// What is known of the lines so far.
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
