//! Conversion of the CA's keys and orders about them between the wire's types and the domain's.
//! Pure.

use super::{
    admin::fingerprint,
    bounds::{Malformed, malformed, missing},
};
use crate::{
    ledger::event::{CaKeyState, CaKeyStep},
    operations::ca_keys::{Behind, Listed, Listing, NAMED, Step},
    proto::v1::{self, ca_key::State},
};

/// Converts a step with a key.
pub(in crate::server) fn step(wire: &v1::OrderCaKeyRequest) -> Result<Step, Malformed> {
    let step = match wire.step() {
        v1::CaKeyStep::Unspecified => return Err(missing("step")),
        v1::CaKeyStep::Stage => CaKeyStep::Stage,
        v1::CaKeyStep::Activate => CaKeyStep::Activate,
        v1::CaKeyStep::Retire => CaKeyStep::Retire,
    };
    let reason = wire.order.as_ref().map(|order| order.reason.trim());
    if wire.anyway && reason.unwrap_or_default().is_empty() {
        return Err(malformed("anyway", "needs a reason in the order"));
    }
    Ok(Step {
        step,
        key: fingerprint(&wire.key)?,
        anyway: wire.anyway,
    })
}

/// Converts the keys.
pub(in crate::server) fn listed(listing: Listing) -> v1::ListCaKeysResponse {
    v1::ListCaKeysResponse {
        keys: listing.keys.into_iter().map(key).collect(),
        after: listing.after,
        is_ordered: listing.is_ordered,
        known_hosts: count(listing.known_hosts),
    }
}

fn key(listed: Listed) -> v1::CaKey {
    let is_retired = listed.state == Some(CaKeyState::Retired);
    let state = match listed.state {
        None => State::Configured,
        Some(CaKeyState::Staged) => State::Staged,
        Some(CaKeyState::Active) => State::Active,
        Some(CaKeyState::Retiring) => State::Retiring,
        Some(CaKeyState::Retired) => State::Retired,
    };
    v1::CaKey {
        fingerprint: listed.fingerprint,
        public_key: listed.key,
        state: state.into(),
        since: listed.since.get(),
        is_here: listed.is_here,
        last_pass_until: listed.last_pass_until.unwrap_or_default().get(),
        untrusting: count(listed.untrusting),
        behind: listed.behind.into_iter().map(behind).collect(),
        still_trusted_by: is_retired.then(|| count(listed.keeping.len())),
        still_trusting: listed.keeping.into_iter().take(NAMED).collect(),
    }
}

fn behind(behind: Behind) -> v1::UntrustingHost {
    v1::UntrustingHost {
        name: behind.host,
        reported_at: behind.reported_at.unwrap_or_default().get(),
        why: behind.why,
    }
}

/// A number of hosts.
pub(in crate::server) fn count(hosts: usize) -> u32 {
    u32::try_from(hosts).unwrap_or(u32::MAX)
}
