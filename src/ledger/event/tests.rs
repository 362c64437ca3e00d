//! Each kind of event against its golden bytes, and hostile text in a leaf.
#![allow(clippy::unwrap_used, reason = "tests: a panic is the failure")]

pub(in crate::ledger) mod ca_keys;
pub(in crate::ledger) mod hosts;
mod ledger_key;
mod parsing;

use crate::ssh::{options::Extension, permissions::Permissions};
use std::collections::BTreeMap;

use super::*;
use crate::unix_seconds::UnixSeconds;
use proptest::prelude::*;
use serde_json::json;
use time::macros::datetime;

/// Bytes that every later version must read and, for these events, write unchanged.
const GOLDEN: &str = include_str!("../../../tests/golden/events.jsonl");

fn who() -> Actor {
    Actor {
        issuer: "https://id.example.com".to_owned(),
        subject: "u-4711".to_owned(),
        label: "alice@example.com".to_owned(),
        claims: json!({"email": "alice@example.com", "groups": ["oncall", "sre"]}).into(),
    }
}

fn asked() -> RequestDetails {
    RequestDetails {
        role: "web-logs".to_owned(),
        host: None,
        params: BTreeMap::new(),
        reason: None,
        ttl_seconds: None,
        source_addresses: Vec::new(),
        extensions: Vec::new(),
        caller: None,
        request: None,
        emergency: false,
    }
}

/// An ask with every field set.
fn asked_in_full() -> RequestDetails {
    RequestDetails {
        host: Some("web-1".to_owned()),
        params: BTreeMap::from([("unit".to_owned(), "nginx".to_owned())]),
        reason: Some("INC-7: \u{1b}[2J\u{2028}\u{202e}Zürich\n\"🔑\"\u{7f}".to_owned()),
        ttl_seconds: Some(600),
        source_addresses: vec!["203.0.113.7/32".to_owned()],
        extensions: vec!["pty".to_owned()],
        caller: Some("203.0.113.7".to_owned()),
        ..asked()
    }
}

pub(in crate::ledger) fn issued() -> Issued {
    Issued {
        who: who(),
        ask: asked(),
        key: "SHA256:subject".to_owned(),
        binding: "nonce".to_owned(),
        key_id: "alice@example.com/web-logs".to_owned(),
        permissions: Permissions {
            principals: ["weblogs@web".to_owned()].into(),
            ..Permissions::default()
        },
        valid_after: UnixSeconds(1_795_361_511),
        valid_before: UnixSeconds(1_795_363_371),
        policy: "ab".repeat(32),
        ca: "SHA256:ca".to_owned(),
        to_be_signed: "cd".repeat(32),
        emergency_proof: None,
        on_behalf: None,
        jump: None,
    }
}

/// One event of each kind, in a valid order.
pub(in crate::ledger) fn samples() -> Vec<EventKind> {
    let key = || "SHA256:ca".to_owned();
    vec![
        EventKind::started("0.1.0", "daypass.example.com"),
        EventKind::PolicyLoaded {
            policy: "ab".repeat(32),
            text: None,
        },
        EventKind::KeyStaged { key: key() },
        EventKind::KeyActivated { key: key() },
        EventKind::KeyRetired { key: key() },
        EventKind::Issued(Box::new(issued())),
        EventKind::Issued(Box::new(Issued {
            ask: asked_in_full(),
            permissions: Permissions {
                force_command: Some("/usr/bin/journalctl --unit 'nginx'".to_owned()),
                source_addresses: Some(["203.0.113.7/32".parse().unwrap()].into()),
                extensions: [Extension::Unknown("permit-pty".into())].into(),
                ..issued().permissions
            },
            ..issued()
        })),
        EventKind::SigningFailed {
            serial: 6,
            cause: "agent is gone".to_owned(),
        },
        EventKind::Denied {
            who: who(),
            ask: asked_in_full(),
            key: Some("SHA256:subject".to_owned()),
            reason: "NOT_ALLOWED".to_owned(),
            detail: "role web-logs is not open to you".to_owned(),
            policy: "ab".repeat(32),
            cut: false,
            unbound: false,
            by: None,
        },
        EventKind::Denied {
            who: who(),
            ask: asked(),
            key: None,
            reason: "SUBJECT_KEY".to_owned(),
            detail: "the key is refused".to_owned(),
            policy: "ab".repeat(32),
            cut: false,
            unbound: false,
            by: None,
        },
    ]
}

/// Ten leaves, with the indices 0 to 9.
pub(in crate::ledger) fn sample_leaves() -> Vec<Vec<u8>> {
    let at = datetime!(2026-11-22 15:32:51.123 UTC);
    (0..)
        .zip(samples())
        .map(|(index, what)| Event { index, at, what }.to_bytes().unwrap())
        .collect()
}

