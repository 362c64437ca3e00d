//! Reason why a dev world does not start or fails.

use std::{io, path::PathBuf};

/// Reason why a part of the world does not start or fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the world's folder cannot be read or written.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// The action that failed: "write", "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A socket or a process of the world fails.
    #[error("failed to {0}")]
    System(&'static str, #[source] io::Error),
    /// A key could not be made.
    #[error("failed to make a key: {0}")]
    Key(&'static str),
    /// Two worlds cannot share a folder.
    #[error("another world runs in {}: stop it, or name another folder", .0.display())]
    Taken(PathBuf),
    /// The daemon does not start, or failed while it ran.
    #[error("failed to {0} the daemon")]
    Daemon(
        &'static str,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
    /// A path of the world cannot be written in an ssh configuration.
    #[error("failed to write ssh_config")]
    Ssh(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The headless person cannot go on.
    #[error("failed to sign in: {0}")]
    Person(String),
}
