//! The passes that locks and revocations hit, and the events that are rejected.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: a panic is the failure"
)]

use time::{Duration, OffsetDateTime};

use super::{super::agreed::tests::seen, *};
use crate::ledger::{
    EventKind,
    event::{Actor, Issued, RevokeTarget, tests::issued},
    order::{LATEST, tests as order},
};
use crate::unix_seconds::UnixSeconds;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// A pass for `subject` (`subject@example.com`) by this key and role, valid for ten minutes.
fn pass(index: u64, second: i64, subject: &str, key: &str, role: &str) -> Event {
    let base = issued();
    let mut who = base.who.clone();
    who.subject = subject.to_owned();
    who.label = format!("{subject}@example.com");
    let mut ask = base.ask.clone();
    ask.role = role.to_owned();
    let issued = Issued {
        who,
        ask,
        key: key.to_owned(),
        valid_before: UnixSeconds(u64::try_from(second).unwrap() + 600),
        ..base
    };
    event(index, second, EventKind::Issued(Box::new(issued)))
}

fn event(index: u64, second: i64, what: EventKind) -> Event {
    let at = START + Duration::seconds(second);
    Event { index, at, what }
}

fn carol() -> Actor {
    let mut who = issued().who;
    who.subject = "carol".to_owned();
    who.label = "carol@example.com".to_owned();
    who
}

/// Bob has two keys and two roles; alice shares a role with him.
fn world() -> LedgerState {
    let mut state = LedgerState::default();
    for event in [
        pass(1, 10, "bob", "SHA256:b1", "shell"),
        pass(2, 20, "bob", "SHA256:b2", "logs"),
        pass(3, 30, "alice", "SHA256:a", "shell"),
    ] {
        take(&mut state, &event).unwrap();
    }
    state
}

fn take(state: &mut LedgerState, event: &Event) -> Result<(), Rejection> {
    state.admit(event)?;
    state.apply(event);
    Ok(())
}

fn lock(state: &mut LedgerState, index: u64, target: LockTarget) -> Result<Vec<u64>, Rejection> {
    let at = START + Duration::seconds(40);
    let serials = state.lockable(&target, at);
    let event = event(index, 40, order::locked(state, &carol(), target, at));
    take(state, &event).map(|()| serials)
}

fn revoke(
    state: &mut LedgerState,
    second: i64,
    target: RevokeTarget,
) -> Result<Vec<u64>, Rejection> {
    let at = START + Duration::seconds(second);
    let serials = state.revocable(&target, at);
    let event = event(9, second, order::revoked(state, &carol(), target, at));
    take(state, &event).map(|()| serials)
}

fn revoked(state: &LedgerState) -> Vec<u64> {
    state.revoked().map(|pass| pass.serial).collect()
}

fn rule(result: Result<(), Rejection>) -> Option<Rule> {
    result.err().map(|rejection| rejection.rule)
}

#[test]
fn a_lock_stops_and_revokes_what_it_is_on_and_nothing_else() {
    let identity = |name: &str| LockTarget::Identity(name.to_owned());
    let key = |name: &str| LockTarget::Key(name.to_owned());
    let role = |name: &str| LockTarget::Role(name.to_owned());
    for (target, hit, bob_shell, bob_logs, alice_shell) in [
        (identity("bob"), vec![1, 2], false, false, true),
        (identity("bob@example.com"), vec![1, 2], false, false, true),
        (identity("alice"), vec![3], true, true, false),
        (identity("bo"), vec![], true, true, true),
        (identity("BOB"), vec![], true, true, true),
        (identity(""), vec![], true, true, true),
        (key("SHA256:b1"), vec![1], false, true, true),
        (key("SHA256:B1"), vec![], true, true, true),
        (role("shell"), vec![1, 3], false, true, false),
        (role("logs"), vec![2], true, false, true),
        (role("bob"), vec![], true, true, true),
    ] {
        let mut state = world();
        assert_eq!(
            lock(&mut state, 4, target.clone()),
            Ok(hit.clone()),
            "{target}"
        );
        assert_eq!(revoked(&state), hit, "{target}");
        assert_eq!(
            state.revocation_version(),
            if hit.is_empty() { 0 } else { 5 },
            "{target}"
        );
        for (event, is_free) in [
            (pass(5, 50, "bob", "SHA256:b1", "shell"), bob_shell),
            (pass(5, 50, "bob", "SHA256:b2", "logs"), bob_logs),
            (pass(5, 50, "alice", "SHA256:a", "shell"), alice_shell),
        ] {
            let expected = (!is_free).then_some(Rule::Locked);
            assert_eq!(rule(state.admit(&event)), expected, "{target} {event:?}");
        }
    }
}

