//! What a restored ledger takes in before and after its acceptance, and which passes of the lost
//! one are revoked.
#![allow(clippy::unwrap_used, reason = "tests: a panic is the failure")]

use time::OffsetDateTime;

use super::*;
use crate::ledger::{event::tests::issued, state::agreed::tests::seen};

const WEEK: u64 = LONGEST_LIFETIME.as_secs();

fn event(index: u64, second: u64, what: EventKind) -> Event {
    let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(second);
    Event { index, at, what }
}

fn start(index: u64, second: u64) -> Event {
    event(index, second, EventKind::started("1", "a"))
}

/// A state after starts at these times, each at the index of its place; the last one is on a
/// restored copy.
fn restored(seconds: &[u64], by_hand: bool) -> LedgerState {
    let mut state = LedgerState::default();
    for (index, second) in (0..).zip(seconds) {
        let is_last = index + 1 == seconds.len() as u64;
        state.apply_restored(&start(index, *second), is_last, is_last && by_hand);
    }
    state
}

/// The same, accepted up to this size by the next event.
fn accepted(seconds: &[u64], by_hand: bool, through: u64) -> LedgerState {
    let mut state = restored(seconds, by_hand);
    let last = seconds.last().copied().unwrap_or_default();
    let order = event(seconds.len() as u64, last, seen(0));
    state.apply_through(&order, &RevokeTarget::Through(through));
    state
}

fn failed() -> EventKind {
    let cause = "the key is gone".to_owned();
    EventKind::SigningFailed { serial: 1, cause }
}

fn lost(state: &LedgerState) -> Vec<u64> {
    state.passes().map(|pass| pass.serial).collect()
}

#[test]
fn before_the_acceptance_nothing_is_granted_and_then_the_ledger_is_filled_first() {
    let kinds = || {
        [
            ("filler", EventKind::Skipped),
            ("a start", EventKind::started("1", "a")),
            ("a pass", EventKind::Issued(Box::new(issued()))),
            ("an error", failed()),
        ]
    };
    // Of a filler, a start, a pass and an error: the words of the refusal, or none.
    let nothing_to_skip = Some("nothing to skip");
    let being_filled = Some("being filled");
    for (case, state, index, expected) in [
        (
            "nothing restored",
            LedgerState::default(),
            9,
            [nothing_to_skip, None, None, None],
        ),
        (
            "not accepted",
            restored(&[0, 10], false),
            2,
            [nothing_to_skip, None, Some("accept-restore"), None],
        ),
        (
            "accepted, and the first to fill",
            accepted(&[0, 10], false, 20),
            3,
            [None, None, being_filled, being_filled],
        ),
        (
            "the last to fill",
            accepted(&[0, 10], false, 20),
            19,
            [None, None, being_filled, being_filled],
        ),
        (
            "filled",
            accepted(&[0, 10], false, 20),
            20,
            [nothing_to_skip, None, None, None],
        ),
    ] {
        for ((kind, what), expected) in kinds().into_iter().zip(expected) {
            let answer = state.admit_restoring(&event(index, 10, what));
            match expected {
                None => assert_eq!(answer, Ok(()), "{case}: {kind}"),
                Some(words) => {
                    let rejection = answer.unwrap_err().to_string();
                    assert!(rejection.contains(words), "{case}: {kind}: {rejection}");
                }
            }
        }
    }
}

#[test]
fn a_second_copy_waits_again_and_what_was_accepted_of_the_first_stays() {
    let mut state = accepted(&[0, 10], false, 20);
    assert!(!state.waits_for_acceptance());
    state.apply_restored(&start(20, 20), true, false);
    assert!(state.waits_for_acceptance());
    assert_eq!(state.restored_copy(), Some(21));
    assert_eq!(state.acceptance(), Some(2));
    assert_eq!(state.accepted_through(), 20);
    assert_eq!(lost(&state), (1..20).collect::<Vec<_>>());
}

