//! Splits an export into blocks of whole lines, and prepares each block: what needs no other event.
//! Blocks can be prepared on several threads, and are judged in order.

use memchr::{memchr_iter, memmem, memrchr};

use crate::ledger::{
    Event, event,
    tree::{Hash, leaf_hash},
};

/// Bytes of a block, about: some hundred events.
const BLOCK: usize = 256 * 1024;

/// The most bytes of one line. An event has at most some tens of thousands.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// Bytes of the note that are kept; a verifier refuses longer ones.
pub(super) const NOTE_LIMIT: usize = 128 * 1024;

/// Whole lines of an export, each with its newline.
#[derive(Debug)]
pub(crate) struct Block(Vec<u8>);

/// The lines of a block, parsed and hashed. Their places are not judged yet.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(super) events: Vec<Event>,
    /// The leaf hash of each event.
    pub(super) digests: Vec<Hash>,
    /// The error of the line after these events. The lines after it are left out.
    pub(super) fault: Option<event::Error>,
}

impl Block {
    /// Parses and hashes each line.
    pub(crate) fn prepare(&self) -> Prepared {
        let count = memchr_iter(b'\n', &self.0).count();
        let mut prepared = Prepared {
            events: Vec::with_capacity(count),
            digests: Vec::with_capacity(count),
            fault: None,
        };
        let mut start = 0;
        for end in memchr_iter(b'\n', &self.0) {
            let line = self.0.get(start..end).unwrap_or_default();
            start = end + 1;
            match Event::parse(line) {
                Ok(event) => {
                    prepared.events.push(event);
                    prepared.digests.push(leaf_hash(line));
                }
                Err(fault) => {
                    prepared.fault = Some(fault);
                    break;
                }
            }
        }
        prepared
    }
}

/// The part of an export that is not in a block yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Begins at the start of a line.
    rest: Vec<u8>,
    /// Number of lines in the blocks so far.
    lines: u64,
    /// Bytes of `rest` that have no empty line.
    searched: usize,
    /// The bytes after the empty line; none before it.
    pub(super) note: Option<Vec<u8>>,
}

/// A line that is longer than an event, by its number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    pub(super) line: u64,
}

impl Lines {
    /// Takes the next part of the export. Returns a block if one is full, or if the events have
    /// ended.
    ///
    /// # Errors
    /// Returns [`TooLong`] if a line has no end for so long that it is not an event.
    pub(super) fn take(&mut self, part: &[u8]) -> Result<Option<Block>, TooLong> {
        if let Some(note) = &mut self.note {
            keep(note, part);
            return Ok(None);
        }
        self.rest.extend_from_slice(part);
        if let Some((end, note)) = self.end_of_events() {
            let mut kept = Vec::new();
            keep(&mut kept, self.rest.get(note..).unwrap_or_default());
            self.note = Some(kept);
            self.rest.truncate(end);
            return Ok(self.whole_lines(end));
        }
        self.searched = self.rest.len().saturating_sub(1);
        if self.rest.len() < BLOCK {
            return Ok(None);
        }
        match memrchr(b'\n', &self.rest) {
            Some(last) => {
                let block = self.whole_lines(last + 1);
                self.searched = self.rest.len().saturating_sub(1);
                self.bounded(block)
            }
            None => self.bounded(None),
        }
    }

    fn bounded(&self, block: Option<Block>) -> Result<Option<Block>, TooLong> {
        match self.rest.len() > LONGEST_LINE {
            true => Err(TooLong {
                line: self.lines + 1,
            }),
            false => Ok(block),
        }
    }

    /// The whole lines that no block has yet, after the last part; none if there are none.
    pub(super) fn remaining(&mut self) -> Option<Block> {
        let last = memrchr(b'\n', &self.rest)?;
        self.whole_lines(last + 1)
    }

    /// The end of the last event's line, and the beginning of the note.
    fn end_of_events(&self) -> Option<(usize, usize)> {
        if self.rest.first() == Some(&b'\n') {
            return Some((0, 1));
        }
        let searched = self.rest.get(self.searched..)?;
        let at = memmem::find(searched, b"\n\n")? + self.searched;
        Some((at + 1, at + 2))
    }

    fn whole_lines(&mut self, end: usize) -> Option<Block> {
        let rest = self.rest.split_off(end);
        let block = std::mem::replace(&mut self.rest, rest);
        self.lines += memchr_iter(b'\n', &block).count() as u64;
        (!block.is_empty()).then_some(Block(block))
    }

    /// The note, and whether a line after the blocks has no end.
    pub(super) fn end(self) -> (Option<Vec<u8>>, bool) {
        (self.note, !self.rest.is_empty())
    }
}

fn keep(note: &mut Vec<u8>, part: &[u8]) {
    let room = NOTE_LIMIT.saturating_sub(note.len());
    note.extend_from_slice(part.get(..room).unwrap_or(part));
}
