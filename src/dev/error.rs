//! Why a dev world does not start or fails.

use std::{io, path::PathBuf};

/// Why a part of the world does not start or does not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the world's folder.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// What was tried: "write", "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A socket or a process of ours.
    #[error("failed to {0}")]
    System(&'static str, #[source] io::Error),
    /// A key could not be made.
    #[error("failed to make a key: {0}")]
    Key(&'static str),
    /// Two worlds cannot share a folder.
    #[error("another world runs in {}: stop it, or name another folder", .0.display())]
    Taken(PathBuf),
    /// The daemon does not start or had failed.
    #[error("failed to {0} the daemon")]
    Daemon(
        &'static str,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
    /// A path of the world cannot stand in an ssh configuration.
    #[error("failed to write ssh_config")]
    Ssh(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The headless person got stuck.
    #[error("failed to sign in: {0}")]
    Person(String),
}
