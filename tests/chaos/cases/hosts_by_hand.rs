//! Known hosts: histories made by hand, which break one rule each.

use std::collections::BTreeSet;

use serde_json::json;

use super::by_hand::{Case, T, expect, held, operation};
use crate::{
    checker,
    history::{Evidence, Expected, HeldPass, HostCall, HostVerb, Outcome, Revocations, What},
};

pub(crate) const CASES: &[(&str, Case)] = &[
    ("a_host_that_joins_and_is_removed_is_no_violation", || {
        expect("", removed)
    }),
    ("a_host_certificate_without_an_event_is_found", || {
        joined_but(checker::CERTIFIED, |held| held.serial = 10)
    }),
    ("a_host_certificate_over_other_bytes_is_found", || {
        joined_but(checker::CERTIFIED, |held| held.signed = "ff".to_owned())
    }),
    ("a_host_certificate_of_another_ca_is_found", || {
        joined_but(checker::CERTIFIED, |held| held.ca = "SHA256:ca".to_owned())
    }),
    ("a_host_certificate_with_another_name_is_found", || {
        joined_but(checker::CERTIFIED, |held| {
            held.principals.insert("web-2".to_owned());
        })
    }),
    ("a_host_certificate_with_another_key_id_is_found", || {
        joined_but(checker::CERTIFIED, |held| held.key_id = "web-1".to_owned())
    }),
    ("a_host_certificate_that_lasts_longer_is_found", || {
        joined_but(checker::CERTIFIED, |held| held.valid_before += 1)
    }),
    ("a_host_certificate_for_another_key_is_found", || {
        joined_but(checker::JOINED, |held| held.key = "SHA256:h2".to_owned())
    }),
    ("a_flaw_of_a_host_certificate_is_found", || {
        joined_but(checker::LINTED, |held| {
            held.flaws.push("it has options".to_owned())
        })
    }),
    (
        "a_host_certificate_that_is_given_out_twice_is_found",
        || {
            expect(checker::UNIQUE, |it| {
                joined(it);
                certified(it, 30, call(HostVerb::Sync));
            })
        },
    ),
    ("two_events_of_one_host_certificate_are_found", || {
        expect(checker::CERTIFIED, |it| {
            joined(it);
            let again = it.events[11].clone();
            it.append(again);
        })
    }),
    ("a_host_with_names_of_another_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            it.events[11]["principals"] = json!(["web-1", "web-2"]);
        })
    }),
    ("a_code_that_joins_two_machines_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            join(it, "web-1", "c1", "SHA256:h2");
        })
    }),
    ("two_answers_of_one_code_are_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            let other = HostCall {
                keys: ["SHA256:h2".to_owned()].into(),
                ..call(HostVerb::Join)
            };
            certified(it, 30, other);
        })
    }),
    ("a_join_by_an_expired_code_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            it.events[9]["expires_at"] = json!(T);
        })
    }),
    ("a_join_by_a_code_of_another_host_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            join(it, "web-2", "c1", "SHA256:h2");
        })
    }),
    ("a_join_without_a_code_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            join(it, "web-2", "c2", "SHA256:h2");
        })
    }),
    ("a_join_by_the_code_of_a_removed_host_is_found", || {
        expect(checker::JOINED, |it| {
            removed(it);
            add(it, 30, ("web-1", "c2"), "order-3");
            join(it, "web-1", "c1", "SHA256:h1");
        })
    }),
    ("a_join_by_a_code_that_was_replaced_is_found", || {
        expect(checker::JOINED, |it| {
            removed(it);
            add(it, 30, ("web-1", "c2"), "order-3");
            add(it, 31, ("web-1", "c3"), "order-4");
            join(it, "web-1", "c2", "SHA256:h1");
        })
    }),
    ("an_answer_to_a_wrong_code_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            for operation in &mut it.operations {
                if let What::Host(call) = &mut operation.what {
                    call.expected = Expected::Denial;
                }
            }
        })
    }),
    ("two_hosts_with_one_key_are_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            add(it, 30, ("web-2", "c2"), "order-3");
            join(it, "web-2", "c2", "SHA256:h1");
        })
    }),
    ("two_hosts_with_one_name_are_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            add(it, 30, ("web-2", "c2"), "order-3");
            it.events[12]["aliases"] = json!(["web-1"]);
        })
    }),
    ("a_host_that_is_added_again_without_rekey_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            add(it, 30, ("web-1", "c2"), "order-3");
        })
    }),
    ("a_host_that_is_behind_twice_is_found", || {
        expect(checker::JOINED, |it| {
            joined(it);
            for _ in 0..2 {
                it.append(json!({"type": "host_behind", "host": "web-1", "why": ["w"]}));
            }
        })
    }),
    ("a_certificate_after_the_removal_is_found", || {
        expect(checker::REMOVED, |it| {
            removed(it);
            let again = it.events[11].clone();
            it.append(again);
        })
    }),
    ("an_old_certificate_after_the_removal_is_found", || {
        expect(checker::REMOVED, |it| {
            removed(it);
            let join = it.operations.iter_mut().find(|it| is(it, HostVerb::Join));
            let join = join.expect("the join");
            (join.begun, join.ended) = (join.begun * 2, join.ended * 2);
        })
    }),
    ("a_removal_that_revokes_a_pass_is_found", || {
        expect(checker::REMOVED, |it| {
            removed(it);
            for operation in it
                .operations
                .iter_mut()
                .filter(|it| is(it, HostVerb::Remove))
            {
                let (index, serials) = (Some(12), vec![2]);
                operation.outcome = Outcome::Ordered { index, serials };
            }
        })
    }),
    ("a_list_without_a_removed_host_is_found", || {
        expect(checker::REVOKED, |it| {
            removed(it);
            it.last_host_lists[0].serials.clear();
        })
    }),
    ("a_list_that_lags_behind_a_removal_is_found", || {
        expect(checker::REVOKED, |it| {
            removed(it);
            let list = list(13, &[]);
            let what = What::Read("host revocations");
            it.operations
                .push(operation(30, what, Outcome::HostRevocations(list)));
        })
    }),
    ("a_list_with_a_certificate_that_counts_is_found", || {
        expect(checker::REVOKED, |it| {
            joined(it);
            it.last_host_lists[0] = list(13, &[11]);
        })
    }),
    ("a_list_with_an_old_key_of_a_host_is_no_violation", || {
        expect("", |it| {
            rekeyed(it);
            it.last_host_lists[0] = list(14, &[11]);
        })
    }),
    ("a_list_without_an_old_key_of_a_host_is_found", || {
        expect(checker::REVOKED, rekeyed)
    }),
    ("a_list_without_a_certificate_that_failed_is_found", || {
        expect(checker::REVOKED, |it| {
            joined(it);
            it.append(json!({"type": "signing_failed", "serial": 11, "cause": "c"}));
        })
    }),
    ("an_older_list_of_host_certificates_is_found", || {
        expect(checker::REVOKED, |it| {
            removed(it);
            for (at, version) in [(30, 14), (31, 13)] {
                let outcome = Outcome::HostRevocations(list(version, &[11]));
                it.operations
                    .push(operation(at, What::Read("host revocations"), outcome));
            }
        })
    }),
    ("a_removal_that_is_lost_is_found", || {
        expect(checker::ONCE, |it| {
            removed(it);
            it.events[12]["type"] = json!("skipped");
        })
    }),
    ("a_host_that_is_added_twice_by_one_order_is_found", || {
        expect(checker::ONCE, |it| {
            joined(it);
            let again = it.events[9].clone();
            it.append(again);
        })
    }),
    ("an_order_about_a_host_that_was_not_sent_is_found", || {
        expect(checker::ONCE, |it| {
            joined(it);
            it.events[9]["reason"] = json!("order-9");
        })
    }),
    (
        "a_host_certificate_below_an_acknowledged_index_is_found",
        || {
            expect(checker::UNFORKED, |it| {
                joined(it);
                add(it, 18, ("web-2", "c2"), "order-3");
            })
        },
    ),
];

