//! Invariant 5: locks bind from their event on, and what is revoked stays revoked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Found, LOCKED, Ledger, RECORDED, REVOKED, subject, text};
use crate::history::{Operation, Outcome, Revocations, What};

/// Time for which a revoked pass stays listed after its end.
const MARGIN: u64 = 3600;

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    locks(ledger, found);
    acknowledged(ledger, found);
    lists(ledger, found);
}

/// Replays locks and unlocks, and looks at each pass between them.
fn locks(ledger: &Ledger<'_>, found: &mut Found) {
    let mut locked: BTreeMap<String, usize> = BTreeMap::new();
    for (index, event) in ledger.evidence.events.iter().enumerate() {
        match event["type"].as_str().unwrap_or_default() {
            "locked" => drop(locked.insert(event["target"].to_string(), index)),
            "unlocked" => drop(locked.remove(&event["target"].to_string())),
            "issued" => {
                for (target, since) in &locked {
                    let target: Value = serde_json::from_str(target).unwrap_or_default();
                    if covers(&target, event) {
                        found.add(
                            LOCKED,
                            format!("event {index} issues to {target}, locked since event {since}"),
                        );
                    }
                }
            }
            _ => {}
        }
    }
}

fn covers(target: &Value, event: &Value) -> bool {
    let is = |kind: &str, value: &str| target[kind].as_str() == Some(value);
    is("identity", subject(event))
        || is("identity", text(&event["who"], "label"))
        || is("key", text(event, "key"))
        || is("role", text(&event["ask"], "role"))
}

/// An acknowledged order is in the ledger at the index that the answer named.
fn acknowledged(ledger: &Ledger<'_>, found: &mut Found) {
    for operation in &ledger.evidence.operations {
        let kind = match &operation.what {
            What::Lock(_) => "locked",
            What::Unlock(_) => "unlocked",
            What::Revoke(_) => "revoked",
            What::Ask(_)
            | What::Decide { .. }
            | What::Typed(_)
            | What::Host(_)
            | What::CaKey(_)
            | What::Read(_) => continue,
        };
        if let Outcome::Ordered {
            index: Some(index),
            serials,
        } = &operation.outcome
        {
            let event = ledger.event(*index);
            if event["type"] != kind {
                found.add(
                    RECORDED,
                    format!("an acknowledged order ({kind}) is not at index {index}"),
                );
            } else if !serials.is_empty() && event["serials"] != Value::from(serials.clone()) {
                found.add(
                    RECORDED,
                    format!("event {index} revokes other serials than it was answered"),
                );
            }
        }
    }
}

/// Every list that was fetched after an acknowledged order has its serials, no list has others
/// than revoked ones, and versions never fall.
fn lists(ledger: &Ledger<'_>, found: &mut Found) {
    let mut revoked: BTreeSet<u64> = BTreeSet::new();
    for event in &ledger.evidence.events {
        let serials = event["serials"].as_array().into_iter().flatten();
        revoked.extend(serials.filter_map(Value::as_u64));
    }
    let operations = &ledger.evidence.operations;
    let fetched: Vec<(&Operation, &Revocations)> = operations
        .iter()
        .filter_map(|operation| match &operation.outcome {
            Outcome::Revocations(list) => Some((operation, list)),
            _ => None,
        })
        .collect();
    for (operation, list) in &fetched {
        expect_only(list, &revoked, found);
        let orders = operations
            .iter()
            .filter(|order| order.ended < operation.begun)
            .filter(|order| !matches!(order.what, What::Host(_)));
        for order in orders {
            if let Outcome::Ordered { serials, .. } = &order.outcome {
                expect_all(ledger, list, serials.iter(), found);
            }
        }
    }
    for list in &ledger.evidence.last_lists {
        expect_only(list, &revoked, found);
        expect_all(ledger, list, revoked.iter(), found);
    }
    expect_newer(&fetched, found);
    if let Some(refused) = &ledger.evidence.refused_by_keygen {
        for (_, pass) in ledger.evidence.passes() {
            if refused.contains(&pass.serial) != revoked.contains(&pass.serial)
                && is_live(ledger, pass.serial)
            {
                found.add(
                    REVOKED,
                    format!(
                        "ssh-keygen -Q and the ledger differ about pass {}",
                        pass.serial
                    ),
                );
            }
        }
    }
}

/// The version never falls.
pub(super) fn expect_newer(fetched: &[(&Operation, &Revocations)], found: &mut Found) {
    for (operation, list) in fetched {
        let earlier = fetched
            .iter()
            .filter(|(other, _)| other.ended < operation.begun);
        if let Some((_, newer)) = earlier
            .into_iter()
            .find(|(_, other)| other.version > list.version)
        {
            found.add(
                REVOKED,
                format!(
                    "daemon {} published version {} after version {}",
                    operation.daemon, list.version, newer.version
                ),
            );
        }
    }
}

pub(super) fn expect_only(list: &Revocations, revoked: &BTreeSet<u64>, found: &mut Found) {
    let known = list.serials.intersection(revoked).count();
    if list.entries > known {
        found.add(
            REVOKED,
            format!(
                "list {} has {} entries, of which only {known} were revoked",
                list.version, list.entries
            ),
        );
    }
}

pub(super) fn expect_all<'a>(
    ledger: &Ledger<'_>,
    list: &Revocations,
    serials: impl Iterator<Item = &'a u64>,
    found: &mut Found,
) {
    for serial in serials {
        if !list.serials.contains(serial) && is_live(ledger, *serial) {
            found.add(
                REVOKED,
                format!("list {} lacks {serial}, which is live", list.version),
            );
        }
    }
}

/// Whether a host may still accept the pass by any clock of the run.
fn is_live(ledger: &Ledger<'_>, serial: u64) -> bool {
    let end = ledger.event(serial)["valid_before"]
        .as_u64()
        .unwrap_or_default();
    end + MARGIN > ledger.latest
}
