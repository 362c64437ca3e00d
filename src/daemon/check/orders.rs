//! The check of the CA's keys against the administrators' orders in the ledger, which count before
//! `daypass.toml`.

use crate::{
    ca::Ca,
    config::Config,
    daemon::parts,
    finding::Finding,
    ledger::state::CaKeys,
    operations::{contradictions, has_successor},
    ssh::key::fingerprint,
    store,
};

/// The name of the check.
const CHECK: &str = "ca-key-orders";

/// The orders in the ledger of the state folder; none if there are none, or no such ledger. A
/// ledger that cannot be read stops a start, which says why.
pub(super) async fn read(config: &Config) -> Option<CaKeys> {
    let is_here = config.postgres.is_none() && config.state.join("ledger.db").exists();
    let verifiers = parts::keyring(config).ok()?.verifiers();
    if !is_here {
        return None;
    }
    let keys = store::ordered_keys(&config.state, &verifiers).await;
    keys.ok().filter(CaKeys::is_ordered)
}

/// Says where the configuration and the orders differ. Returns the fingerprint of the key that
/// signs.
pub(super) fn compare(own: &Ca, ordered: &CaKeys, findings: &mut Vec<Finding>) -> Option<String> {
    let active = ordered.active()?.fingerprint.clone();
    let is_here = own.keys().any(|(key, _)| fingerprint(key) == active);
    findings.push(match is_here {
        true => Finding::good(
            CHECK,
            format!("by the administrators' orders in the ledger, the CA key that signs is {active}"),
        ),
        false => Finding::wrong(
            CHECK,
            format!(
                "by the administrators' orders in the ledger, the CA key {active} signs, and daypass.toml does not have it: \
                 {result}. Add its [[ca.key]]. If the key is lost, see `daypass help server`: The active key is lost",
                result = match has_successor(own, ordered) {
                    true => "the server starts and issues no pass before another key is activated",
                    false => "the server does not start",
                }
            ),
        ),
    });
    let differing = contradictions(own, ordered).into_iter();
    findings.extend(differing.map(|it| Finding::warning(CHECK, it)));
    Some(active)
}
