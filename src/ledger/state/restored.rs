//! What the ledger says of a copy that was restored. Pure.

use serde::{Deserialize, Serialize};

use crate::unix_seconds::UnixSeconds;

/// The state of going on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Restoring {
    /// Whether a copy was restored and no administrator has accepted it yet.
    pub(super) is_pending: bool,
    /// The number of events in the last restored copy, with that of its first start.
    pub(super) copy: Option<u64>,
    /// The first index of which the lost ledger may have had another event than this one.
    pub(super) from: u64,
    /// The starts of the last days, oldest first: index and time.
    pub(super) starts: Vec<(u64, UnixSeconds)>,
    /// The size up to which the ledger is filled.
    pub(super) through: u64,
    /// The index of the last order that accepted a copy.
    pub(super) accepted: Option<u64>,
}
