//! The locks in force. Pure.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::ledger::event::{Covered, LockTarget};

/// A lock in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What is locked.
    pub target: LockTarget,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// Who locked it: their label.
    pub by: String,
    /// When.
    pub at: OffsetDateTime,
    /// The `locked` event's index.
    pub index: u64,
    /// Everyone whom it covers by now.
    pub covers: Vec<Covered>,
}

/// The locks in force, and how often something was revoked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Locks {
    pub(super) by_target: BTreeMap<LockTarget, Lock>,
    pub(super) revision: u64,
    /// Unix seconds: whatever was asked for before has been revoked, also what is recorded only now.
    pub(super) before: u64,
}
