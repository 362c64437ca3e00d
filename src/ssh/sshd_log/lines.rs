//! The lines of a log, in bounded memory. Pure but for its reader.

use std::io::{self, BufRead};

/// Bytes of the longest line that is read: a journal entry with all its fields.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;

/// A line that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineRead {
    /// Its bytes in the log, with its end.
    pub(crate) bytes: u64,
    /// Whether it has an end: the last one of a log that grows may be half written.
    pub(crate) is_whole: bool,
}

/// Reads a line without its end. One that is longer than [`LONGEST_LINE`] is read on and kept cut,
/// a byte longer than that, so that it is known to be too long. `None` at the end of the log.
///
/// # Errors
/// Returns the reader's error.
pub(crate) fn next_line(
    log: &mut impl BufRead,
    line: &mut Vec<u8>,
) -> io::Result<Option<LineRead>> {
    line.clear();
    let mut bytes = 0;
    loop {
        let part = log.fill_buf()?;
        if part.is_empty() {
            let is_whole = false;
            return Ok((bytes > 0).then_some(LineRead { bytes, is_whole }));
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(part.len());
        let room = (LONGEST_LINE + 1).saturating_sub(line.len());
        line.extend(part.iter().take(taken.min(room)));
        let used = end.map_or(part.len(), |end| end + 1);
        log.consume(used);
        bytes += used as u64;
        if end.is_some() {
            let is_whole = true;
            return Ok(Some(LineRead { bytes, is_whole }));
        }
    }
}
