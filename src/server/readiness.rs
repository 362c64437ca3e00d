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
    /// Checks readiness: events can be recorded, and at least one issuer's tokens can be verified.
    pub(super) fn readiness(&self) -> Readiness {
        let store = trust::health(&self.authority).store;
        let missing = self.issuers.without_keys();
        let is_ready = store && missing.len() < self.issuers.settings().len();
        let mut notes = String::from(if is_ready { "ready\n" } else { "not ready\n" });
        if !store {
            notes.push_str("ledger: cannot record, so no pass is issued\n");
        }
        for issuer in missing {
            let _ = writeln!(notes, "issuer {issuer}: its keys are not at hand");
        }
        Readiness { is_ready, notes }
    }
}
