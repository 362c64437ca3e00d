//! Invariant 10: the program offers the pass that the command asked for.

use std::collections::BTreeMap;

use super::{CHOSEN, DENIED, Found, Ledger, at, set, subject, tag, text};
use crate::{
    clients::LAPTOP,
    history::{HeldPass, Outcome, Typed, What},
};

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut typed = BTreeMap::new();
    for operation in &ledger.evidence.operations {
        let What::Typed(it) = &operation.what else {
            continue;
        };
        let most = 1 + usize::from(ledger.evidence.is_disturbed(operation));
        typed.insert(it.tag.as_str(), (it, most));
        if let Outcome::Used(pass) = &operation.outcome {
            offered(ledger, it, pass, found);
        }
    }
    recorded(ledger, &typed, found);
}

/// The pass that ssh was given for this command.
fn offered(ledger: &Ledger<'_>, typed: &Typed, pass: &HeldPass, found: &mut Found) {
    let serial = pass.serial;
    let mut wrong = |what: &str| {
        found.add(
            CHOSEN,
            format!("{} was given pass {serial}: {what}", typed.tag),
        );
    };
    let Some(event) = ledger.issued.get(&serial) else {
        return wrong("the ledger has no such pass");
    };
    let ask = &event["ask"];
    let is_signed = pass.is_signed_by_ca && text(event, "ca") == pass.ca;
    if text(event, "to_be_signed") != pass.signed || !is_signed {
        wrong("it is not the pass of that event");
    }
    if text(event, "key") != pass.key {
        wrong("its private key is another one");
    }
    if text(ask, "role") != typed.role {
        wrong("it is of another role");
    }
    if text(ask, "host") != typed.host {
        wrong("it is for another host");
    }
    if text(&ask["params"], "unit") != typed.unit {
        wrong("it is for another unit");
    }
    let command = format!("/usr/bin/journalctl --unit {}", typed.unit);
    let command = (!typed.unit.is_empty()).then_some(command);
    if pass.command != command {
        wrong("it forces another command");
    }
    if !pass.principals.contains(typed.login) || pass.principals != set(&event["principals"]) {
        wrong("it is for another login");
    }
}

/// Each event of the laptop's user is of a command that was typed, with the role, host and
/// parameter that were typed, and no command has more passes than `typed` says: the program asks
/// once more if the server dies in the middle of it, and gets the second.
fn recorded(ledger: &Ledger<'_>, typed: &BTreeMap<&str, (&Typed, usize)>, found: &mut Found) {
    let mut issued: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, event) in ledger.evidence.events.iter().enumerate() {
        if subject(event) != LAPTOP || !["issued", "denied"].contains(&text(event, "type")) {
            continue;
        }
        let ask = &event["ask"];
        let is_typed = |it: &Typed| {
            it.role == text(ask, "role")
                && it.host == text(ask, "host")
                && it.unit == text(&ask["params"], "unit")
        };
        let command = typed.get(tag(event));
        if !command.is_some_and(|(it, _)| is_typed(it)) {
            found.add(
                CHOSEN,
                format!(
                    "event {index} at {} is of an ask that was not typed: {ask}",
                    at(event)
                ),
            );
        }
        if text(event, "type") != "issued" {
            continue;
        }
        let times = issued.entry(tag(event)).or_default();
        *times += 1;
        if *times > command.map_or(1, |(_, most)| *most) {
            found.add(DENIED, format!("{} was issued {times} times", tag(event)));
        }
    }
}
