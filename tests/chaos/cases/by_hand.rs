//! The checker on histories made by hand: a clean one, and for each invariant one that breaks it.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::ledger::tree::{Frontier, leaf_hash};
use serde_json::{Value, json};
use ssh_encoding::Encode;
use ssh_key::HashAlg;

use crate::{
    checker::{self, violations},
    clients::LAPTOP,
    history::{
        Asked, Checkpoint, Cost, Evidence, Expected, HeldPass, Listed, Operation, Outcome,
        Published, Revocations, Target, Typed, What,
    },
    policies::{REGISTERED, registered_key},
};

pub(super) type Case = fn() -> Result<(), String>;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("a_clean_history_has_no_violation", || expect("", |_| {})),
    ("a_pass_without_an_event_is_found", || {
        expect(checker::RECORDED, |it| pass(it).serial = 6)
    }),
    ("a_pass_over_other_bytes_is_found", || {
        expect(checker::RECORDED, |it| pass(it).signed = "ff".to_owned())
    }),
    ("a_pass_of_another_ca_is_found", || {
        expect(checker::RECORDED, |it| pass(it).is_signed_by_ca = false)
    }),
    ("a_lost_order_is_found", || {
        expect(checker::RECORDED, |it| {
            it.events[7]["type"] = json!("skipped")
        })
    }),
    ("a_lost_request_is_found", || {
        expect(checker::RECORDED, |it| {
            it.events[3]["type"] = json!("skipped")
        })
    }),
    (
        "an_emergency_by_two_registered_people_is_no_violation",
        || expect("", |it| emergency(it, "c", &[0, 1])),
    ),
    ("an_emergency_by_one_registered_person_is_found", || {
        expect(checker::PROVEN, |it| emergency(it, "c", &[0]))
    }),
    ("an_emergency_that_counts_one_person_twice_is_found", || {
        expect(checker::PROVEN, |it| emergency(it, "c", &[0, 0]))
    }),
    ("an_emergency_that_its_holder_did_not_sign_is_found", || {
        expect(checker::PROVEN, |it| emergency(it, "c", &[1, 2]))
    }),
    ("an_emergency_with_an_invalid_signature_is_found", || {
        expect(checker::PROVEN, |it| {
            emergency(it, "c", &[0, 1]);
            it.events[9]["emergency_proof"]["message"] = json!("b3RoZXI=");
        })
    }),
    ("an_emergency_signed_with_another_key_is_found", || {
        expect(checker::PROVEN, |it| {
            emergency(it, "c", &[0, 1]);
            it.events[9]["emergency_proof"]["signatures"][1]["who"]["subject"] =
                json!(REGISTERED[2]);
        })
    }),
    ("two_passes_of_one_challenge_are_found", || {
        expect(checker::PROVEN, |it| {
            emergency(it, "c", &[0, 1]);
            emergency(it, "c", &[0, 1]);
        })
    }),
    ("a_token_for_the_role_of_registered_keys_is_found", || {
        expect(checker::PROVEN, |it| {
            emergency(it, "c", &[0, 1]);
            it.events[9]["binding"] = json!("nonce");
        })
    }),
    (
        "the_pass_that_the_command_asked_for_is_no_violation",
        || expect("", |it| typed(it, |_| ())),
    ),
    ("the_pass_of_another_command_is_found", || {
        expect(checker::CHOSEN, |it| {
            typed(it, |pass| {
                pass.command = Some("/usr/bin/journalctl --unit cron".to_owned())
            })
        })
    }),
    ("a_pass_with_the_key_of_another_is_found", || {
        expect(checker::CHOSEN, |it| {
            typed(it, |pass| pass.key = "SHA256:other".to_owned())
        })
    }),
    ("a_pass_for_another_host_is_found", || {
        expect(checker::CHOSEN, |it| {
            typed(it, |_| ());
            it.events[9]["ask"]["host"] = json!("web-2");
        })
    }),
    ("an_ask_that_was_not_typed_is_found", || {
        expect(checker::CHOSEN, |it| {
            typed(it, |_| ());
            it.events[9]["ask"]["reason"] = json!("laptop-2");
        })
    }),
    (
        "a_command_that_met_no_fault_and_has_two_passes_is_found",
        || expect(checker::DENIED, |it| issued_times(it, 2)),
    ),
    ("a_command_that_met_a_fault_is_asked_once_more", || {
        expect("", |it| {
            it.disturbed
                .push((Duration::from_secs(70), Duration::from_secs(80)));
            issued_times(it, 2);
        })
    }),
    (
        "a_command_that_met_a_fault_and_has_three_passes_is_found",
        || {
            expect(checker::DENIED, |it| {
                it.disturbed
                    .push((Duration::from_secs(70), Duration::from_secs(80)));
                issued_times(it, 3);
            })
        },
    ),
    ("a_daemon_that_grows_is_found", || {
        expect(checker::BOUNDED, |it| {
            let (daemon, peak_kib) = (0, 900 * 1024);
            it.costs.push(Cost {
                daemon,
                peak_kib,
                ..Cost::default()
            });
        })
    }),
    ("a_log_line_for_each_call_of_a_stranger_is_found", || {
        expect(checker::BOUNDED, |it| {
            let (daemon, logged) = (0, 400 * 300);
            it.costs.push(Cost {
                daemon,
                logged,
                ..Cost::default()
            });
        })
    }),
    ("two_passes_with_one_serial_are_found", || {
        expect(checker::UNIQUE, |it| {
            let mut other = it.operations[0].clone();
            if let Outcome::Pass(pass) = &mut other.outcome {
                pass.signed = "ee".to_owned();
            }
            it.operations.push(other);
        })
    }),
    ("an_event_at_another_index_is_found", || {
        expect(checker::UNFORKED, |it| it.events[4]["index"] = json!(9))
    }),
    ("a_forbidden_principal_is_found", || {
        expect(checker::WITHIN, |it| {
            it.events[2]["principals"] = json!(["debug", "root"]);
            pass(it).principals.insert("root".to_owned());
        })
    }),
    ("a_pass_with_more_than_its_event_is_found", || {
        expect(checker::WITHIN, |it| {
            pass(it).extensions.insert("port-forwarding".to_owned());
        })
    }),
    ("another_reading_by_ssh_keygen_is_found", || {
        expect(checker::LINTED, |it| it.by_keygen[0].serial = 3)
    }),
    ("another_principal_by_ssh_keygen_is_found", || {
        expect(checker::LINTED, |it| {
            it.by_keygen[0].principals.insert("root".to_owned());
        })
    }),
    ("another_option_by_ssh_keygen_is_found", || {
        expect(checker::LINTED, |it| {
            let option = "verify-required".to_owned();
            it.by_keygen[0].options.insert(option);
        })
    }),
    ("a_certificate_of_a_host_is_found", || {
        expect(checker::LINTED, |it| {
            it.by_keygen[0].kind = "ssh-ed25519-cert-v01@openssh.com host certificate".to_owned();
        })
    }),
    ("a_pass_that_ssh_keygen_does_not_read_is_found", || {
        expect(checker::LINTED, |it| {
            it.by_keygen.pop();
        })
    }),
    ("a_flaw_of_a_pass_is_found", || {
        expect(checker::LINTED, |it| {
            pass(it).flaws.push("its nonce is short".to_owned())
        })
    }),
    ("a_checkpoint_without_a_signature_is_found", || {
        expect(checker::UNFORKED, |it| {
            let outcome = Outcome::Checkpoint(Checkpoint {
                is_signed: false,
                ..head(it)
            });
            it.operations
                .push(operation(50, What::Read("checkpoint"), outcome));
        })
    }),
    ("a_signed_checkpoint_of_the_ledger_is_no_violation", || {
        expect("", |it| {
            let outcome = Outcome::Checkpoint(head(it));
            it.operations
                .push(operation(50, What::Read("checkpoint"), outcome));
        })
    }),
    ("another_list_of_another_daemon_is_found", || {
        expect(checker::SAME, |it| {
            it.published[0].bodies[1] = b"krl 8".to_vec()
        })
    }),
    ("a_document_that_no_daemon_has_is_found", || {
        expect(checker::SAME, |it| {
            it.published[0].bodies = vec![Vec::new(), Vec::new()]
        })
    }),
    ("a_pass_for_another_key_is_found", || {
        expect(checker::PROVEN, |it| {
            it.events[2]["key"] = json!("SHA256:other")
        })
    }),
    ("a_pass_without_proof_is_found", || {
        expect(checker::PROVEN, |it| {
            asked(it, 0).expected = Expected::Unproven
        })
    }),
    ("a_pass_that_no_client_asked_for_is_found", || {
        expect(checker::PROVEN, |it| {
            it.events[2]["ask"]["reason"] = json!("x")
        })
    }),
    ("a_refusal_without_an_event_is_found", || {
        expect(checker::DENIED, |it| {
            it.events[6]["type"] = json!("skipped")
        })
    }),
    ("a_refusal_with_two_events_is_found", || {
        expect(checker::DENIED, |it| {
            let again = it.events[6].clone();
            it.append(again);
        })
    }),
    ("a_pass_in_spite_of_a_denial_is_found", || {
        expect(checker::DENIED, |it| {
            asked(it, 0).expected = Expected::Denial
        })
    }),
    ("a_pass_under_a_lock_is_found", || {
        expect(checker::LOCKED, |it| {
            let mut again = it.events[2].clone();
            again["ask"]["reason"] = json!("op-9");
            it.append(again);
            it.events.swap(8, 9);
        })
    }),
    ("a_list_without_a_revoked_pass_is_found", || {
        expect(checker::REVOKED, |it| it.last_lists[0].serials.clear())
    }),
    ("a_list_with_another_pass_is_found", || {
        expect(checker::REVOKED, |it| it.last_lists[0].entries = 2)
    }),
    ("another_judgement_by_ssh_keygen_is_found", || {
        expect(checker::REVOKED, |it| {
            it.refused_by_keygen = Some(BTreeSet::new())
        })
    }),
    ("an_older_list_is_found", || {
        expect(checker::REVOKED, |it| {
            for version in [9, 8] {
                let list = Revocations {
                    version,
                    ..it.last_lists[0].clone()
                };
                let begun = 100 - version;
                it.operations.push(operation(
                    begun,
                    What::Read("revocations"),
                    Outcome::Revocations(list),
                ));
            }
        })
    }),
    ("an_approval_of_the_own_request_is_found", || {
        expect(checker::APPROVED, |it| {
            it.events[4]["who"]["subject"] = json!("bob")
        })
    }),
    ("a_pass_without_its_approval_is_found", || {
        expect(checker::APPROVED, |it| {
            it.events[4]["type"] = json!("skipped")
        })
    }),
    ("a_request_that_is_spent_twice_is_found", || {
        expect(checker::APPROVED, |it| {
            let again = it.events[5].clone();
            it.append(again);
        })
    }),
    (
        "a_pass_for_another_ask_than_the_approved_one_is_found",
        || {
            expect(checker::APPROVED, |it| {
                it.events[5]["ask"]["host"] = json!("db1");
            })
        },
    ),
    ("a_checkpoint_of_other_events_is_found", || {
        expect(checker::UNFORKED, |it| {
            let outcome = Outcome::Checkpoint(signed(3, [7; 32]));
            it.operations
                .push(operation(0, What::Read("checkpoint"), outcome));
        })
    }),
    ("a_checkpoint_beyond_the_ledger_is_found", || {
        expect(checker::UNFORKED, |it| {
            let outcome = Outcome::Checkpoint(signed(99, [7; 32]));
            it.operations
                .push(operation(99, What::Read("checkpoint"), outcome));
        })
    }),
    ("a_checkpoint_that_is_too_old_is_found", || {
        expect(checker::UNFORKED, |it| {
            let outcome = Outcome::Checkpoint(signed(1, it.leaves[0]));
            it.operations
                .push(operation(99, What::Read("checkpoint"), outcome));
        })
    }),
    ("an_event_that_is_taken_back_is_found", || {
        expect(checker::UNFORKED, |it| {
            let outcome = Outcome::Leaves(vec![(2, [7; 32])]);
            it.operations
                .push(operation(99, What::Read("events"), outcome));
        })
    }),
    ("an_index_below_an_acknowledged_one_is_found", || {
        expect(checker::UNFORKED, |it| {
            it.operations[0].begun = Duration::from_secs(90);
        })
    }),
    (
        "a_request_that_another_daemon_does_not_know_is_found",
        || {
            expect(checker::UNFORKED, |it| {
                let mut ask = asked(it, 2).clone();
                ask.request = Some(3);
                let outcome = Outcome::Refused("NO_SUCH_REQUEST".to_owned());
                it.operations.push(operation(50, What::Ask(ask), outcome));
            })
        },
    ),
    ("a_decision_by_an_unknown_policy_is_found", || {
        expect(checker::POLICY, |it| it.events[6]["policy"] = json!("bad"))
    }),
    ("a_pass_that_outlives_its_grant_is_found", || {
        expect(checker::CLOCK, |it| {
            it.events[2]["valid_before"] = json!(T + 3700);
            pass(it).valid_before = T + 3700;
        })
    }),
    ("a_service_that_does_not_return_is_found", || {
        expect(checker::SERVICE, |it| it.faults.push("gone".to_owned()))
    }),
];

