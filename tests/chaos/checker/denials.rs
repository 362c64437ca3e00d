//! Invariant 4: one event for each refusal of a proven identity, and at most one decision an ask.

use std::collections::{BTreeMap, BTreeSet};

use super::{DENIED, Found, Ledger, subject, tag};
use crate::{
    clients::LAPTOP,
    history::{Asked, Outcome, What},
    world::AGED_BY,
};

/// Denials of one identity, and of all together, that get events of their own; later ones are
/// counted, and a kill loses the counts of its window (`ledger::denials`).
const OF_ONE: usize = 32;
const OF_ALL: usize = 1024;

/// Refusals that the ledger does not hold: the server did not decide them.
const UNRECORDED: &[&str] = &[
    "RATE_LIMITED",
    "CHALLENGE",
    "EMERGENCY_KEY",
    "TIMEOUT",
    "INTERNAL",
    "POLICY_CHANGED",
    "STORE_UNAVAILABLE",
    "CA_UNAVAILABLE",
    "ISSUER_UNAVAILABLE",
    "",
];

#[derive(Default)]
struct Group<'a> {
    asked: Option<&'a Asked>,
    operations: usize,
    unknown: usize,
    passes: usize,
    refusals: Vec<&'a str>,
    issued: usize,
    denied: Vec<&'a str>,
}

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut groups: BTreeMap<(&str, u64), Group<'_>> = BTreeMap::new();
    for operation in &ledger.evidence.operations {
        let What::Ask(asked) = &operation.what else {
            continue;
        };
        let group = groups
            .entry((&asked.tag, asked.request.unwrap_or_default()))
            .or_default();
        group.asked = Some(asked);
        group.operations += 1;
        match &operation.outcome {
            Outcome::Pass(_) => group.passes += 1,
            Outcome::Refused(reason) if is_recorded(reason) => group.refusals.push(reason),
            Outcome::Unknown(_) => group.unknown += 1,
            Outcome::Refused(reason) if reason == "POLICY_CHANGED" => group.unknown += 1,
            _ => {}
        }
    }
    // An order's reason is in its denial.
    let orders = ledger
        .evidence
        .operations
        .iter()
        .filter_map(|it| match &it.what {
            What::CaKey(call) => Some(call.tag.as_str()),
            What::Host(call) => Some(call.tag.as_str()),
            _ => None,
        });
    let orders: BTreeSet<&str> = orders.collect();
    let (mut of_one, mut of_all) = (BTreeMap::<&str, usize>::new(), 0);
    for event in &ledger.evidence.events {
        if subject(event) == LAPTOP {
            continue;
        }
        let key = (
            tag(event),
            event["ask"]["request"].as_u64().unwrap_or_default(),
        );
        if event["type"] == "issued" {
            groups.entry(key).or_default().issued += 1;
        }
        if event["type"] == "denied" && subject(event) != AGED_BY {
            *of_one.entry(subject(event)).or_default() += 1;
            of_all += 1;
            // Decisions and orders have no ask of their own.
            if !tag(event).is_empty() && !orders.contains(tag(event)) {
                groups
                    .entry(key)
                    .or_default()
                    .denied
                    .push(super::text(event, "reason"));
            }
        }
    }
    for ((tag, _), group) in groups {
        let Some(asked) = group.asked else {
            if group.issued + group.denied.len() > 0 {
                found.add(
                    DENIED,
                    format!("the ledger has a decision about {tag:?}, which no client asked"),
                );
            }
            continue;
        };
        let events = group.issued + group.denied.len();
        let certain = group.passes + group.refusals.len();
        if group.issued > 1 {
            found.add(DENIED, format!("{tag} was issued {} times", group.issued));
        }
        if events > certain + group.unknown {
            found.add(
                DENIED,
                format!(
                    "{tag} left {events} events after {certain} answers and {} unknown ones",
                    group.unknown
                ),
            );
        }
        let is_counted = of_one
            .get(&*asked.subject)
            .is_some_and(|count| *count >= OF_ONE)
            || of_all >= OF_ALL;
        for reason in &group.refusals {
            let expected = group.refusals.iter().filter(|it| *it == reason).count();
            let recorded = group.denied.iter().filter(|it| *it == reason).count();
            if recorded < expected && !is_counted {
                found.add(DENIED, format!("{tag} was refused with {reason} {expected} times, and the ledger has {recorded} events of it"));
            }
        }
    }
}

fn is_recorded(reason: &str) -> bool {
    !reason.starts_with("TOKEN_") && !UNRECORDED.contains(&reason)
}
