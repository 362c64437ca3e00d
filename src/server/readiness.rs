//! Readiness of this server, for `/readyz` and the health service.

use std::fmt::Write as _;

use super::services::Services;
use crate::operations::trust::{self, Health};

/// Events that the search index may lack under load.
const LAG: u64 = 2048;

/// Readiness, and one line for each problem.
pub(super) struct Readiness {
    pub(super) is_ready: bool,
    pub(super) notes: String,
}

impl Services {
    /// Checks readiness: events can be recorded, the policy is in force, the CA key answers, and at
    /// least one issuer's tokens can be verified.
    pub(super) fn readiness(&self) -> Readiness {
        let health = trust::health(&self.authority);
        let (store, policy) = (health.store, health.policy);
        let missing = self.issuers.without_keys();
        let key = trust::missing_key(&self.authority);
        let is_ready =
            store && policy && key.is_none() && missing.len() < self.issuers.settings().len();
        let mut notes = String::from(if is_ready { "ready\n" } else { "not ready\n" });
        if let Some(note) = of_ledger(&health) {
            let _ = writeln!(notes, "ledger: {note}");
        }
        if !policy {
            notes.push_str("policy: another server of this ledger has put another one in force\n");
        }
        if health.has_other_keys {
            notes.push_str(
                "CA keys: another server of this ledger has others in its configuration, and hosts take one list only: \
                 give all servers the same, and restart them\n",
            );
        }
        if let Some(key) = key {
            let (key, why) = match key.is_absent {
                true => (
                    key.key,
                    "administrators activated it, and this server does not have it",
                ),
                false => (key.key, "it does not answer"),
            };
            let _ = writeln!(
                notes,
                "CA key {key}: {why}, so no pass is issued: see the log"
            );
        }
        if let Some(key) = trust::missing_host_key(&self.authority) {
            let _ = writeln!(
                notes,
                "host CA key {key}: it does not answer, so no host gets a certificate: see the log"
            );
        }
        if health.unindexed.is_none_or(|lacking| lacking > LAG) {
            let _ = writeln!(
                notes,
                "search index: it has {} of {} events; searches read the others one by one",
                health.indexed(),
                health.ledger_size
            );
        }
        for issuer in missing {
            let _ = writeln!(notes, "issuer {issuer}: its keys are not at hand");
        }
        Readiness { is_ready, notes }
    }
}

/// What is wrong with the ledger.
fn of_ledger(health: &Health) -> Option<&str> {
    if health.is_changed {
        return Some(
            "it is not the one that this server knew, so no pass is issued: stop all its servers, and see the log",
        );
    }
    if !health.is_intact {
        return Some("a check in the background found damage: see the log");
    }
    match &health.lacking_key {
        Some(lacking) => Some(lacking),
        None if !health.store => Some("cannot record, so no pass is issued"),
        None => None,
    }
}
