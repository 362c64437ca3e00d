//! Orders about CA keys against bytes that every later version must read, with valid signatures.

use super::*;
use crate::ledger::order::tests::{SERVER, key, signed};

const FILE: &str = "tests/golden/ca_keys.jsonl";

/// An unsigned order about the key of this seed.
pub(in crate::ledger) fn ordered(step: CaKeyStep, seed: u8) -> CaKeyOrdered {
    CaKeyOrdered {
        who: who(),
        step,
        key: key(seed).public_key().to_openssh().unwrap(),
        anyway: false,
        behind: Vec::new(),
        from: Vec::new(),
        reason: None,
        proof: None,
    }
}

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)
}

fn events() -> Vec<EventKind> {
    let named = |seed: u8, state| CaKeyNamed {
        key: key(seed).public_key().to_openssh().unwrap(),
        state,
    };
    let orders = [
        CaKeyOrdered {
            from: vec![
                named(10, CaKeyState::Active),
                named(11, CaKeyState::Retiring),
            ],
            ..ordered(CaKeyStep::Stage, 12)
        },
        CaKeyOrdered {
            anyway: true,
            behind: vec!["web-3".to_owned()],
            reason: Some("INC-7".to_owned()),
            ..ordered(CaKeyStep::Activate, 12)
        },
        ordered(CaKeyStep::Retire, 10),
    ];
    let signed =
        |(after, order)| signed(EventKind::CaKeyOrdered(Box::new(order)), SERVER, 1, after);
    [0, 11, 12].into_iter().zip(orders).map(signed).collect()
}

#[test]
fn orders_about_ca_keys_have_their_golden_bytes() {
    let at = datetime!(2026-11-22 15:32:51.123 UTC);
    let leaves: Vec<String> = (10..)
        .zip(events())
        .map(|(index, what)| {
            let bytes = Event { index, at, what }.to_bytes().unwrap();
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    if std::env::var_os("DAYPASS_WRITE_GOLDEN").is_some() {
        std::fs::write(path(), leaves.join("\n") + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(path()).unwrap_or_default();
    assert_eq!(leaves, golden.lines().collect::<Vec<_>>());
    for (line, what) in leaves.iter().zip(events()) {
        let event = Event::parse(line.as_bytes()).unwrap();
        assert_eq!(event.what, what);
        let order = event.what.order().unwrap();
        assert_eq!(order.check(SERVER), Ok(()), "{line}");
        assert!(order.check("ca.example.org").is_err(), "{line}");
    }
}
