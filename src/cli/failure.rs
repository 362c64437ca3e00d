//! How a command fails: a message for stderr and the documented exit code.

/// The documented exit codes (`daypass help`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Failure = 1,
    Usage = 2,
    Denied = 3,
    SignIn = 4,
    Pending = 5,
    Unreachable = 6,
    Interrupted = 130,
}

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    /// The exit code; `ssh` passes ssh's own through.
    pub code: u8,
    /// For stderr: what failed and what to do. Empty: say nothing.
    pub message: String,
    /// The server's stable reason code, where it gave one (JSON output carries it).
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
}