#[test]
fn a_lock_ends_with_its_unlock_and_what_was_revoked_stays_so() {
    let mut state = world();
    let target = LockTarget::Identity("bob".to_owned());
    let unlock = |state: &mut LedgerState, target: &LockTarget| {
        let unlocked = order::unlocked(state, &carol(), target.clone());
        rule(take(state, &event(6, 60, unlocked)))
    };
    assert_eq!(unlock(&mut state, &target), Some(Rule::NoSuchLock));
    lock(&mut state, 4, target.clone()).unwrap();
    let by_label = LockTarget::Identity("bob@example.com".to_owned());
    assert_eq!(unlock(&mut state, &by_label), Some(Rule::NoSuchLock));
    assert_eq!(unlock(&mut state, &target), None);
    assert_eq!(state.locks().count(), 0);
    let again = pass(7, 70, "bob", "SHA256:b1", "shell");
    assert_eq!(rule(state.admit(&again)), None);
    assert_eq!(revoked(&state), [1, 2]);
}

#[test]
fn a_second_lock_replaces_the_first() {
    let mut state = world();
    let target = LockTarget::Identity("bob".to_owned());
    assert_eq!(lock(&mut state, 4, target.clone()), Ok(vec![1, 2]));
    assert_eq!(lock(&mut state, 5, target), Ok(vec![]));
    let indices: Vec<u64> = state.locks().map(|lock| lock.index).collect();
    assert_eq!(indices, [5]);
    assert_eq!(state.revocation_version(), 5);
}

#[test]
fn a_revocation_hits_what_is_out_and_not_yet_revoked() {
    let key = "SHA256:b1".to_owned();
    for (target, hit) in [
        (RevokeTarget::Serial(2), vec![2]),
        (RevokeTarget::Key(key), vec![1]),
        (RevokeTarget::Identity("bob".to_owned()), vec![1, 2]),
        (
            RevokeTarget::Identity("bob@example.com".to_owned()),
            vec![1, 2],
        ),
        (RevokeTarget::Before(UnixSeconds(10)), vec![]),
        (RevokeTarget::Before(UnixSeconds(11)), vec![1]),
        (RevokeTarget::Before(UnixSeconds(30)), vec![1, 2]),
        (RevokeTarget::Before(LATEST), vec![1, 2, 3]),
    ] {
        let mut state = world();
        assert_eq!(
            revoke(&mut state, 40, target.clone()),
            Ok(hit.clone()),
            "{target}"
        );
        assert_eq!(revoked(&state), hit, "{target}");
        assert_eq!(
            revoke(&mut state, 41, target.clone()),
            Ok(vec![]),
            "{target}"
        );
        // An identity that is not locked may have another pass.
        let again = pass(10, 50, "bob", "SHA256:b1", "shell");
        assert_eq!(rule(state.admit(&again)), None, "{target}");
    }
    let none = revoke(&mut world(), 40, RevokeTarget::Serial(4));
    assert_eq!(rule(none.map(drop)), Some(Rule::NoSuchPass));
}

#[test]
fn cve_2021_29653_a_revoked_pass_is_remembered_until_no_host_can_take_it() {
    let mut state = world();
    revoke(&mut state, 40, RevokeTarget::Serial(1)).unwrap();
    // Pass 1 ends at 610; hosts may be an hour behind.
    for (second, listed) in [(609, true), (611, true), (4_209, true), (4_210, false)] {
        state.apply(&event(10, second, seen(second)));
        assert_eq!(revoked(&state).contains(&1), listed, "at {second}");
    }
}

