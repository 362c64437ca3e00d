//! What the ledger says of a copy that was restored. Pure.

use serde::{Deserialize, Serialize};

/// The state of going on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Restoring {
    /// Whether a copy was restored and no administrator has accepted it yet.
    pub(super) is_pending: bool,
    /// The index from which on the last restored copy and the lost ledger differ.
    pub(super) from: Option<u64>,
    /// The size up to which the ledger is filled.
    pub(super) through: u64,
    /// The index of the last order that accepted a copy.
    pub(super) accepted: Option<u64>,
}
