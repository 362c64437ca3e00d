//! The change of the ledger's key, as its event records it. Pure.

use serde::{Deserialize, Serialize};

use super::Actor;
use crate::ledger::{handover::Handover, order::Proof};

/// An order that hands the ledger over to another key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerKeyChanged {
    /// The administrator.
    pub who: Actor,
    /// The handover, signed by both keys.
    pub handover: Handover,
    /// The administrator's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}
