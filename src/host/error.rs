//! What can fail on a host, by what its administrator can do about it.

use std::{io, path::PathBuf};

/// A host command's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, or a file the user named, is wrong.
    #[error("{0}")]
    Usage(String),
    /// `host setup` never ran here.
    #[error("this host is not set up: daypass host setup --server https://HOST:PORT")]
    NotSetUp,
    /// The server does not answer, or not in time.
    #[error("failed to reach {server}: {cause}")]
    Unreachable {
        /// Whom.
        server: String,
        /// Why.
        cause: String,
    },
    /// What the server sent is not taken; what was on disk stays.
    #[error("refused what the server sent: {0}")]
    Refused(#[from] InvalidAnswer),
    /// sshd does not take its configuration. Whatever was changed has been put back.
    #[error("{0}")]
    Sshd(String),
    /// A file cannot be read or written.
    #[error("failed to access {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why something the server sent is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAnswer {
    /// An answer that is no 200 and no fault of the server's.
    #[error("{path}: the answer is {status}")]
    Status {
        /// What was asked for.
        path: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// More bytes than any good answer has.
    #[error("{path}: it is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        path: &'static str,
        /// Bytes.
        limit: usize,
    },
    /// No `daypass-signature` header.
    #[error("{path}: it carries no signature")]
    Unsigned {
        /// What was asked for.
        path: &'static str,
    },
    /// The signature is none, is over other bytes or for another purpose, or is by a key that this host does not trust.
    #[error("{path}: no CA key that this host trusts has signed it: {cause}")]
    Signature {
        /// What was asked for.
        path: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// Not a list of public keys.
    #[error("/ca.pub: {0}")]
    Keys(String),
    /// The keys are not those that the administrator pinned.
    #[error("/ca.pub: {0}")]
    Pin(String),
    /// No byte at all: sshd would take it, and revoke nobody.
    #[error("/krl: it is empty (0 bytes)")]
    Empty,
    /// Not a revocation list that we would hand to sshd.
    #[error("/krl: {0}")]
    Krl(#[from] crate::ssh::krl::Error),
    /// Other keys, of an older version than those on disk: somebody replays a list that was good once.
    #[error(
        "/ca.pub: its version {sent} is older than {kept}, which is on disk, and it has other keys"
    )]
    OlderKeys {
        /// The server's.
        sent: u64,
        /// On disk.
        kept: u64,
    },
    /// Older than what is on disk: somebody replays it, or the server lost its ledger.
    #[error("/krl: its version {sent} is older than {kept}, which is on disk")]
    Older {
        /// The server's.
        sent: u64,
        /// On disk.
        kept: u64,
    },
}

impl Error {
    /// For `map_err` where a file fails.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// The stable reason code for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Usage(_) => "USAGE",
            Self::NotSetUp => "NOT_SET_UP",
            Self::Unreachable { .. } => "UNREACHABLE",
            Self::Sshd(_) => "SSHD",
            Self::File { .. } => "FILE",
            Self::Refused(refusal) => refusal.reason(),
        }
    }
}

impl InvalidAnswer {
    /// The stable reason code for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Status { .. } => "STATUS",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Unsigned { .. } => "UNSIGNED",
            Self::Signature { .. } => "SIGNATURE",
            Self::Keys(_) => "CA_KEYS",
            Self::Pin(_) => "CA_PIN",
            Self::Empty => "KRL_EMPTY",
            Self::Krl(_) => "KRL_MALFORMED",
            Self::OlderKeys { .. } => "CA_KEYS_OLDER",
            Self::Older { .. } => "KRL_OLDER",
        }
    }
}