/// The leaves of all golden files.
pub(in crate::ledger) fn golden_leaves() -> Vec<Vec<u8>> {
    let lines = [
        include_str!("../../../tests/golden/locks.jsonl"),
        include_str!("../../../tests/golden/denials.jsonl"),
        include_str!("../../../tests/golden/on_behalf.jsonl"),
    ];
    let lines = lines.iter().flat_map(|file| file.lines());
    let more = lines.map(|line| line.as_bytes().to_vec());
    let hosts = hosts::golden();
    let hosts = hosts.lines().map(|line| line.as_bytes().to_vec());
    let ledger_key = include_str!("../../../tests/golden/ledger_key.jsonl").lines();
    let ledger_key = ledger_key.map(|line| line.as_bytes().to_vec());
    let more = more.chain(hosts).chain(ledger_key);
    sample_leaves().into_iter().chain(more).collect()
}

#[test]
fn every_kind_of_event_has_its_golden_bytes() {
    let lines: Vec<_> = GOLDEN.lines().map(|l| l.as_bytes().to_vec()).collect();
    assert_eq!(sample_leaves().len(), lines.len());
    for (ours, golden) in sample_leaves().iter().zip(&lines) {
        let (ours, golden) = (
            String::from_utf8_lossy(ours),
            String::from_utf8_lossy(golden),
        );
        assert_eq!(ours, golden);
    }
}

#[test]
fn golden_bytes_are_read_back_as_what_they_were() {
    for ((index, what), line) in (0..).zip(samples()).zip(GOLDEN.lines()) {
        let at = datetime!(2026-11-22 15:32:51.123 UTC);
        let event = Event { index, at, what };
        assert_eq!(Event::parse(line.as_bytes()).unwrap(), event);
    }
}

/// Bob, as the orders in the golden file cover him.
fn bob() -> Vec<Covered> {
    vec![Covered {
        issuer: "https://id.example.com".to_owned(),
        subject: "u-4712".to_owned(),
        label: "bob@example.com".to_owned(),
    }]
}

/// Locks and revocations with the `after` of each. `golden/events.py` signs them independently.
fn orders() -> Vec<(EventKind, u64)> {
    let reason = Some("laptop stolen".to_owned());
    let locked = |target, serials, covers| {
        let who = who();
        let reason = reason.clone();
        EventKind::Locked(Box::new(Locked {
            who,
            target,
            reason,
            serials,
            covers,
            proof: None,
        }))
    };
    let revoked = |target, serials, covers| {
        let (who, reason) = (who(), None);
        EventKind::Revoked(Box::new(Revoked {
            who,
            target,
            reason,
            serials,
            covers,
            proof: None,
            restore: None,
        }))
    };
    let key = || "SHA256:subject".to_owned();
    let identity = || "bob@example.com".to_owned();
    let unlocked = Unlocked {
        who: who(),
        target: LockTarget::Identity(identity()),
        reason: None,
        proof: None,
    };
    vec![
        (
            locked(LockTarget::Identity(identity()), vec![5, 6], bob()),
            0,
        ),
        (locked(LockTarget::Key(key()), vec![], vec![]), 0),
        (
            locked(LockTarget::Role("prod".to_owned()), vec![], vec![]),
            0,
        ),
        (EventKind::Unlocked(Box::new(unlocked)), 11),
        (revoked(RevokeTarget::Serial(7), vec![7], vec![]), 0),
        (revoked(RevokeTarget::Key(key()), vec![], vec![]), 12),
        (
            revoked(RevokeTarget::Identity(identity()), vec![], bob()),
            14,
        ),
        (
            revoked(
                RevokeTarget::Before(UnixSeconds(1_795_361_511)),
                vec![8, 9],
                vec![],
            ),
            0,
        ),
    ]
}

/// Locks and revocations against bytes that every later version must read, with valid signatures.
#[test]
fn locks_and_revocations_have_their_golden_bytes() {
    use crate::ledger::order::tests::{SERVER, signed};
    let golden = include_str!("../../../tests/golden/locks.jsonl");
    assert_eq!(golden.lines().count(), orders().len());
    for ((index, (what, after)), line) in (10..).zip(orders()).zip(golden.lines()) {
        let at = datetime!(2026-11-22 15:32:51.123 UTC);
        let what = signed(what, SERVER, 1, after);
        let event = Event { index, at, what };
        assert_eq!(String::from_utf8(event.to_bytes().unwrap()).unwrap(), line);
        assert_eq!(Event::parse(line.as_bytes()).unwrap(), event);
        let order = event.what.order().unwrap();
        assert_eq!(order.check(SERVER), Ok(()), "{line}");
    }
}

