//! The locks in force. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    ledger::event::{Covered, LockTarget},
    unix_seconds::UnixSeconds,
};

/// A lock in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lock {
    /// The locked target.
    pub target: LockTarget,
    /// The administrator's reason, if there is one.
    pub reason: Option<String>,
    /// The label of the administrator who locked.
    pub by: String,
    /// Time of the lock.
    pub at: OffsetDateTime,
    /// The `locked` event's index.
    pub index: u64,
    /// Identities that the lock covers by now.
    pub covers: Vec<Covered>,
}

/// The locks in force, and the revision of revocations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Locks {
    pub(super) by_target: BTreeMap<LockTarget, Lock>,
    pub(super) revision: u64,
    /// Time of the event that changed the revocations last, or of the first event.
    pub(super) changed_at: UnixSeconds,
    /// Asks before this time are revoked, even if their passes are recorded later.
    pub(super) before: UnixSeconds,
}
