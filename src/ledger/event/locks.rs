//! Locks and revocations, as events record them. Pure.

use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    target::{Covered, LockTarget, RevokeTarget},
};
use crate::ledger::{order::Proof, restore::SignedRestore};

/// A revocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// The administrator.
    pub who: Actor,
    /// The target of the revocation.
    pub target: RevokeTarget,
    /// The administrator's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Serials of the passes that this event revoked, ascending: valid ones that were not revoked
    /// before.
    pub serials: Vec<u64>,
    /// The identities that the target's name covered, in order; empty for other targets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub covers: Vec<Covered>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
    /// The statement that accepts a restored ledger. [`RevokeTarget::Through`] needs one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restore: Option<SignedRestore>,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Locked {
    /// The administrator.
    pub who: Actor,
    /// The locked target.
    pub target: LockTarget,
    /// The administrator's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Serials of the passes that this event revoked, ascending: valid ones that were not revoked
    /// before.
    pub serials: Vec<u64>,
    /// The identities that the target's name covered, in order; empty for other targets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub covers: Vec<Covered>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}

/// The end of a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unlocked {
    /// The administrator.
    pub who: Actor,
    /// The target that is no longer locked.
    pub target: LockTarget,
    /// The administrator's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}
