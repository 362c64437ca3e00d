//! Gauges that are measured when `/metrics` is read: of the CA, its issuers and its certificate.

use std::time::Duration;

use metrics::gauge;
use tokio::{sync::Mutex, time::Instant};

use super::{environment::now, services::Services, tls::Tls};
use crate::{
    ca::KeyState,
    operations::{hosts::listing, overview, trust},
    ssh::key::fingerprint,
};

/// The least time between two counts: readers must not keep the ledger's state busy.
const EVERY: Duration = Duration::from_secs(1);

/// Measures the gauges.
#[derive(Default)]
pub(super) struct Gauges {
    tls: Option<Tls>,
    measured: Mutex<Option<Instant>>,
}

impl Gauges {
    /// Gauges of a server with this certificate, if it has one.
    pub(super) fn new(tls: Option<Tls>) -> Self {
        Self {
            tls,
            measured: Mutex::default(),
        }
    }

    /// Sets every gauge, unless it was done just now.
    pub(super) async fn measure(&self, services: &Services) {
        let mut measured = self.measured.lock().await;
        if measured.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        *measured = Some(Instant::now());
        ca(services).await;
        issuers(services);
        if let Some(facts) = self.tls.as_ref().and_then(|tls| tls.facts().ok()) {
            let end = facts.not_after.unix_timestamp();
            gauge!("daypass_tls_certificate_expiry_timestamp_seconds").set(end as f64);
        }
    }
}

async fn ca(services: &Services) {
    let authority = &services.authority;
    let now = now();
    let health = trust::health(authority);
    gauge!("daypass_ledger_size").set(health.ledger_size as f64);
    gauge!("daypass_ledger_scrubbed_events").set(health.scrubbed as f64);
    gauge!("daypass_ledger_scrub_target_events").set(health.scrubbed_of as f64);
    gauge!("daypass_ledger_intact").set(f64::from(u8::from(health.is_intact)));
    gauge!("daypass_search_indexed_events").set(health.indexed() as f64);
    gauge!("daypass_ledger_writable").set(f64::from(u8::from(health.store)));
    let is_answering = trust::missing_key(authority).is_none();
    gauge!("daypass_ca_key_answers").set(f64::from(u8::from(is_answering)));
    let overview = overview::overview(authority, now);
    gauge!("daypass_passes_live").set(overview.live_passes as f64);
    gauge!("daypass_requests_pending").set(overview.pending_requests as f64);
    gauge!("daypass_requests_approved").set(overview.approved_requests as f64);
    gauge!("daypass_reviews_open").set(overview.open_reviews as f64);
    gauge!("daypass_locks").set(overview.locks as f64);
    let hosts = listing::count(authority);
    gauge!("daypass_hosts_behind").set(hosts.behind as f64);
    gauge!("daypass_hosts_expected").set(hosts.expected as f64);
    gauge!("daypass_hosts_joined").set(hosts.joined as f64);
    if let Ok(krl) = overview::krl(authority).await {
        gauge!("daypass_krl_size_bytes").set(krl.bytes as f64);
        gauge!("daypass_krl_version").set(krl.version as f64);
        gauge!("daypass_krl_made_timestamp_seconds").set(krl.made_at.get() as f64);
    }
    for (key, current) in trust::ordered_keys(authority) {
        // What was true before an order is true no more.
        for state in [KeyState::Staged, KeyState::Active, KeyState::Retired] {
            if current != Some(state) {
                let state = state.as_str();
                gauge!("daypass_ca_key_info", "fingerprint" => key.clone(), "state" => state)
                    .set(0.0);
            }
        }
    }
    for (key, state) in trust::trust(authority).keys {
        let state = state.as_str();
        gauge!("daypass_ca_key_info", "fingerprint" => fingerprint(&key), "state" => state)
            .set(1.0);
    }
}

/// The names are those of the configuration, so there are few.
fn issuers(services: &Services) {
    let missing = services.issuers.without_keys();
    for settings in services.issuers.settings() {
        let is_ready = !missing.contains(&settings.name.as_str());
        gauge!("daypass_issuer_ready", "issuer" => settings.name.clone())
            .set(f64::from(u8::from(is_ready)));
    }
}
