//! Clocks that jump: what is forgotten, and when.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use time::Duration;

use super::*;
use crate::ledger::{
    LedgerState,
    event::{Issued, RequestDecision, RequestDetails, RevokeTarget, Revoked, tests::issued},
    state::passes::MARGIN,
};
use crate::unix_seconds::UnixSeconds;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// The true time at the start, in Unix seconds.
const BEGIN: i64 = 1_800_000_000;

fn time_at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

fn who(iat: i64) -> Actor {
    Actor {
        claims: json!({"iat": iat}).into(),
        ..issued().who
    }
}

/// A pass of eight hours by the daemon's clock.
fn pass(clock: i64, iat: i64) -> EventKind {
    EventKind::Issued(Box::new(Issued {
        who: who(iat),
        valid_before: UnixSeconds(u64::try_from(clock + 8 * HOUR).unwrap_or(0)),
        ..issued()
    }))
}

fn denied(iat: i64) -> EventKind {
    EventKind::Denied {
        who: who(iat),
        ask: RequestDetails::default(),
        key: None,
        cut: false,
        unbound: false,
        by: None,
        reason: "NOT_ALLOWED".to_owned(),
        detail: "no".to_owned(),
        policy: String::new(),
    }
}

fn revoked(state: &LedgerState, serial: u64, clock: i64, iat: i64) -> EventKind {
    let target = RevokeTarget::Serial(serial);
    let serials = state.revocable(&target, time_at(clock));
    EventKind::Revoked(Box::new(Revoked {
        who: who(iat),
        target,
        reason: None,
        serials,
        covers: Vec::new(),
        proof: None,
        restore: None,
    }))
}

/// An event that changes nothing and uses a token of `second`, in Unix seconds.
pub(in crate::ledger::state) fn seen(second: i64) -> EventKind {
    EventKind::Cancelled(Box::new(RequestDecision {
        request: u64::MAX,
        role: String::new(),
        who: who(second),
        key: String::new(),
        signature: String::new(),
        comment: String::new(),
        policy: String::new(),
        presence: None,
    }))
}

/// A ledger that grows event by event.
#[derive(Default)]
struct Story {
    state: LedgerState,
    size: u64,
}

impl Story {
    /// Adds the next event at this clock time. Returns its index.
    fn then(&mut self, clock: i64, what: EventKind) -> u64 {
        let index = self.size;
        let at = time_at(clock);
        self.state.apply(&Event { index, at, what });
        self.size += 1;
        index
    }

    fn revoke(&mut self, serial: u64, clock: i64, iat: i64) {
        let what = revoked(&self.state, serial, clock, iat);
        self.then(clock, what);
    }

    fn listed(&self) -> Vec<u64> {
        self.state.revoked().map(|pass| pass.serial).collect()
    }

    /// Serials that a revocation of all passes would find.
    fn found(&self, clock: i64) -> Vec<u64> {
        let target = RevokeTarget::Before(UnixSeconds(u64::MAX));
        self.state.revocable(&target, time_at(clock))
    }
}

/// A ledger with one revoked and one valid pass.
fn two_passes() -> (Story, u64, u64) {
    let mut story = Story::default();
    story.then(BEGIN, EventKind::started("1", "ca"));
    let gone = story.then(BEGIN, pass(BEGIN, BEGIN));
    let out = story.then(BEGIN, pass(BEGIN, BEGIN));
    story.revoke(gone, BEGIN + 60, BEGIN);
    (story, gone, out)
}

#[test]
fn a_start_two_days_ahead_forgets_no_revoked_pass() {
    let (mut story, gone, out) = two_passes();
    let version = story.state.revocation_version();
    let ahead = BEGIN + 2 * DAY;
    story.then(ahead, EventKind::started("1", "ca"));
    story.then(
        ahead,
        EventKind::PolicyLoaded {
            policy: String::new(),
            text: None,
        },
    );
    story.then(ahead, denied(ahead));
    story.then(BEGIN + HOUR, EventKind::started("1", "ca"));
    assert_eq!(story.listed(), [gone]);
    assert_eq!(story.state.revocation_version(), version);
    assert_eq!(story.found(BEGIN + HOUR), [out], "a lock finds what is out");
    assert_eq!(story.found(ahead), [out], "also while the clock is ahead");
}

#[test]
fn a_leap_of_both_clocks_counts_only_once_it_has_lasted() {
    let ahead = BEGIN + 365 * DAY;
    for (case, lasts, listed) in [
        ("a moment", 0, true),
        ("almost an hour", HOUR - 1, true),
        ("an hour", HOUR, false),
    ] {
        let (mut story, gone, _) = two_passes();
        for now in [ahead, ahead + lasts] {
            story.then(now, pass(now, now));
        }
        assert_eq!(story.listed().contains(&gone), listed, "{case}");
        if listed {
            let back = BEGIN + HOUR;
            story.then(back, pass(back, back));
            story.then(ahead + DAY, pass(ahead + DAY, ahead + DAY));
            assert!(
                story.listed().contains(&gone),
                "{case}, and back, and again"
            );
        }
    }
}