/// Changes the clean history and demands a violation of this invariant; none if it is empty.
pub(super) fn expect(invariant: &str, change: impl FnOnce(&mut Evidence)) -> Result<(), String> {
    let mut evidence = clean();
    change(&mut evidence);
    let found = violations(&evidence);
    match invariant.is_empty() {
        true if found.is_empty() => Ok(()),
        false
            if found
                .iter()
                .any(|violation| violation.starts_with(invariant)) =>
        {
            Ok(())
        }
        _ => Err(format!("expected {invariant:?}, found {found:#?}")),
    }
}

/// 2026-11-22T15:32:51Z
pub(super) const T: u64 = 1_795_361_571;

/// A day at a small CA: a pass, an approved request, a denial, a lock and its end, a revocation.
fn clean() -> Evidence {
    let mut evidence = Evidence {
        first_ca: "SHA256:ca".to_owned(),
        policies: vec![("p".to_owned(), 3600)],
        ..Evidence::default()
    };
    let who = |name: &str| json!({"issuer": "i", "subject": name, "label": name});
    let ask = |role: &str, tag: &str| json!({"role": role, "reason": tag});
    for event in [
        json!({"type": "started"}),
        json!({"type": "policy_loaded", "policy": "p"}),
        json!({"type": "issued", "who": who("alice"), "ask": ask("shell", "op-1"), "key": "SHA256:a", "ca": "SHA256:ca",
            "principals": ["debug"], "extensions": [], "valid_after": T - 60, "valid_before": T + 3600, "policy": "p", "to_be_signed": "aa"}),
        json!({"type": "requested", "who": who("bob"), "ask": ask("prod", "op-2"), "key": "SHA256:b", "needed": 1,
            "principals": ["deploy"], "extensions": [], "policy": "p"}),
        json!({"type": "approved", "request": 3, "who": who("dave"), "policy": "p"}),
        json!({"type": "issued", "who": who("bob"), "ask": {"role": "prod", "reason": "op-2", "request": 3}, "key": "SHA256:b",
            "ca": "SHA256:ca", "principals": ["deploy"], "extensions": [], "valid_after": T - 60, "valid_before": T + 2700,
            "policy": "p", "to_be_signed": "bb"}),
        json!({"type": "denied", "who": who("eve"), "ask": ask("shell", "op-4"), "reason": "NOT_ALLOWED", "policy": "p"}),
        json!({"type": "locked", "who": who("carol"), "target": {"identity": "alice"}, "serials": [2]}),
        json!({"type": "unlocked", "who": who("carol"), "target": {"identity": "alice"}}),
    ] {
        evidence.append(event);
    }
    let list = Revocations {
        version: 7,
        serials: [2].into(),
        entries: 1,
        ..Revocations::default()
    };
    evidence.last_lists.push(list.clone());
    let asks = [
        (
            asks("op-1", "alice", "shell", "SHA256:a"),
            Outcome::Pass(Box::new(held(2, "SHA256:a", "debug", "aa", T + 3600))),
        ),
        (asks("op-2", "bob", "prod", "SHA256:b"), Outcome::Filed(3)),
        (
            Asked {
                request: Some(3),
                ..asks("op-2", "bob", "prod", "SHA256:b")
            },
            Outcome::Pass(Box::new(held(5, "SHA256:b", "deploy", "bb", T + 2700))),
        ),
        (
            asks("op-4", "eve", "shell", "SHA256:e"),
            Outcome::Refused("NOT_ALLOWED".to_owned()),
        ),
    ];
    for (at, (ask, outcome)) in asks.into_iter().enumerate() {
        evidence
            .operations
            .push(operation(at as u64, What::Ask(ask), outcome));
    }
    let target = || Target::Identity("alice".to_owned());
    for (at, what, index, serials) in [
        (10, What::Lock(target()), 7, vec![2]),
        (11, What::Unlock(target()), 8, vec![]),
    ] {
        let outcome = Outcome::Ordered {
            index: Some(index),
            serials,
        };
        evidence.operations.push(operation(at, what, outcome));
    }
    evidence.operations.push(operation(
        12,
        What::Read("revocations"),
        Outcome::Revocations(list),
    ));
    evidence.by_keygen = evidence.passes().map(|(_, pass)| listed(pass)).collect();
    for path in ["/krl", "/ca.pub"] {
        let bodies = vec![b"krl 7".to_vec(); 2];
        evidence.published.push(Published { path, bodies });
    }
    evidence.refused_by_keygen = Some([2].into());
    evidence
}

