//! Locks and revocations, as events record them. Pure.

use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    target::{Covered, LockTarget, RevokeTarget},
};
use crate::ledger::order::Proof;

/// A revocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who revoked.
    pub who: Actor,
    /// What it was aimed at.
    pub target: RevokeTarget,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The passes that this revoked, in order: those that were out and not revoked before.
    pub serials: Vec<u64>,
    /// Everyone whom the ledger knew under the target's name, in order; empty for other targets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub covers: Vec<Covered>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Locked {
    /// Who locked.
    pub who: Actor,
    /// What is locked.
    pub target: LockTarget,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The passes that this revoked, in order: those that were out and not revoked before.
    pub serials: Vec<u64>,
    /// Everyone whom the ledger knew under the target's name, in order; empty for other targets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub covers: Vec<Covered>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}

/// The end of a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unlocked {
    /// Who unlocked.
    pub who: Actor,
    /// What is no longer locked.
    pub target: LockTarget,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}
