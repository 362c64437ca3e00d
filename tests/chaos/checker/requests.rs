//! Invariant 6: approvals.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{APPROVED, Found, Ledger, subject, text};
use crate::history::{Outcome, What};

struct Request<'a> {
    event: &'a Value,
    approvers: BTreeSet<&'a str>,
    spent: Option<u64>,
    is_closed: bool,
}

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut requests: BTreeMap<u64, Request<'_>> = BTreeMap::new();
    for (index, event) in ledger.evidence.events.iter().enumerate() {
        let index = index as u64;
        let decided = event["request"].as_u64().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "requested" => {
                let request = Request {
                    event,
                    approvers: BTreeSet::new(),
                    spent: None,
                    is_closed: false,
                };
                requests.insert(index, request);
            }
            "approved" => match requests.get_mut(&decided) {
                None => found.add(
                    APPROVED,
                    format!("event {index} approves {decided}, which is no request"),
                ),
                Some(request) => {
                    if subject(request.event) == subject(event) {
                        found.add(
                            APPROVED,
                            format!(
                                "event {index}: {} approved the own request {decided}",
                                subject(event)
                            ),
                        );
                    }
                    if request.is_closed {
                        found.add(
                            APPROVED,
                            format!("event {index} approves the closed request {decided}"),
                        );
                    }
                    if !request.approvers.insert(subject(event)) {
                        found.add(
                            APPROVED,
                            format!("event {index}: {} approved {decided} twice", subject(event)),
                        );
                    }
                }
            },
            "refused" | "cancelled" => {
                if let Some(request) = requests.get_mut(&decided) {
                    request.is_closed = true;
                }
            }
            "issued" => redeemed(index, event, &mut requests, found),
            _ => {}
        }
    }
    acknowledged(ledger, &requests, found);
    known(ledger, found);
}

fn redeemed(
    index: u64,
    event: &Value,
    requests: &mut BTreeMap<u64, Request<'_>>,
    found: &mut Found,
) {
    let (ask, id) = (&event["ask"], event["ask"]["request"].as_u64());
    let Some(id) = id else {
        if text(ask, "role") == "prod" && ask["emergency"] != true {
            found.add(
                APPROVED,
                format!("event {index} issues role prod without a request"),
            );
        }
        return;
    };
    let Some(request) = requests.get_mut(&id) else {
        found.add(
            APPROVED,
            format!("event {index} redeems {id}, which is no request"),
        );
        return;
    };
    let needed = request.event["needed"].as_u64().unwrap_or(1);
    if request.is_closed || (request.approvers.len() as u64) < needed {
        found.add(
            APPROVED,
            format!(
                "event {index} redeems {id}, which has {} of {needed} approvals",
                request.approvers.len()
            ),
        );
    }
    if let Some(other) = request.spent.replace(index) {
        found.add(
            APPROVED,
            format!("request {id} was redeemed by events {other} and {index}"),
        );
    }
    let is_same = subject(event) == subject(request.event)
        && text(event, "key") == text(request.event, "key")
        && ["role", "host", "params", "reason", "ttl_seconds"]
            .iter()
            .all(|field| ask[field] == request.event["ask"][field])
        && super::set(&event["principals"]).is_subset(&super::set(&request.event["principals"]));
    if !is_same {
        found.add(
            APPROVED,
            format!("event {index} redeems {id} for another person, key or ask"),
        );
    }
}

fn acknowledged(ledger: &Ledger<'_>, requests: &BTreeMap<u64, Request<'_>>, found: &mut Found) {
    for operation in &ledger.evidence.operations {
        match (&operation.what, &operation.outcome) {
            (What::Ask(asked), Outcome::Filed(id)) => {
                let there = requests.get(id);
                if there.is_none_or(|request| super::tag(request.event) != asked.tag) {
                    found.add(
                        super::RECORDED,
                        format!(
                            "request {id} of {} was acknowledged and is not in the ledger",
                            asked.tag
                        ),
                    );
                }
            }
            (
                What::Decide {
                    verb: "approve",
                    request,
                    by,
                },
                Outcome::Decided,
            ) => {
                let there = requests.get(request);
                if there.is_none_or(|request| !request.approvers.contains(&**by)) {
                    found.add(super::RECORDED, format!("the approval of {request} by {by} was acknowledged and is not in the ledger"));
                }
            }
            _ => {}
        }
    }
}

/// An acknowledged request is known to every daemon from then on.
fn known(ledger: &Ledger<'_>, found: &mut Found) {
    let operations = &ledger.evidence.operations;
    let filed: BTreeMap<u64, Duration> = operations
        .iter()
        .filter_map(|operation| match operation.outcome {
            Outcome::Filed(id) => Some((id, operation.ended)),
            _ => None,
        })
        .collect();
    for operation in operations {
        let id = match &operation.what {
            What::Ask(asked) => asked.request,
            What::Decide { request, .. } => Some(*request),
            What::Lock(_)
            | What::Unlock(_)
            | What::Revoke(_)
            | What::Typed(_)
            | What::Host(_)
            | What::CaKey(_)
            | What::Read(_) => None,
        };
        let is_denied = matches!(&operation.outcome, Outcome::Refused(reason) if reason.starts_with("NO_SUCH_"));
        if let Some(ended) = id.and_then(|id| filed.get(&id))
            && is_denied
            && operation.begun > *ended
        {
            found.add(
                super::UNFORKED,
                format!(
                    "daemon {} does not know request {id:?}, which was acknowledged",
                    operation.daemon
                ),
            );
        }
    }
}