impl Evidence {
    pub(super) fn append(&mut self, mut event: Value) {
        event["index"] = json!(self.events.len());
        event["at"] = json!("2026-11-22T15:32:51Z");
        self.leaves.push(leaf_hash(event.to_string().as_bytes()));
        self.events.push(event);
    }
}

pub(super) fn asks(tag: &str, subject: &str, role: &'static str, key: &str) -> Asked {
    Asked {
        tag: tag.to_owned(),
        subject: subject.to_owned(),
        key: key.to_owned(),
        role,
        ttl_seconds: 0,
        request: None,
        emergency: false,
        by: None,
        expected: Expected::Anything,
    }
}

/// A command of the laptop's, with its pass, which `change` changes.
pub(super) fn typed(evidence: &mut Evidence, change: fn(&mut HeldPass)) {
    let (serial, unit) = (evidence.events.len() as u64, "nginx.service");
    evidence.append(json!({
        "type": "issued", "who": {"issuer": "i", "subject": LAPTOP, "label": "l"}, "key": "SHA256:l", "ca": "SHA256:ca",
        "ask": {"role": "logs", "reason": "laptop-1", "host": "web-1", "params": {"unit": unit}},
        "principals": ["weblogs"], "extensions": [], "command": format!("/usr/bin/journalctl --unit {unit}"),
        "valid_after": T - 60, "valid_before": T + 900, "policy": "p", "to_be_signed": "ff",
    }));
    let mut pass = held(serial, "SHA256:l", "weblogs", "ff", T + 900);
    pass.command = Some(format!("/usr/bin/journalctl --unit {unit}"));
    change(&mut pass);
    let typed = Typed {
        tag: "laptop-1".to_owned(),
        role: "logs",
        login: "weblogs",
        host: "web-1",
        unit,
    };
    let outcome = Outcome::Used(Box::new(pass));
    evidence
        .operations
        .push(operation(80, What::Typed(typed), outcome));
}