/// Passes and denials on behalf of a user against bytes that every later version must read.
#[test]
fn passes_and_denials_on_behalf_of_a_user_have_their_golden_bytes() {
    let golden = include_str!("../../../tests/golden/on_behalf.jsonl");
    let names = golden.lines().map(|line| {
        let event = Event::parse(line.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(event.to_bytes().unwrap()).unwrap(), line);
        let people = event.what.people().map(|who| who.subject.clone());
        people.collect::<Vec<_>>()
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names, [["u-4711", "edge"]; 2], "searches find both");
}

/// Cut denials and counts against bytes that every later version must read.
#[test]
fn cut_denials_and_counts_of_denials_have_their_golden_bytes() {
    let golden = include_str!("../../../tests/golden/denials.jsonl");
    let bare = Actor {
        claims: json!({}).into(),
        ..who()
    };
    let count = Denials {
        who: Some(bare.clone()),
        identities: 1,
        count: 36,
        reasons: BTreeMap::from([("HOST".to_owned(), 6), ("NOT_ALLOWED".to_owned(), 30)]),
        since: UnixSeconds(1_795_361_511),
        until: UnixSeconds(1_795_362_000),
    };
    let events = [
        EventKind::Denied {
            who: bare,
            ask: asked(),
            key: None,
            reason: "PARAMETER".to_owned(),
            detail: "role \"web-logs\" has no parameter \"x\"; it has none".to_owned(),
            policy: "ab".repeat(32),
            cut: true,
            unbound: false,
            by: None,
        },
        EventKind::Denials(Box::new(count.clone())),
        EventKind::Denials(Box::new(Denials {
            who: None,
            identities: 20,
            ..count
        })),
    ];
    assert_eq!(golden.lines().count(), events.len());
    for ((index, what), line) in (10..).zip(events).zip(golden.lines()) {
        let at = datetime!(2026-11-22 15:32:51.123 UTC);
        let event = Event { index, at, what };
        assert_eq!(String::from_utf8(event.to_bytes().unwrap()).unwrap(), line);
        assert_eq!(Event::parse(line.as_bytes()).unwrap(), event);
    }
}

/// Earlier versions wrote orders without a signature. They still parse, and `ledger verify` reports
/// them.
#[test]
fn an_order_of_an_earlier_version_is_still_read() {
    let line = r#"{"index":3,"at":"2026-11-22T15:32:51.123Z","type":"unlocked","who":{"issuer":"i","subject":"s","label":"l","claims":{}},"target":{"role":"prod"},"key":"SHA256:x"}"#;
    let event = Event::parse(line.as_bytes()).unwrap();
    assert!(event.what.order().unwrap().check("a").is_err());
}

#[test]
fn time_is_written_in_utc() {
    let event = |at| Event {
        index: 3,
        at,
        what: EventKind::KeyStaged { key: String::new() },
    };
    assert_eq!(
        event(datetime!(2026-11-22 16:00 +01:00))
            .to_bytes()
            .unwrap(),
        event(datetime!(2026-11-22 15:00 UTC)).to_bytes().unwrap(),
    );
}

#[test]
fn what_is_not_an_event_is_refused() {
    let good = GOLDEN.lines().next().unwrap();
    let cases = [
        ("nothing", String::new()),
        ("a number", "7".to_owned()),
        ("cut off", good.trim_end_matches('}').to_owned()),
        ("something after it", format!("{good}{{}}")),
        ("a newline in it", good.replacen(',', ",\n", 1)),
        (
            "a letter that is not ASCII",
            good.replace("daypass", "d\u{e4}ypass"),
        ),
        ("an unknown kind", good.replace("started", "stopped")),
        ("no index", good.replace("\"index\":0,", "")),
        (
            "two indices",
            good.replace("\"index\":0,", "\"index\":0,\"index\":0,"),
        ),
        ("two kinds", good.replacen('{', "{\"type\":\"started\",", 1)),
        (
            "a negative index",
            good.replace("\"index\":0", "\"index\":-1"),
        ),
        (
            "an index that is text",
            good.replace("\"index\":0", "\"index\":\"0\""),
        ),
        ("no time", good.replace("\"at\"", "\"when\"")),
        ("deep nesting", "[".repeat(100_000)),
    ];
    assert!(Event::parse(good.as_bytes()).is_ok());
    for (case, text) in cases {
        assert!(Event::parse(text.as_bytes()).is_err(), "{case}");
    }
}

proptest! {
    #[test]
    fn any_text_survives_and_stays_one_printable_line(text in any::<String>(), other in "\\PC*") {
        let what = EventKind::started(text, other);
        let event = Event { index: 0, at: datetime!(2026-11-22 15:32:51 UTC), what };
        let bytes = event.to_bytes().unwrap();
        prop_assert!(bytes.iter().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(Event::parse(&bytes).unwrap(), event);
    }
}
