//! Invariant 5 for host certificates: users refuse those of removed hosts and of keys that a host
//! no longer has.

use std::collections::BTreeSet;

use super::{Found, Ledger, REMOVED, orders, text};
use crate::history::{HostVerb, Operation, Outcome, Revocations, What};

pub(super) fn check(ledger: &Ledger<'_>, revoked: &BTreeSet<u64>, found: &mut Found) {
    let operations = &ledger.evidence.operations;
    let fetched: Vec<(&Operation, &Revocations)> = operations
        .iter()
        .filter_map(|operation| match &operation.outcome {
            Outcome::HostRevocations(list) => Some((operation, list)),
            _ => None,
        })
        .collect();
    let removals: Vec<(&Operation, &[u64])> = operations
        .iter()
        .filter_map(|operation| match (&operation.what, &operation.outcome) {
            (What::Host(call), Outcome::Ordered { index, serials }) => {
                let is_removal = call.verb == HostVerb::Remove;
                is_removal.then(|| {
                    expect_own(ledger, (&call.name, *index), serials, found);
                    (operation, serials.as_slice())
                })
            }
            _ => None,
        })
        .collect();
    for (operation, list) in &fetched {
        orders::expect_only(list, revoked, found);
        for (_, serials) in removals.iter().filter(|(it, _)| it.ended < operation.begun) {
            orders::expect_all(ledger, list, serials.iter(), found);
        }
    }
    orders::expect_newer(&fetched, found);
    for list in &ledger.evidence.last_host_lists {
        orders::expect_only(list, revoked, found);
        orders::expect_all(ledger, list, revoked.iter(), found);
    }
}

/// The serials of an acknowledged removal are those of its host.
fn expect_own(
    ledger: &Ledger<'_>,
    (name, index): (&str, Option<u64>),
    serials: &[u64],
    found: &mut Found,
) {
    for serial in serials {
        let event = ledger.event(*serial);
        let is_own = text(event, "type") == "host_certified" && text(event, "host") == name;
        if !is_own || index.is_none_or(|index| index < *serial) {
            found.add(
                REMOVED,
                format!("the removal of {name} revokes {serial}, which is not of it"),
            );
        }
    }
}
