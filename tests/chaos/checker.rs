//! Judges a run by the invariants of the CA. Pure: it reads the evidence and knows no server.
//!
//! Each violation begins with the number of the invariant in the design and its name. The rules
//! are written anew here from the invariants, not shared with the code under test.

mod bounds;
mod ca_keys;
mod denials;
mod form;
mod host_lists;
mod hosts;
mod laptop;
mod on_behalf;
mod once;
mod orders;
mod registered;
mod requests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::clients::LAPTOP;
use super::history::{Asked, Evidence, Expected, HeldPass, Operation, Outcome, What};

pub(crate) const RECORDED: &str = "1 no pass without a committed event";
pub(crate) const CERTIFIED: &str = "1 no host certificate without a committed event";
pub(crate) const UNIQUE: &str = "1 serials are unique and equal the ledger index";
pub(crate) const WITHIN: &str = "2 a grant is within every restriction";
pub(crate) const PROVEN: &str = "3 no pass for a key that was not proven";
pub(crate) const JOINED: &str = "3 a code joins one host, which has names and keys of its own";
pub(crate) const DENIED: &str = "4 a refused ask leaves exactly one event and no pass";
pub(crate) const LOCKED: &str = "5 no pass after an acknowledged lock";
pub(crate) const REVOKED: &str = "5 the published list revokes what was revoked";
pub(crate) const REMOVED: &str =
    "5 a removed host gets no certificate, and users refuse its old ones";
pub(crate) const APPROVED: &str =
    "6 an approval is of one exact request, by another person, spent once";
pub(crate) const LINTED: &str = "7 each pass is well-formed";
pub(crate) const ACTIVE: &str = "7 one CA key is active, and signs each pass";
pub(crate) const SAME: &str = "5 all daemons publish the same keys and the same list";
pub(crate) const UNFORKED: &str = "8 one unforked ledger";
pub(crate) const ONCE: &str =
    "8 an acknowledged order is in the ledger once, another one at most once";
pub(crate) const POLICY: &str = "9 an invalid policy leaves the running one";
pub(crate) const CHOSEN: &str = "10 the client uses the pass that the command asked for";
pub(crate) const BOUNDED: &str =
    "11 a caller without a token pushes neither memory nor log beyond its bound";
pub(crate) const CLOCK: &str = "12 no jump of a clock lengthens a pass";
pub(crate) const SERVICE: &str = "the service returns by itself";

/// Backdating and rounding of a pass, in seconds.
const BACKDATE: u64 = 61;

/// Violations, each with the name of its invariant. Empty: all is well.
pub(crate) fn violations(evidence: &Evidence) -> Vec<String> {
    let mut found = Found(Vec::new());
    for fault in &evidence.faults {
        found.add(SERVICE, fault);
    }
    for fault in &evidence.verification {
        found.add(UNFORKED, fault);
    }
    let ledger = Ledger::read(evidence, &mut found);
    passes(&ledger, &mut found);
    asks(&ledger, &mut found);
    events(&ledger, &mut found);
    denials::check(&ledger, &mut found);
    orders::check(&ledger, &mut found);
    once::check(&ledger, &mut found);
    ca_keys::check(&ledger, &mut found);
    hosts::check(&ledger, &mut found);
    requests::check(&ledger, &mut found);
    registered::check(&ledger, &mut found);
    on_behalf::check(&ledger, &mut found);
    laptop::check(&ledger, &mut found);
    bounds::check(&ledger, &mut found);
    tree(&ledger, &mut found);
    form::check(&ledger, &mut found);
    published(&ledger, &mut found);
    real_time(&ledger, &mut found);
    found.0
}

pub(crate) struct Found(Vec<String>);

impl Found {
    fn add(&mut self, invariant: &str, what: impl std::fmt::Display) {
        self.0.push(format!("{invariant}: {what}"));
    }
}

/// The evidence with its events by kind.
struct Ledger<'a> {
    evidence: &'a Evidence,
    /// `issued` events by index.
    issued: BTreeMap<u64, &'a Value>,
    /// The latest time that any event has, in Unix seconds.
    latest: u64,
}

impl<'a> Ledger<'a> {
    fn read(evidence: &'a Evidence, found: &mut Found) -> Self {
        let mut issued = BTreeMap::new();
        let mut latest = 0;
        for (index, event) in evidence.events.iter().enumerate() {
            let index = index as u64;
            if event["index"] != index {
                found.add(
                    UNFORKED,
                    format!("event {index} says that it is {}", event["index"]),
                );
            }
            if event["type"] == "issued" {
                issued.insert(index, event);
            }
            latest = latest.max(at(event));
        }
        Self {
            evidence,
            issued,
            latest,
        }
    }