/// A command of the laptop's with this many passes, of which it has the first.
fn issued_times(evidence: &mut Evidence, times: usize) {
    typed(evidence, |_| ());
    let issued = evidence.events.last().cloned().unwrap_or_default();
    for _ in 1..times {
        evidence.append(issued.clone());
    }
}

/// A pass for the first registered person, signed by these ones.
fn emergency(evidence: &mut Evidence, challenge: &str, signers: &[usize]) {
    let who = |number: usize| json!({"issuer": "i", "subject": REGISTERED[number], "label": "l"});
    let signatures: Vec<Value> = signers
        .iter()
        .map(|&number| {
            let key = registered_key(number);
            let signature = key
                .sign("daypass-emergency@v1", HashAlg::Sha512, b"asked")
                .unwrap();
            let mut blob = Vec::new();
            signature.encode(&mut blob).unwrap();
            json!({
                "who": who(number),
                "key": key.public_key().to_openssh().unwrap(),
                "signature": STANDARD.encode(blob),
            })
        })
        .collect();
    let (serial, tag) = (
        evidence.events.len() as u64,
        format!("op-9-{}", evidence.events.len()),
    );
    evidence.append(json!({
        "type": "issued", "who": who(0), "key": "SHA256:k", "ca": "SHA256:ca", "binding": "emergency",
        "ask": {"role": "down", "reason": tag, "emergency": true}, "principals": ["deploy"], "extensions": [],
        "valid_after": T - 60, "valid_before": T + 900, "policy": "p", "to_be_signed": "ee",
        "emergency_proof": {"challenge": challenge, "message": STANDARD.encode("asked"), "signatures": signatures},
    }));
    let asked = Asked {
        emergency: true,
        ..asks(&tag, REGISTERED[0], "down", "SHA256:k")
    };
    let pass = held(serial, "SHA256:k", "deploy", "ee", T + 900);
    evidence.by_keygen.push(listed(&pass));
    let outcome = Outcome::Pass(Box::new(pass));
    evidence
        .operations
        .push(operation(60 + serial, What::Ask(asked), outcome));
}

