//! The event of a handover against bytes that every later version must read.

use super::*;
use crate::ledger::{
    checkpoint::Signer,
    handover::Handover,
    order::tests::{SERVER, signed},
};

/// A handover of the ledger's key at entry 5, with its order.
fn changed() -> EventKind {
    let key = |seed| Signer::new("daypass.example.com/ledger", &[seed; 32]).unwrap();
    let changed = EventKind::LedgerKeyChanged(Box::new(LedgerKeyChanged {
        who: who(),
        handover: Handover::sign(&key(7), &key(8), 5).unwrap(),
        reason: Some("yearly".to_owned()),
        proof: None,
    }));
    signed(changed, SERVER, 1, 0)
}

#[test]
fn a_handover_has_its_golden_bytes_and_its_signatures() {
    let at = datetime!(2026-11-22 15:32:51.123 UTC);
    let what = changed();
    let bytes = Event { index: 5, at, what }.to_bytes().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/ledger_key.jsonl");
    if std::env::var_os("DAYPASS_WRITE_GOLDEN").is_some() {
        std::fs::write(path, [&bytes[..], b"\n"].concat()).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), golden.trim_end());
    let event = Event::parse(golden.trim_end().as_bytes()).unwrap();
    assert_eq!(event.what, changed());
    assert_eq!(event.what.kind(), "ledger_key_changed");
    assert_eq!(event.what.order().unwrap().check(SERVER), Ok(()));
    let EventKind::LedgerKeyChanged(it) = event.what else {
        unreachable!()
    };
    assert_eq!(it.handover.check(), Ok(()));
}
