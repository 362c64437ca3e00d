//! The result of a backup or a restore.

use std::path::PathBuf;

use serde::Serialize;

/// The result of a backup or a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BackupReport {
    /// The folder of the copy.
    pub folder: PathBuf,
    /// The server's name.
    pub server: String,
    /// The number of events in the copy.
    pub size: u64,
    /// Whether it has the private keys.
    pub has_keys: bool,
    /// Files that the restore wrote beside the ledger.
    pub written: Vec<PathBuf>,
    /// Whether the list of the copy is signed by the ledger's key.
    pub is_signed: bool,
}