#[test]
fn passes_are_forgotten_an_hour_after_their_end_and_the_list_says_so() {
    let (mut story, gone, _) = two_passes();
    let end = BEGIN + 9 * HOUR;
    story.then(end - 1, pass(end - 1, end - 1));
    assert_eq!(story.listed(), [gone]);
    let version = story.state.revocation_version();
    let last = story.then(end, pass(end, end));
    assert_eq!(story.listed(), [0; 0]);
    assert!(story.state.revocation_version() > version);
    assert_eq!(story.state.revocation_version(), last + 1);
}

#[test]
fn only_a_token_and_the_daemons_clock_together_raise_the_time() {
    let agreed = |clock, what| {
        let mut story = Story::default();
        story.then(BEGIN, pass(BEGIN, BEGIN));
        story.then(clock, what);
        let time = story.state.agreed_time().unwrap();
        time.unix_timestamp() - BEGIN
    };
    let later = BEGIN + 2 * HOUR;
    let mut emergency = issued();
    emergency.who = who(later);
    emergency.emergency_proof = serde_json::from_value(json!({
        "challenge": "c", "message": "", "signatures": []
    }))
    .ok();
    assert!(emergency.emergency_proof.is_some());
    for (case, clock, what, expected) in [
        ("both", later, pass(later, later), 2 * HOUR),
        ("an old token", later, pass(later, BEGIN + 60), 60),
        (
            "an issuer that is ahead",
            BEGIN + 60,
            pass(later, later),
            60,
        ),
        ("a start", later, EventKind::started("1", "ca"), 0),
        ("a denial", later, denied(later), 0),
        (
            "registered keys",
            later,
            EventKind::Issued(Box::new(emergency)),
            0,
        ),
        (
            "a clock behind",
            BEGIN - DAY,
            EventKind::started("1", "ca"),
            HOUR - DAY,
        ),
    ] {
        assert_eq!(agreed(clock, what), expected, "{case}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Issue,
    Revoke(prop::sample::Index),
    Deny,
    Start,
}

/// Steps: the kind, the time since the last one, the clock's error, and the token's age.
fn steps() -> impl Strategy<Value = Vec<(Step, i64, i64, i64)>> {
    let step = prop_oneof![
        4 => Just(Step::Issue),
        4 => any::<prop::sample::Index>().prop_map(Step::Revoke),
        1 => Just(Step::Deny),
        2 => Just(Step::Start),
    ];
    let wrong = prop_oneof![
        4 => Just(0),
        2 => -2 * HOUR..2 * HOUR,
        2 => -3 * DAY..3 * DAY,
        1 => -20_000 * DAY..20_000 * DAY,
    ];
    prop::collection::vec((step, 0..6 * HOUR, wrong, 0..DAY), 0..60)
}

proptest! {
    /// For every sequence of clock jumps: hosts refuse each revoked pass that one of them could
    /// still accept, `revoke` finds each valid pass, and each change of the list raises its
    /// version.
    #[test]
    fn no_jump_of_the_clock_undoes_a_revocation(steps in steps()) {
        let mut story = Story::default();
        let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
        let mut gone: Vec<u64> = Vec::new();
        let mut now = BEGIN;
        for (step, later, wrong, age) in steps {
            now += later;
            let (clock, iat) = (now + wrong, now - age);
            let (list, version) = (story.listed(), story.state.revocation_version());
            match step {
                Step::Issue => {
                    let serial = story.then(clock, pass(clock, iat));
                    ends.insert(serial, u64::try_from(clock + 8 * HOUR).unwrap_or(0));
                }
                Step::Revoke(which) if !ends.is_empty() => {
                    let serial = *which.get(&ends.keys().collect::<Vec<_>>());
                    story.revoke(*serial, clock, iat);
                    gone.push(*serial);
                }
                Step::Deny => drop(story.then(clock, denied(clock))),
                Step::Start | Step::Revoke(_) => drop(story.then(clock, EventKind::started("1", "ca"))),
            }
            let truth = u64::try_from(now).unwrap();
            let is_alive = |serial: &u64| ends[serial] + MARGIN.as_secs() > truth;
            let listed = story.listed();
            let found = story.found(clock);
            for serial in ends.keys().filter(|serial| is_alive(serial)) {
                if gone.contains(serial) {
                    prop_assert!(listed.contains(serial), "{serial} is not listed");
                } else {
                    prop_assert!(found.contains(serial), "{serial} is not found");
                }
            }
            if listed != list {
                prop_assert!(story.state.revocation_version() > version);
            }
            prop_assert!(story.state.revocation_version() >= version);
        }
    }
}
