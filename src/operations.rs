//! What this CA does: one file per verb, each over a proven identity, an ask and the time.
pub mod audit;
pub mod issue;
pub mod roles;
pub mod trust;

use crate::{
    ca::Ca,
    policy::{Denial, Policy},
    store::{self, Store},
};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// All that the operations work on.
pub struct Authority {
    /// The name possession proofs are made for.
    pub server_name: String,
    pub ca: Ca,
    pub policy: ArcSwap<Policy>,
    pub store: Store,
}

impl Authority {
    /// Loads a new policy: recorded first, then in force.
    pub async fn replace_policy(
        &self,
        _policy: Policy,
        _now: time::OffsetDateTime,
    ) -> Result<(), Error> {
        todo!()
    }
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }
}

/// By what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy says no.
    #[error("denied: {}", .0.detail)]
    Denied(Denial),
    /// The policy's `[audit]` does not let this identity read the ledger.
    #[error("not allowed to read the ledger: ask for a place in the policy's [audit]")]
    AuditDenied,
    /// The ask itself is malformed.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    /// Store or key is down; try again.
    #[error("store: {0}")]
    Store(#[from] store::Error),
    #[error("ca: {0}")]
    Ca(crate::ca::Error),
}