fn is(operation: &crate::history::Operation, verb: HostVerb) -> bool {
    matches!(&operation.what, What::Host(call) if call.verb == verb)
}

/// A call of host `web-1` by code `c1`.
fn call(verb: HostVerb) -> HostCall {
    HostCall {
        verb,
        name: "web-1".to_owned(),
        tag: String::new(),
        code: "c1".to_owned(),
        keys: ["SHA256:h1".to_owned()].into(),
        trusted: BTreeSet::new(),
        expected: Expected::Anything,
    }
}

/// An acknowledged order that adds a host with this code.
fn add(it: &mut Evidence, at: u64, (host, code): (&str, &str), tag: &str) {
    let index = it.events.len() as u64;
    it.append(json!({
        "type": "host_added", "host": host, "group": "web", "code": code, "expires_at": T + 3600, "reason": tag,
    }));
    let call = HostCall {
        name: host.to_owned(),
        tag: tag.to_owned(),
        ..call(HostVerb::Add)
    };
    let outcome = Outcome::Ordered {
        index: Some(index),
        serials: Vec::new(),
    };
    it.operations.push(operation(at, What::Host(call), outcome));
}

fn join(it: &mut Evidence, host: &str, code: &str, key: &str) {
    it.append(json!({
        "type": "host_joined", "host": host, "group": "web", "digest": code, "keys": [{"key": key, "signature": "s"}],
    }));
}

