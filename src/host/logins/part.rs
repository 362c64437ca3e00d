//! The part of a log that one sync reads, and its bounds.

use super::place::At;
use crate::ssh::sshd_log::{self, Accepted};

/// The most bytes of a log that one sync reads.
pub(super) const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// The most logins that one sync reports.
pub(super) const MOST_LOGINS: usize = 1000;

/// The part of a log that one sync read.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) lines: Vec<Line>,
    /// Where the next one begins.
    pub(super) at: At,
    /// Whether the log has more.
    pub(super) has_more: bool,
    /// Whether lines after the last place are gone.
    pub(super) is_gap: bool,
}

/// A line about a login.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// The place after it.
    pub(super) end: At,
}

/// Whether a line is one that is kept for the report.
pub(super) fn is_login(line: &[u8]) -> bool {
    match sshd_log::read(line) {
        Some(Accepted::ByCertificate(_) | Accepted::Unreadable(_)) => true,
        Some(Accepted::Otherwise) | None => false,
    }
}
