//! Why a call of the store failed.

use std::path::Path;

use crate::ledger::state::Rejection;

/// Why the store did not do it. Nothing was issued.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The disk or the database does not do its part. It may be tried again.
    #[error("database is unavailable: {0}")]
    Unavailable(String),
    /// Another daemon has the folder.
    #[error("{0} is in use by another daypass daemon")]
    Locked(String),
    /// The operator has to say something first, or to set the clock.
    #[error("{0}")]
    Start(String),
    /// Somebody changed or replaced the ledger. Only a person can go on from here.
    #[error("ledger is not the one that was last signed: {0}")]
    Tampered(String),
    /// What stands is against it.
    #[error(transparent)]
    Rejection(#[from] Rejection),
    /// There is no such index or size.
    #[error("no such entry: the ledger's size is {size}")]
    Range {
        /// The ledger's size.
        size: u64,
    },
}

impl Error {
    pub(super) fn with_advice(self, folder: &Path) -> Self {
        match self {
            Self::Tampered(what) => Self::Tampered(format!(
                "{what}. Nothing was changed in {folder}, and nothing is issued. Put back the newest copy of ledger.db and \
                 checkpoint; where there is none, keep the folder as evidence and start with an empty one",
                folder = folder.display()
            )),
            other => other,
        }
    }
}