/// Host `web-1` is added, joins (event 10) and gets a certificate (event 11).
pub(super) fn joined(it: &mut Evidence) {
    add(it, 20, ("web-1", "c1"), "order-1");
    join(it, "web-1", "c1", "SHA256:h1");
    it.append(json!({
        "type": "host_certified", "host": "web-1", "key": "SHA256:h1", "key_id": "host/web-1", "principals": ["web-1"],
        "valid_after": T - 60, "valid_before": T + 86400, "ca": "SHA256:hostca", "to_be_signed": "h1",
    }));
    certified(it, 21, call(HostVerb::Join));
    it.last_host_lists.push(list(0, &[]));
}

/// The answer with the certificate.
fn certified(it: &mut Evidence, at: u64, call: HostCall) {
    let held = HeldPass {
        key_id: "host/web-1".to_owned(),
        ca: "SHA256:hostca".to_owned(),
        ..held(11, "SHA256:h1", "web-1", "h1", T + 86400)
    };
    let outcome = Outcome::Certified(vec![held]);
    it.operations.push(operation(at, What::Host(call), outcome));
}

/// It is removed by event 12.
fn removed(it: &mut Evidence) {
    joined(it);
    it.append(json!({"type": "host_removed", "host": "web-1", "reason": "order-2"}));
    let call = HostCall {
        tag: "order-2".to_owned(),
        ..call(HostVerb::Remove)
    };
    let (index, serials) = (Some(12), vec![11]);
    let outcome = Outcome::Ordered { index, serials };
    it.operations.push(operation(22, What::Host(call), outcome));
    it.last_host_lists[0] = list(13, &[11]);
    let outcome = Outcome::HostRevocations(list(13, &[11]));
    it.operations
        .push(operation(23, What::Read("host revocations"), outcome));
}

/// It joins again with another key.
fn rekeyed(it: &mut Evidence) {
    joined(it);
    add(it, 30, ("web-1", "c2"), "order-3");
    it.events[12]["rekey"] = json!(true);
    join(it, "web-1", "c2", "SHA256:h2");
}

fn list(version: u64, serials: &[u64]) -> Revocations {
    Revocations {
        version,
        serials: serials.iter().copied().collect(),
        entries: serials.len(),
        ..Revocations::default()
    }
}

/// A joined host that holds another certificate than its event has.
fn joined_but(invariant: &str, change: fn(&mut HeldPass)) -> Result<(), String> {
    expect(invariant, |it| {
        joined(it);
        for operation in &mut it.operations {
            if let Outcome::Certified(held) = &mut operation.outcome {
                change(&mut held[0]);
            }
        }
    })
}
