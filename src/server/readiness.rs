//! Readiness of this server, for `/readyz` and the health service.

use std::fmt::Write as _;

use super::services::Services;
use crate::operations::trust;

/// Readiness, and one line for each problem.
pub(super) struct Readiness {
    pub(super) is_ready: bool,
    pub(super) notes: String,
}

impl Services {
    /// Checks readiness: events can be recorded, the policy is in force, and at least one issuer's
    /// tokens can be verified.
    pub(super) fn readiness(&self) -> Readiness {
        let trust::Health { store, policy, .. } = trust::health(&self.authority);
        let missing = self.issuers.without_keys();
        let is_ready = store && policy && missing.len() < self.issuers.settings().len();
        let mut notes = String::from(if is_ready { "ready\n" } else { "not ready\n" });
        if !store {
            notes.push_str("ledger: cannot record, so no pass is issued\n");
        }
        if !policy {
            notes.push_str("policy: another server of this ledger has put another one in force\n");
        }
        for issuer in missing {
            let _ = writeln!(notes, "issuer {issuer}: its keys are not at hand");
        }
        Readiness { is_ready, notes }
    }
}
