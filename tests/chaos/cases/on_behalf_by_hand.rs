//! Passes on behalf of a user: histories made by hand, which break one rule each.

use serde_json::json;

use super::by_hand::{Case, T, asks, expect, held, listed, operation};
use crate::{
    checker,
    history::{Asked, Behalf, Evidence, HeldPass, Outcome, What},
};

pub(crate) const CASES: &[(&str, Case)] = &[
    ("a_pass_on_behalf_of_a_user_is_no_violation", || {
        expect("", |it| issued(it, "s1"))
    }),
    ("two_passes_of_one_consent_are_found", || {
        expect(checker::PROVEN, |it| {
            issued(it, "s1");
            issued(it, "s1");
        })
    }),
    ("two_passes_of_two_consents_are_no_violation", || {
        expect("", |it| {
            issued(it, "s1");
            issued(it, "s2");
        })
    }),
    ("a_pass_by_another_bastion_is_found", || {
        expect(checker::PROVEN, |it| {
            issued(it, "s1");
            it.events[9]["on_behalf"]["by"]["subject"] = json!("edge-2");
        })
    }),
    ("a_consent_by_another_key_is_found", || {
        expect(checker::PROVEN, |it| {
            issued(it, "s1");
            it.events[9]["on_behalf"]["key"] = json!("SHA256:other");
        })
    }),
    ("a_pass_without_a_consent_is_found", || {
        expect(checker::PROVEN, |it| {
            issued(it, "s1");
            it.events[9]["on_behalf"] = json!(null);
        })
    }),
    ("a_key_id_without_the_bastion_is_found", || {
        expect(checker::PROVEN, |it| {
            issued(it, "s1");
            let key_id = "alice@example.com/via";
            it.events[9]["key_id"] = json!(key_id);
            pass(it).key_id = key_id.to_owned();
        })
    }),
    ("another_key_id_than_that_of_the_event_is_found", || {
        expect(checker::RECORDED, |it| {
            issued(it, "s1");
            pass(it).key_id = "alice@example.com/via".to_owned();
        })
    }),
    ("a_pass_that_works_from_elsewhere_is_found", || {
        expect(checker::WITHIN, |it| {
            issued(it, "s1");
            pass(it).sources = None;
        })
    }),
    ("an_event_that_works_from_elsewhere_is_found", || {
        expect(checker::WITHIN, |it| {
            issued(it, "s1");
            it.events[9]["source_addresses"] = json!(["10.0.0.0/8"]);
        })
    }),
];

/// The pass of the last operation.
fn pass(it: &mut Evidence) -> &mut HeldPass {
    match it.operations.last_mut().map(|it| &mut it.outcome) {
        Some(Outcome::Pass(pass)) => pass,
        other => panic!("{other:?}"),
    }
}

/// A pass for alice's bastion, by a consent with this signature.
fn issued(it: &mut Evidence, consent: &str) {
    let serial = it.events.len() as u64;
    let (tag, signed) = (format!("op-via-{serial}"), format!("via-{serial}"));
    let key_id = "alice@example.com~via~edge@example.com/via";
    let who = |name: &str| json!({"issuer": "i", "subject": name, "label": name});
    it.append(json!({
        "type": "issued", "who": who("alice"), "key": "SHA256:edge", "ca": "SHA256:ca", "key_id": key_id,
        "ask": {"role": "via", "reason": tag, "host": "web-1"}, "principals": ["debug"], "extensions": [],
        "source_addresses": ["127.0.0.1/32"], "valid_after": T - 60, "valid_before": T + 1200, "policy": "p",
        "to_be_signed": signed, "on_behalf": {"by": who("edge"), "key": "SHA256:a", "signature": consent},
    }));
    let by = Behalf {
        by: "edge".to_owned(),
        key: "SHA256:a".to_owned(),
    };
    let asked = Asked {
        by: Some(by),
        ..asks(&tag, "alice", "via", "SHA256:edge")
    };
    let pass = HeldPass {
        key_id: key_id.to_owned(),
        sources: Some("127.0.0.1/32".to_owned()),
        ..held(serial, "SHA256:edge", "debug", &signed, T + 1200)
    };
    it.by_keygen.push(listed(&pass));
    let outcome = Outcome::Pass(Box::new(pass));
    it.operations
        .push(operation(40 + serial, What::Ask(asked), outcome));
}