#[test]
fn an_order_names_the_copy_that_was_restored_last_and_a_size_within_reach() {
    let statement = |size| SignedRestore {
        size,
        root: String::new(),
        key: String::new(),
        signature: String::new(),
    };
    let waiting = || restored(&[0, 10], false);
    let about = |size| Some(statement(size));
    // The order is event 5, so that the ledger has 6 events with it.
    for (case, state, through, restore, expected) in [
        ("the least", waiting(), 7, about(2), None),
        ("the most", waiting(), 6 + MOST_SKIPPED, about(2), None),
        (
            "one more",
            waiting(),
            7 + MOST_SKIPPED,
            about(2),
            Some("at most 50000"),
        ),
        (
            "the size that it has",
            waiting(),
            6,
            about(2),
            Some("6 entries already"),
        ),
        ("no size", waiting(), 0, about(2), Some("6 entries already")),
        (
            "the largest number",
            waiting(),
            u64::MAX,
            about(2),
            Some("at most 50000"),
        ),
        (
            "another copy",
            waiting(),
            7,
            about(3),
            Some("not about the copy"),
        ),
        (
            "no statement",
            waiting(),
            7,
            None,
            Some("not about the copy"),
        ),
        (
            "nothing restored",
            LedgerState::default(),
            7,
            about(2),
            Some("restore --by-hand"),
        ),
        // The loss was larger than the first order said: --past.
        ("once more", accepted(&[0, 10], false, 6), 9, about(2), None),
    ] {
        let order = event(5, 10, seen(0));
        let answer = state.admit_through(&order, through, restore.as_ref());
        match expected {
            None => assert_eq!(answer, Ok(()), "{case}"),
            Some(words) => {
                let rejection = answer.unwrap_err().to_string();
                assert!(rejection.contains(words), "{case}: {rejection}");
            }
        }
    }
    let last = event(u64::MAX, 10, seen(0));
    assert!(
        waiting()
            .admit_through(&last, u64::MAX, about(2).as_ref())
            .is_err()
    );
}

#[test]
fn each_serial_that_the_lost_ledger_may_have_used_is_revoked() {
    let late = 2 * WEEK;
    for (case, state, expected) in [
        // The copy has events 0 and 1, and its first start is event 2.
        (
            "from its first start on",
            accepted(&[0, 5, 10], false, 6),
            2..6,
        ),
        // A start on the copy may be any of those that the ledger knows.
        (
            "by hand: from the first start",
            accepted(&[0, 5, 10], true, 6),
            0..6,
        ),
        (
            "by hand: passes from before the last week are over",
            accepted(&[0, late - WEEK, late], true, 6),
            1..6,
        ),
        (
            "by hand: one second more than a week",
            accepted(&[0, late - WEEK - 1, late], true, 6),
            2..6,
        ),
        (
            "at most twice the skipped ones",
            accepted(&[0, 10], false, 3 * MOST_SKIPPED),
            MOST_SKIPPED..3 * MOST_SKIPPED,
        ),
    ] {
        assert_eq!(lost(&state), expected.collect::<Vec<_>>(), "{case}");
        assert!(state.passes().all(|pass| pass.is_revoked), "{case}");
        assert!(!state.waits_for_acceptance(), "{case}");
    }
}

#[test]
fn other_revocations_accept_nothing() {
    let mut state = restored(&[0, 10], false);
    for target in [
        RevokeTarget::Serial(1),
        RevokeTarget::Key("SHA256:x".to_owned()),
        RevokeTarget::Identity("bob".to_owned()),
        RevokeTarget::Before(UnixSeconds(20)),
    ] {
        state.apply_through(&event(2, 20, seen(0)), &target);
        assert!(state.waits_for_acceptance(), "{target:?}");
        assert_eq!(state.acceptance(), None);
    }
}

#[test]
fn of_many_starts_the_first_counts_as_long_as_the_next_and_none_is_forgotten_early() {
    // One an hour: more than are remembered, within a week.
    let hours: Vec<u64> = (0..100).map(|hour| hour * 3600).collect();
    let state = restored(&hours, true);
    assert_eq!(state.restoring.starts.len(), MOST_STARTS);
    assert_eq!(state.restoring.from, 0, "rather too early than too late");
    // The first is that of a time that has moved on to the 36 that were dropped.
    assert_eq!(
        state.restoring.starts.first(),
        Some(&(0, UnixSeconds(36 * 3600)))
    );
    // A ledger with few starts knows no more of those that are over.
    let state = restored(&[0, 3 * WEEK, 3 * WEEK + 1], true);
    assert_eq!(state.restoring.from, 1);
}

#[test]
fn what_is_left_to_skip_ends_at_the_accepted_size() {
    let state = accepted(&[0, 10], false, 20);
    for (size, expected) in [(0, 20), (19, 1), (20, 0), (21, 0), (u64::MAX, 0)] {
        assert_eq!(state.to_skip(size), expected, "{size}");
    }
    assert_eq!(LedgerState::default().to_skip(0), 0);
}

#[test]
fn the_published_list_gets_a_version_past_every_lost_one() {
    let mut state = accepted(&[0, 10], false, 20);
    for index in 3..20 {
        state.apply_skipped(&event(index, 30, EventKind::Skipped));
        assert_eq!(state.locks.revision, index + 1);
    }
    assert_eq!(state.revocations_changed_at(), UnixSeconds(30));
}
