//! Reason why a call of the store failed.

use std::path::Path;

use crate::ledger::state::Rejection;

/// Reason why a call failed. Nothing was issued.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The disk or the database fails. The caller may try again.
    #[error("database is unavailable: {0}")]
    Unavailable(String),
    /// Another daemon has the folder.
    #[error("{0} is in use by another daypass daemon")]
    Locked(String),
    /// The operator must allow this start, or set the clock.
    #[error("{0}")]
    Start(String),
    /// The ledger was handed over to a key that this server does not have.
    #[error("{0}")]
    Lacking(String),
    /// The ledger was changed or replaced by another program. The operator must decide how to go
    /// on.
    #[error("ledger is not the one that was last signed: {0}")]
    Tampered(String),
    /// The ledger's state forbids it.
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
                 checkpoint; if there is none, keep the folder as evidence and start with an empty one",
                folder = folder.display()
            )),
            Self::Unavailable(_)
            | Self::Locked(_)
            | Self::Lacking(_)
            | Self::Start(_)
            | Self::Rejection(_)
            | Self::Range { .. } => self,
        }
    }
}
