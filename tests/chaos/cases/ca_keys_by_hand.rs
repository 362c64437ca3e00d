//! Rotation of the CA's keys: histories made by hand, which break one rule each.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    by_hand::{Case, T, asks, expect, held, listed, operation, typed},
    hosts_by_hand::joined,
};
use crate::{
    checker,
    history::{CaKeyCall, Evidence, Expected, HostCall, HostVerb, Outcome, What},
};

const OLD: &str = "SHA256:ca";
const NEW: &str = "SHA256:new";

pub(crate) const CASES: &[(&str, Case)] = &[
    ("a_rotation_is_no_violation", || expect("", rotated)),
    ("the_way_back_is_no_violation", || {
        expect("", |it| {
            rotated(it);
            order(it, ("activate", OLD, true));
        })
    }),
    ("a_pass_by_the_key_before_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            it.events[11]["ca"] = json!(OLD);
        })
    }),
    ("a_pass_by_a_retired_key_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            order(it, ("retire", OLD, true));
            issued(it, OLD);
        })
    }),
    ("a_pass_by_a_staged_key_is_found", || {
        expect(checker::ACTIVE, |it| {
            order(it, ("stage", NEW, false));
            issued(it, NEW);
        })
    }),
    ("a_pass_by_another_key_than_its_event_says_is_found", || {
        expect(checker::RECORDED, |it| {
            rotated(it);
            for operation in &mut it.operations {
                if let Outcome::Pass(pass) = &mut operation.outcome
                    && pass.ca == NEW
                {
                    pass.ca = OLD.to_owned();
                }
            }
        })
    }),
    ("two_keys_that_are_active_at_first_are_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            let two = json!([{"key": OLD, "state": "active"}, {"key": "k", "state": "active"}]);
            it.events[9]["from"] = two;
        })
    }),
    ("another_key_that_is_active_at_first_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            it.events[9]["from"] = json!([{"key": "SHA256:k", "state": "active"}]);
        })
    }),
    ("a_later_order_that_names_the_keys_before_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            it.events[10]["from"] = it.events[9]["from"].clone();
        })
    }),
    ("an_activation_of_an_unknown_key_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            order(it, ("activate", "SHA256:k", true));
        })
    }),
    ("an_activation_of_a_retired_key_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            order(it, ("retire", OLD, true));
            order(it, ("activate", OLD, true));
        })
    }),
    ("a_retirement_of_the_active_key_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            order(it, ("retire", NEW, true));
        })
    }),
    ("a_retirement_while_a_pass_is_valid_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            order(it, ("retire", OLD, false));
        })
    }),
    ("a_configuration_that_activates_a_key_is_found", || {
        expect(checker::ACTIVE, |it| {
            rotated(it);
            it.append(json!({"type": "key_activated", "key": NEW}));
        })
    }),
    (
        "an_activation_that_did_not_wait_for_a_host_is_found",
        || expect(checker::ACTIVE, |it| patient(it, false)),
    ),
    (
        "an_activation_that_waited_for_hosts_is_no_violation",
        || expect("", |it| patient(it, true)),
    ),
    ("an_order_that_is_lost_is_found", || {
        expect(checker::ONCE, |it| {
            rotated(it);
            let lost = it.events.pop();
            assert!(lost.is_some(), "the pass");
            it.events[10]["reason"] = json!("");
        })
    }),
    ("an_order_that_counts_twice_is_found", || {
        expect(checker::ONCE, |it| {
            rotated(it);
            let again = it.events[9].clone();
            it.append(again);
        })
    }),
    ("an_order_that_may_have_come_is_no_violation", || {
        expect("", |it| {
            rotated(it);
            let unknown = Outcome::Unknown("no answer in time".to_owned());
            outcome_of(it, "order-ca-9", unknown);
        })
    }),
    ("an_order_that_was_refused_and_came_is_found", || {
        expect(checker::ONCE, |it| {
            rotated(it);
            let refused = Outcome::Refused("ORDER_STALE".to_owned());
            outcome_of(it, "order-ca-9", refused);
        })
    }),
    ("a_pass_of_the_laptop_by_another_key_is_found", || {
        expect(checker::CHOSEN, |it| {
            typed(it, |pass| pass.ca = NEW.to_owned());
        })
    }),
];

fn outcome_of(it: &mut Evidence, tag: &str, outcome: Outcome) {
    let is_it = |what: &What| matches!(what, What::CaKey(call) if call.tag == tag);
    let mut found = it.operations.iter_mut().filter(|it| is_it(&it.what));
    found.next().expect("the order").outcome = outcome;
}

/// An acknowledged order. The first one names the keys before it.
fn order(it: &mut Evidence, (step, key, anyway): (&'static str, &str, bool)) {
    let index = it.events.len() as u64;
    let tag = format!("order-ca-{index}");
    let mut event = json!({
        "type": "ca_key_ordered", "step": step, "key": key, "anyway": anyway, "reason": tag,
    });
    if step == "stage" {
        event["from"] = json!([{"key": OLD, "state": "active"}]);
    }
    it.append(event);
    let call = CaKeyCall {
        tag,
        step,
        key: key.to_owned(),
        anyway,
    };
    let outcome = Outcome::Ordered {
        index: Some(index),
        serials: Vec::new(),
    };
    let at = 20 + index;
    it.operations
        .push(operation(at, What::CaKey(call), outcome));
}

/// A pass by this key, and its holder.
fn issued(it: &mut Evidence, ca: &str) {
    let serial = it.events.len() as u64;
    let tag = format!("op-ca-{serial}");
    it.append(json!({
        "type": "issued", "who": {"issuer": "i", "subject": "frank", "label": "frank"}, "key": "SHA256:f", "ca": ca,
        "ask": {"role": "shell", "reason": tag}, "principals": ["debug"], "extensions": [],
        "valid_after": T - 60, "valid_before": T + 3600, "policy": "p", "to_be_signed": "cc",
    }));
    let mut pass = held(serial, "SHA256:f", "debug", "cc", T + 3600);
    pass.ca = ca.to_owned();
    it.by_keygen.push(listed(&pass));
    let what = What::Ask(asks(&tag, "frank", "shell", "SHA256:f"));
    let outcome = Outcome::Pass(Box::new(pass));
    it.operations.push(operation(20 + serial, what, outcome));
}

/// A new key is staged (event 9) and activated (event 10), and signs a pass (event 11).
fn rotated(it: &mut Evidence) {
    order(it, ("stage", NEW, false));
    order(it, ("activate", NEW, true));
    issued(it, NEW);
}

/// A host joins, and a key is activated that the host has reported, or has not.
fn patient(it: &mut Evidence, has_reported: bool) {
    joined(it);
    order(it, ("stage", NEW, false));
    let trusted: BTreeSet<String> = match has_reported {
        true => [OLD.to_owned(), NEW.to_owned()].into(),
        false => [OLD.to_owned()].into(),
    };
    let call = HostCall {
        verb: HostVerb::Sync,
        name: "web-1".to_owned(),
        tag: String::new(),
        code: String::new(),
        keys: ["SHA256:h1".to_owned()].into(),
        trusted,
        expected: Expected::Anything,
    };
    let outcome = Outcome::Certified(Vec::new());
    it.operations.push(operation(33, What::Host(call), outcome));
    order(it, ("activate", NEW, false));
}
