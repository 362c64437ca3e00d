//! The ledger state after sequences of events.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use time::{Duration, OffsetDateTime};

use super::{agreed::tests::seen, *};
use crate::ledger::{
    Event, EventKind,
    event::{RequestDecision, tests::issued},
};
use crate::unix_seconds::UnixSeconds;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// An event this many seconds after the start.
fn event(index: u64, second: i64, what: EventKind) -> Event {
    let at = START + Duration::seconds(second);
    Event { index, at, what }
}

fn pass(index: u64, second: i64, valid_before: u64) -> Event {
    let issued = crate::ledger::event::Issued {
        valid_before: UnixSeconds(valid_before),
        ..issued()
    };
    event(index, second, EventKind::Issued(Box::new(issued)))
}

fn serials(state: &LedgerState) -> Vec<u64> {
    state.passes().map(|pass| pass.serial).collect()
}

#[test]
fn passes_stand_until_an_hour_after_their_end() {
    let mut state = LedgerState::default();
    state.apply(&pass(1, 0, 600));
    state.apply(&pass(2, 0, 60));
    assert_eq!(serials(&state), [1, 2]);
    for (second, expected) in [
        (0, vec![1, 2]),
        (59, vec![1, 2]),
        (3659, vec![1, 2]),
        (3660, vec![1]),
        (4199, vec![1]),
        (4200, vec![]),
    ] {
        state.apply(&event(3, second, seen(second)));
        assert_eq!(serials(&state), expected, "after {second} s");
    }
}

/// It was forgotten: a key that had signed it after the deadline, or for a stolen server, had made
/// a pass that no lock revoked.
#[test]
fn a_pass_whose_signature_failed_is_revoked_and_not_forgotten() {
    let mut state = LedgerState::default();
    state.apply(&pass(1, 0, 600));
    let revision = state.locks.revision;
    let cause = "the key is gone".to_owned();
    state.apply(&event(2, 0, EventKind::SigningFailed { serial: 1, cause }));
    assert_eq!(serials(&state), [1]);
    assert!(state.passes().all(|pass| pass.is_revoked));
    assert!(state.locks.revision > revision, "hosts learn of it");
    assert_eq!(state.requests().count(), 0);
    state.apply(&event(3, 4200, seen(4200)));
    assert_eq!(serials(&state), Vec::<u64>::new());
}

#[test]
fn a_failed_signature_of_no_pass_is_not_admitted() {
    let mut state = LedgerState::default();
    state.apply(&pass(1, 0, 600));
    let failed = |serial: u64| {
        let cause = "the key is gone".to_owned();
        state.admit(&event(2, 0, EventKind::SigningFailed { serial, cause }))
    };
    assert!(failed(1).is_ok());
    for serial in [0, 2, u64::MAX] {
        let refused = failed(serial).unwrap_err();
        assert_eq!(refused.rule, Rule::NoSuchPass, "{serial}");
    }
}

/// The writer of an export chooses the times of its events. No time may panic the verifier.
#[test]
fn no_time_of_an_event_panics() {
    use time::macros::datetime;
    let times = [
        datetime!(0000-01-01 00:00:00 UTC),
        START,
        datetime!(9999-12-31 23:59:59.999_999_999 UTC),
        datetime!(9999-12-31 23:59:59 -23:59),
    ];
    let emergency = || {
        let mut issued = issued();
        issued.ask.emergency = true;
        issued.valid_before = UnixSeconds(u64::MAX);
        issued.emergency_proof = Some(Box::new(crate::ledger::emergency::Proof {
            challenge: "c".to_owned(),
            message: String::new(),
            signatures: Vec::new(),
        }));
        EventKind::Issued(Box::new(issued))
    };
    let reviewed = || {
        EventKind::Reviewed(Box::new(RequestDecision {
            request: 1,
            role: String::new(),
            who: issued().who,
            key: String::new(),
            signature: String::new(),
            comment: String::new(),
            policy: String::new(),
            presence: None,
        }))
    };
    for first in times {
        for second in times {
            let mut state = LedgerState::default();
            let events = [emergency(), reviewed(), emergency(), reviewed()];
            for ((index, what), at) in (1..).zip(events).zip([first, first, second, second]) {
                let event = Event { index, at, what };
                let _ = state.admit(&event);
                state.apply(&event);
            }
        }
    }
}