#[test]
fn a_locked_key_does_not_unlock_itself() {
    let mut state = world();
    let fingerprint = order::key(1).fingerprint(ssh_key::HashAlg::Sha256);
    let key = LockTarget::Key(fingerprint.to_string());
    lock(&mut state, 4, key.clone()).unwrap();
    for (seed, expected) in [(1, Some(Rule::Locked)), (2, None)] {
        let after = state.after(&Target::from(&key));
        let unlocked = order::unlocked(&state, &carol(), key.clone());
        let unlocked = order::signed(unlocked, order::SERVER, seed, after);
        let unlocked = event(6, 60, unlocked);
        assert_eq!(rule(state.admit(&unlocked)), expected, "{seed}");
    }
}

#[test]
fn a_locked_administrator_neither_locks_nor_unlocks_nor_revokes() {
    let mut state = world();
    let carol = LockTarget::Identity("carol".to_owned());
    lock(&mut state, 4, carol.clone()).unwrap();
    let bob = LockTarget::Identity("bob".to_owned());
    assert_eq!(rule(lock(&mut state, 5, bob).map(drop)), Some(Rule::Locked));
    let revoked = revoke(&mut state, 41, RevokeTarget::Serial(1));
    assert_eq!(rule(revoked.map(drop)), Some(Rule::Locked));
    let unlocked = order::unlocked(&state, &super::tests::carol(), carol);
    let unlocked = event(6, 60, unlocked);
    assert_eq!(rule(state.admit(&unlocked)), Some(Rule::Locked));
}

#[test]
fn an_event_that_revokes_others_than_it_is_aimed_at_is_not_admitted() {
    let state = world();
    let at = START + Duration::seconds(40);
    for serials in [vec![], vec![1], vec![2, 1], vec![1, 2, 3]] {
        let bob = "bob".to_owned();
        let mut forged = order::revoked(&state, &carol(), RevokeTarget::Identity(bob.clone()), at);
        let EventKind::Revoked(revoked) = &mut forged else {
            panic!()
        };
        revoked.serials.clone_from(&serials);
        let forged = event(4, 40, forged);
        assert_eq!(
            rule(state.admit(&forged)),
            Some(Rule::Serials),
            "{serials:?}"
        );
        let mut forged = order::locked(&state, &carol(), LockTarget::Identity(bob), at);
        let EventKind::Locked(locked) = &mut forged else {
            panic!()
        };
        locked.serials = serials;
        let forged = event(4, 40, forged);
        assert_eq!(rule(state.admit(&forged)), Some(Rule::Serials));
    }
}

#[test]
fn what_was_asked_for_before_all_was_revoked_is_not_recorded_after_it() {
    let mut state = world();
    let target = RevokeTarget::Before(UnixSeconds(35));
    let serials = state.revocable(&target, START + Duration::seconds(40));
    assert_eq!(serials, [1, 2, 3]);
    let at = START + Duration::seconds(40);
    let revoked = order::revoked(&state, &carol(), target, at);
    take(&mut state, &event(4, 40, revoked)).unwrap();
    let late = take(&mut state, &pass(5, 34, "bob", "SHA256:b1", "shell"));
    assert_eq!(late.unwrap_err().rule, Rule::RevokedMeanwhile);
    take(&mut state, &pass(5, 36, "bob", "SHA256:b1", "shell")).unwrap();
}

#[test]
fn a_start_of_another_server_lets_no_ask_from_before_a_revocation_through() {
    let revoked = || {
        let mut state = world();
        let target = RevokeTarget::Before(UnixSeconds::from(START + Duration::seconds(4000)));
        let at = START + Duration::seconds(4000);
        let revoked = order::revoked(&state, &carol(), target, at);
        take(&mut state, &event(4, 4000, revoked)).unwrap();
        state
    };
    let started = || EventKind::started("0.1.0", "daypass.example.com");
    for clock in [4001, 3990] {
        let mut state = revoked();
        take(&mut state, &event(5, clock, started())).unwrap();
        let late = take(&mut state, &pass(6, 3995, "bob", "SHA256:b1", "shell"));
        assert_eq!(late.unwrap_err().rule, Rule::RevokedMeanwhile, "{clock}");
    }
    // The clock was an hour ahead, and was corrected.
    let mut state = revoked();
    take(&mut state, &event(5, 400, started())).unwrap();
    take(&mut state, &pass(6, 401, "bob", "SHA256:b1", "shell")).unwrap();
}
