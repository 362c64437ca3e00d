//! Invariant 8 for orders: each counts once, also if it was sent twice or its answer was lost.

use std::collections::BTreeMap;

use super::{Found, Ledger, ONCE, text};
use crate::history::{HostVerb, Outcome, What};

#[derive(Default)]
struct Sent {
    kind: &'static str,
    acknowledged: Option<u64>,
    unknown: bool,
}

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut sent: BTreeMap<&str, Sent> = BTreeMap::new();
    for operation in &ledger.evidence.operations {
        let (tag, kind) = match &operation.what {
            What::CaKey(call) => (&call.tag, "ca_key_ordered"),
            What::Host(call) if call.verb == HostVerb::Add => (&call.tag, "host_added"),
            What::Host(call) if call.verb == HostVerb::Remove => (&call.tag, "host_removed"),
            _ => continue,
        };
        let order = sent.entry(tag).or_default();
        order.kind = kind;
        match &operation.outcome {
            Outcome::Ordered { index, .. } => {
                let index = index.unwrap_or_default();
                if order.acknowledged.is_some_and(|other| other != index) {
                    found.add(ONCE, format!("{tag} was acknowledged twice"));
                }
                order.acknowledged = Some(index);
            }
            Outcome::Unknown(_) => order.unknown = true,
            _ => {}
        }
    }
    let mut recorded: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (index, event) in (0..).zip(&ledger.evidence.events) {
        if ["ca_key_ordered", "host_added", "host_removed"].contains(&text(event, "type")) {
            recorded
                .entry(text(event, "reason"))
                .or_default()
                .push(index);
        }
    }
    for (tag, indices) in &recorded {
        if !sent.contains_key(tag) {
            found.add(
                ONCE,
                format!("events {indices:?} are of an order that was not sent"),
            );
        }
    }
    for (tag, order) in &sent {
        let indices = recorded.get(tag).map_or(&[][..], Vec::as_slice);
        let is_well = match order.acknowledged {
            Some(index) => indices == [index],
            None => indices.len() <= usize::from(order.unknown),
        };
        let is_kind = |index: &u64| text(ledger.event(*index), "type") == order.kind;
        if !is_well || !indices.iter().all(is_kind) {
            found.add(
                ONCE,
                format!(
                    "{tag} ({}, acknowledged at {:?}, unknown: {}) has the events {indices:?}",
                    order.kind, order.acknowledged, order.unknown
                ),
            );
        }
    }
}
