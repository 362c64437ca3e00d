//! A command's failure: a message for stderr and a documented exit code.

use std::{error::Error, io};

use crate::daemon::chain;

/// The documented exit codes (`daypass help exit-codes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// A failure without a code of its own.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server or the policy denied it.
    Denied = 3,
    /// There is no session, or it has expired.
    SignIn = 4,
    /// A request waits, or the wait timed out.
    Pending = 5,
    /// The server or an issuer cannot be reached.
    Unreachable = 6,
    /// A witness caught a server of a ledger in a contradiction.
    Contradiction = 7,
    /// SIGHUP: the terminal is gone.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

/// A command's failure.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code. `daypass ssh` passes on ssh's own.
    pub code: u8,
    /// Message that says what failed and what to do. An empty one is not printed.
    pub message: String,
    /// The server's stable reason code, if it gave one. JSON output has it.
    pub reason: Option<String>,
}

impl Failure {
    /// A failure with one of the documented codes.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code as u8,
            message: message.into(),
            reason: None,
        }
    }

    /// The same failure with the server's stable reason code.
    #[must_use]
    pub(crate) fn because(self, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }

    /// A failure with code 1, and the whole chain of causes as its message.
    pub(crate) fn from_error(error: &dyn Error) -> Self {
        Self::new(Code::Failure, chain(error))
    }

    /// The silent end, with code 0, if the reader of stdout has gone (`daypass roles | head -1`).
    pub(super) fn reader_gone() -> Self {
        Self {
            code: 0,
            message: String::new(),
            reason: None,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::from_error(&error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::from_error(&error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to read the file")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_error_becomes_code_1_with_its_causes() {
        let failure = Failure::from_error(&Outer(io::Error::other("disk on fire")));
        assert_eq!(failure.code, 1);
        assert_eq!(failure.message, "failed to read the file: disk on fire");
    }

    #[test]
    fn a_reason_is_kept_beside_the_message() {
        let failure = Failure::new(Code::Denied, "no").because("NOT_ALLOWED");
        assert_eq!(
            (failure.code, failure.reason.as_deref()),
            (3, Some("NOT_ALLOWED"))
        );
    }
}