    fn event(&self, index: u64) -> &'a Value {
        self.evidence
            .events
            .get(index as usize)
            .unwrap_or(&Value::Null)
    }
}

/// The event's time in Unix seconds.
fn at(event: &Value) -> u64 {
    let text = event["at"].as_str().unwrap_or_default();
    let format = &time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(text, format);
    time.map_or(0, |time| time.unix_timestamp().max(0) as u64)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn subject(event: &Value) -> &str {
    text(&event["who"], "subject")
}

fn tag(event: &Value) -> &str {
    text(&event["ask"], "reason")
}

fn set(value: &Value) -> BTreeSet<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Each pass that a client holds: recorded, unique, and exactly what its event says.
fn passes(ledger: &Ledger<'_>, found: &mut Found) {
    let mut seen: BTreeMap<u64, &str> = BTreeMap::new();
    for (asked, pass) in ledger.evidence.passes() {
        let serial = pass.serial;
        if serial == 0 {
            found.add(UNIQUE, format!("{}: serial 0", asked.tag));
        }
        if let Some(other) = seen.insert(serial, &pass.signed)
            && other != pass.signed
        {
            found.add(UNIQUE, format!("two passes have the serial {serial}"));
        }
        let Some(event) = ledger.issued.get(&serial) else {
            let there = ledger.event(serial)["type"].clone();
            found.add(
                RECORDED,
                format!(
                    "pass {serial} of {} has no event; at its index is {there}",
                    asked.tag
                ),
            );
            continue;
        };
        if text(event, "to_be_signed") != pass.signed {
            found.add(
                RECORDED,
                format!(
                    "pass {serial} of {} was signed over other bytes than event {serial} has",
                    asked.tag
                ),
            );
        }
        if !pass.is_signed_by_ca || text(event, "ca") != pass.ca {
            found.add(RECORDED, format!("pass {serial} is not signed by the CA"));
        }
        same(asked, pass, event, found);
    }
}

fn same(asked: &Asked, pass: &HeldPass, event: &Value, found: &mut Found) {
    let serial = pass.serial;
    if pass.key != asked.key || text(event, "key") != asked.key {
        found.add(
            PROVEN,
            format!("pass {serial} of {} is for another key", asked.tag),
        );
    }
    if subject(event) != asked.subject || tag(event) != asked.tag {
        found.add(
            RECORDED,
            format!(
                "event {serial} is of {} ({}), not of {}",
                subject(event),
                tag(event),
                asked.tag
            ),
        );
    }
    let command = event["command"].as_str().map(str::to_owned);
    if set(&event["principals"]) != pass.principals
        || set(&event["extensions"]) != pass.extensions
        || command != pass.command
    {
        found.add(
            WITHIN,
            format!("pass {serial} has other permissions than its event"),
        );
    }
    if text(event, "key_id") != pass.key_id {
        found.add(
            RECORDED,
            format!("pass {serial} has another key id than its event"),
        );
    }
    if event["valid_after"] != pass.valid_after || event["valid_before"] != pass.valid_before {
        found.add(
            CLOCK,
            format!("pass {serial} has another validity than its event"),
        );
    }
}

/// Answers that no correct server gives.
fn asks(ledger: &Ledger<'_>, found: &mut Found) {
    for operation in &ledger.evidence.operations {
        let What::Ask(asked) = &operation.what else {
            continue;
        };
        let is_granted = matches!(operation.outcome, Outcome::Pass(_) | Outcome::Filed(_));
        match asked.expected {
            Expected::Anything => {}
            Expected::Denial if is_granted && asked.role == "own" => {
                found.add(
                    WITHIN,
                    format!(
                        "{} got a pass for a login that the policy forbids",
                        asked.tag
                    ),
                );
            }
            Expected::Denial if is_granted => {
                found.add(
                    DENIED,
                    format!("{} got a pass that the policy denies", asked.tag),
                );
            }
            Expected::Unproven if is_granted => {
                found.add(PROVEN, format!("{} got a pass without proof", asked.tag));
            }
            Expected::Denial | Expected::Unproven => {}
        }
    }
}

/// Each `issued` event, delivered or not: by an ask, under a known policy, within its role.
fn events(ledger: &Ledger<'_>, found: &mut Found) {
    let mut asked: BTreeMap<&str, &Asked> = BTreeMap::new();
    for operation in &ledger.evidence.operations {
        if let What::Ask(ask) = &operation.what {
            asked.insert(&ask.tag, ask);
        }
    }
    let policies: BTreeMap<&str, u64> = ledger
        .evidence
        .policies
        .iter()
        .map(|(hash, ttl)| (&**hash, *ttl))
        .collect();
    for (index, event) in ledger.evidence.events.iter().enumerate() {
        let policy = text(event, "policy");
        if !policy.is_empty() && !policies.contains_key(policy) {
            found.add(
                POLICY,
                format!("event {index} was decided by the unknown policy {policy}"),
            );
        }
    }
    for (index, event) in &ledger.issued {
        if subject(event) == LAPTOP {
            continue;
        }
        let Some(ask) = asked.get(tag(event)) else {
            found.add(
                PROVEN,
                format!(
                    "event {index} issues a pass that no client asked for: {:?}",
                    tag(event)
                ),
            );
            continue;
        };
        if ask.expected == Expected::Unproven
            || text(event, "key") != ask.key
            || subject(event) != ask.subject
        {
            found.add(
                PROVEN,
                format!(
                    "event {index} issues to another identity or key than that of {}",
                    ask.tag
                ),
            );
        }
        if text(&event["ask"], "role") != ask.role {
            found.add(
                WITHIN,
                format!(
                    "event {index} issues another role than {} asked for",
                    ask.tag
                ),
            );
        }
        let shell = policies
            .get(text(event, "policy"))
            .copied()
            .unwrap_or_default();
        within(*index, event, ask, shell, found);
    }
}

/// The roles of the run's policies: (name, its principals, beginning of its command, lifetime in
/// seconds; none for `shell`, whose lifetime the policies differ in).
const ROLES: &[(&str, &[&str], &str, Option<u64>)] = &[
    ("shell", &["debug"], "", None),
    ("own", &["debug", "deploy"], "", Some(1800)),
    (
        "logs",
        &["weblogs"],
        "/usr/bin/journalctl --unit ",
        Some(1800),
    ),
    ("prod", &["deploy"], "", Some(2700)),
    ("down", &["deploy"], "", Some(EMERGENCY)),
    ("via", &["debug"], "", Some(1200)),
];

/// Lifetime of an emergency's pass.
const EMERGENCY: u64 = 900;

fn within(index: u64, event: &Value, ask: &Asked, shell: u64, found: &mut Found) {
    let Some((_, principals, command, ttl)) = ROLES.iter().find(|(name, ..)| *name == ask.role)
    else {
        return;
    };
    let granted = set(&event["principals"]);
    if granted.is_empty() || granted.iter().any(|one| !principals.contains(&&**one)) {
        found.add(
            WITHIN,
            format!("event {index} grants {granted:?} for role {}", ask.role),
        );
    }
    let forced = text(event, "command");
    if forced.is_empty() != command.is_empty() || !forced.starts_with(command) {
        found.add(
            WITHIN,
            format!("event {index} forces {forced:?} for role {}", ask.role),
        );
    }
    let mut most = if ask.emergency {
        EMERGENCY
    } else {
        ttl.unwrap_or(shell)
    };
    if ask.ttl_seconds > 0 {
        most = most.min(ask.ttl_seconds);
    }
    let number = |field: &str| event[field].as_u64().unwrap_or_default();
    let (from, to, at) = (number("valid_after"), number("valid_before"), at(event));
    if to > at + most + 1 || to <= from || from + BACKDATE < at {
        found.add(
            CLOCK,
            format!("event {index} at {at} is valid from {from} to {to}; {most} s are allowed"),
        );
    }
}

/// With no client left, every daemon publishes the same bytes.
fn published(ledger: &Ledger<'_>, found: &mut Found) {
    for document in &ledger.evidence.published {
        let first = document.bodies.first();
        if document.bodies.iter().any(|body| Some(body) != first) {
            let lengths: Vec<_> = document.bodies.iter().map(Vec::len).collect();
            found.add(
                SAME,
                format!("{} differs: {lengths:?} bytes", document.path),
            );
        }
        if document.bodies.iter().any(Vec::is_empty) {
            found.add(SAME, format!("{} is missing", document.path));
        }
    }
}

/// Every checkpoint and every read is of the one final ledger.
fn tree(ledger: &Ledger<'_>, found: &mut Found) {
    let leaves = &ledger.evidence.leaves;
    let mut sizes: BTreeMap<u64, Vec<[u8; 32]>> = BTreeMap::new();
    for operation in &ledger.evidence.operations {
        match &operation.outcome {
            Outcome::Checkpoint(head) => {
                sizes.entry(head.size).or_default().push(head.root);
                if !head.is_signed {
                    found.add(
                        UNFORKED,
                        format!(
                            "daemon {} showed a checkpoint of {} events without a good signature",
                            operation.daemon, head.size
                        ),
                    );
                }
            }
            Outcome::Leaves(read) => {
                let is_same =
                    |(index, hash): &(u64, [u8; 32])| leaves.get(*index as usize) == Some(hash);
                if let Some((index, _)) = read.iter().find(|leaf| !is_same(leaf)) {
                    found.add(
                        UNFORKED,
                        format!(
                            "daemon {} showed an event {index} that the ledger does not have",
                            operation.daemon
                        ),
                    );
                }
            }
            _ => {}
        }
    }
    let mut peaks: Vec<(u32, [u8; 32])> = Vec::new();
    for size in 0..=leaves.len() as u64 {
        if let Some(roots) = sizes.remove(&size)
            && roots.iter().any(|root| *root != fold(&peaks))
        {
            found.add(
                UNFORKED,
                format!("a checkpoint of {size} events has another root than these events"),
            );
        }
        if let Some(leaf) = leaves.get(size as usize) {
            push(&mut peaks, *leaf);
        }
    }
    for size in sizes.keys() {
        found.add(
            UNFORKED,
            format!(
                "a checkpoint has {size} events, and the ledger only {}",
                leaves.len()
            ),
        );
    }
}

/// RFC 6962, section 2.1: the complete subtrees of the leaves so far, largest first.
fn push(peaks: &mut Vec<(u32, [u8; 32])>, leaf: [u8; 32]) {
    let (mut level, mut hash) = (0, leaf);
    while let Some((last, left)) = peaks.pop() {
        if last != level {
            peaks.push((last, left));
            break;
        }
        (level, hash) = (level + 1, node(&left, &hash));
    }
    peaks.push((level, hash));
}

fn fold(peaks: &[(u32, [u8; 32])]) -> [u8; 32] {
    let mut hashes = peaks.iter().rev().map(|(_, hash)| *hash);
    match hashes.next() {
        None => Sha256::digest([]).into(),
        Some(last) => hashes.fold(last, |right, left| node(&left, &right)),
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new_with_prefix([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// What was acknowledged before an operation began has a smaller index, and every later reader
/// sees it, on any daemon.
fn real_time(ledger: &Ledger<'_>, found: &mut Found) {
    let mut known: Vec<(&Operation, u64)> = Vec::new();
    let mut sizes: Vec<(&Operation, u64)> = Vec::new();
    for operation in &ledger.evidence.operations {
        match &operation.outcome {
            Outcome::Pass(pass) => known.push((operation, pass.serial)),
            Outcome::Certified(all) => {
                known.extend(all.iter().map(|it| (operation, it.serial)));
            }
            Outcome::Filed(id) => known.push((operation, *id)),
            Outcome::Ordered {
                index: Some(index), ..
            } => known.push((operation, *index)),
            Outcome::Checkpoint(head) => sizes.push((operation, head.size)),
            _ => {}
        }
    }
    known.sort_by_key(|(operation, _)| operation.ended);
    let mut newest = 0;
    let before: Vec<(std::time::Duration, u64)> = known
        .iter()
        .map(|(operation, index)| {
            newest = newest.max(*index);
            (operation.ended, newest)
        })
        .collect();
    let newest_before = |time: std::time::Duration| {
        let count = before.partition_point(|(ended, _)| *ended < time);
        count.checked_sub(1).map(|last| before[last].1)
    };
    // An open request that is asked for again keeps its id.
    for (operation, index) in known
        .iter()
        .filter(|(it, _)| !matches!(it.outcome, Outcome::Filed(_)))
    {
        if let Some(newest) = newest_before(operation.begun)
            && newest >= *index
        {
            found.add(
                UNFORKED,
                format!(
                    "client {} got index {index} after {newest} had been acknowledged",
                    operation.client
                ),
            );
        }
    }
    for (operation, size) in &sizes {
        if let Some(newest) = newest_before(operation.begun)
            && newest >= *size
        {
            found.add(UNFORKED, format!("daemon {} signed a checkpoint of {size} events after event {newest} had been acknowledged", operation.daemon));
        }
    }
}