pub(super) fn held(
    serial: u64,
    key: &str,
    principal: &str,
    signed: &str,
    valid_before: u64,
) -> HeldPass {
    HeldPass {
        serial,
        key: key.to_owned(),
        key_id: String::new(),
        principals: [principal.to_owned()].into(),
        command: None,
        sources: None,
        extensions: BTreeSet::new(),
        valid_after: T - 60,
        valid_before,
        signed: signed.to_owned(),
        ca: "SHA256:ca".to_owned(),
        is_signed_by_ca: true,
        flaws: Vec::new(),
        text: String::new(),
    }
}

/// The pass as ssh-keygen prints it.
pub(super) fn listed(pass: &HeldPass) -> Listed {
    Listed {
        kind: "ssh-ed25519-cert-v01@openssh.com user certificate".to_owned(),
        key: format!("ED25519-CERT {}", pass.key),
        ca: format!("ED25519 {} (using ssh-ed25519)", pass.ca),
        serial: pass.serial,
        principals: pass.principals.clone(),
        options: pass
            .sources
            .iter()
            .map(|it| format!("source-address {it}"))
            .collect(),
        extensions: BTreeSet::new(),
    }
}

fn signed(size: u64, root: [u8; 32]) -> Checkpoint {
    Checkpoint {
        size,
        root,
        note: String::new(),
        is_signed: true,
    }
}

/// The checkpoint of the whole ledger.
fn head(evidence: &Evidence) -> Checkpoint {
    let mut frontier = Frontier::default();
    for leaf in &evidence.leaves {
        frontier.push(*leaf);
    }
    signed(frontier.size(), frontier.root())
}

/// An operation that began at this second and took half of it.
pub(super) fn operation(at: u64, what: What, outcome: Outcome) -> Operation {
    let begun = Duration::from_secs(at);
    let ended = begun + Duration::from_millis(500);
    Operation {
        client: 0,
        daemon: 0,
        what,
        begun,
        ended,
        outcome,
    }
}

/// The pass of the first operation.
fn pass(evidence: &mut Evidence) -> &mut HeldPass {
    match &mut evidence.operations[0].outcome {
        Outcome::Pass(pass) => pass,
        other => panic!("{other:?}"),
    }
}

fn asked(evidence: &mut Evidence, operation: usize) -> &mut Asked {
    match &mut evidence.operations[operation].what {
        What::Ask(asked) => asked,
        other => panic!("{other:?}"),
    }
}
