//! Decisions that count, in every order.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use crate::ssh::{options::Extension, permissions::Permissions};
use proptest::prelude::*;
use time::Duration as Span;

use super::*;
use crate::ledger::{LedgerState, event::tests::issued};
use crate::unix_seconds::UnixSeconds;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const KEY: &str = "SHA256:bob";

fn who(subject: &str) -> Actor {
    Actor {
        issuer: "https://id.example.com".to_owned(),
        subject: subject.to_owned(),
        label: format!("{subject}@example.com"),
        claims: serde_json::json!({}).into(),
    }
}

fn asked(role: &str) -> RequestDetails {
    RequestDetails {
        role: role.to_owned(),
        reason: Some("INC-1".to_owned()),
        ..RequestDetails::default()
    }
}

fn requested(by: &str, needed: u32) -> EventKind {
    EventKind::Requested(Box::new(Requested {
        who: who(by),
        ask: asked("prod"),
        key: KEY.to_owned(),
        needed,
        expires_at: UnixSeconds(1800),
        permissions: Permissions {
            principals: ["root".to_owned(), "deploy".to_owned()].into(),
            extensions: [Extension::Pty].into(),
            ..Permissions::default()
        },
        ttl_seconds: 3600,
        policy: String::new(),
        through: None,
    }))
}

fn decided(who: Actor, request: u64) -> Box<RequestDecision> {
    Box::new(RequestDecision {
        request,
        role: "prod".to_owned(),
        who,
        key: String::new(),
        signature: String::new(),
        comment: String::new(),
        policy: String::new(),
        presence: None,
    })
}

fn approved(subject: &str) -> EventKind {
    EventKind::Approved(decided(who(subject), 0))
}

fn pass() -> Issued {
    Issued {
        who: who("bob"),
        key: KEY.to_owned(),
        ask: RequestDetails {
            request: Some(0),
            caller: Some("192.0.2.1".to_owned()),
            ..asked("prod")
        },
        permissions: Permissions {
            principals: ["root".to_owned()].into(),
            extensions: [Extension::Pty].into(),
            ..Permissions::default()
        },
        valid_after: UnixSeconds(0),
        valid_before: UnixSeconds(3660),
        ..issued()
    }
}

fn redeemed(change: fn(&mut Issued)) -> EventKind {
    let mut pass = pass();
    change(&mut pass);
    EventKind::Issued(Box::new(pass))
}

fn emergency(subject: &str) -> EventKind {
    EventKind::Issued(Box::new(Issued {
        who: who(subject),
        ask: RequestDetails {
            emergency: true,
            ..asked("prod")
        },
        ..issued()
    }))
}

/// Takes in these events (second, kind). Returns the last one's objection; the others must have
/// none.
fn last(events: Vec<(i64, EventKind)>) -> Result<LedgerState, Rule> {
    let mut state = LedgerState::default();
    let count = events.len();
    for (index, (second, what)) in (0..).zip(events) {
        let at = START + Span::seconds(second);
        let event = Event { index, at, what };
        match state.admit(&event) {
            Ok(()) => state.apply(&event),
            Err(rejection) if index + 1 == count as u64 => return Err(rejection.rule),
            Err(rejection) => panic!("event {index}: {rejection}"),
        }
    }
    Ok(state)
}

fn rule(events: Vec<(i64, EventKind)>) -> Option<Rule> {
    last(events).err()
}

#[test]
fn what_does_not_count_is_objected_to() {
    let ask = |needed| (0, requested("bob", needed));
    let yes = |subject| (1, approved(subject));
    let renamed = || Actor {
        label: "carol.smith@example.com".to_owned(),
        ..who("carol")
    };
    let no = || (1, EventKind::Refused(decided(who("dave"), 0)));
    let back = |subject: &str| (1, EventKind::Cancelled(decided(who(subject), 0)));
    let use_it = || (2, redeemed(|_| ()));
    let cases = [
        ("one approval", vec![ask(1), yes("carol")], None),
        ("zero approvals", vec![ask(0)], Some(Rule::NotPending)),
        (
            "self-approval",
            vec![ask(1), yes("bob")],
            Some(Rule::OwnRequest),
        ),
        (
            "the same person twice",
            vec![ask(2), yes("carol"), yes("carol")],
            Some(Rule::AlreadyDecided),
        ),
        (
            "the same person under two e-mails",
            vec![
                ask(2),
                yes("carol"),
                (1, EventKind::Approved(decided(renamed(), 0))),
            ],
            Some(Rule::AlreadyDecided),
        ),
        (
            "one more than needed",
            vec![ask(1), yes("carol"), yes("dave")],
            Some(Rule::NotPending),
        ),
        (
            "after expiry",
            vec![ask(1), (1800, approved("carol"))],
            Some(Rule::Expired),
        ),
        (
            "in the last second",
            vec![ask(1), (1799, approved("carol"))],
            None,
        ),
        (
            "after a denial",
            vec![ask(1), no(), yes("carol")],
            Some(Rule::NotPending),
        ),
        (
            "a denial after the approval",
            vec![ask(1), yes("carol"), no()],
            None,
        ),
        (
            "redeemed although denied later",
            vec![ask(1), yes("carol"), no(), use_it()],
            Some(Rule::NotPending),
        ),
        (
            "after it was cancelled",
            vec![ask(1), back("bob"), yes("carol")],
            Some(Rule::NotPending),
        ),
        (
            "cancelled by another",
            vec![ask(1), back("carol")],
            Some(Rule::OtherHolder),
        ),
        (
            "no such request",
            vec![ask(1), (1, EventKind::Approved(decided(who("carol"), 7)))],
            Some(Rule::NoSuchRequest),
        ),
        ("redeemed", vec![ask(1), yes("carol"), use_it()], None),
        (
            "redeemed without approval",
            vec![ask(1), use_it()],
            Some(Rule::NotApproved),
        ),
        (
            "redeemed with one of two",
            vec![ask(2), yes("carol"), use_it()],
            Some(Rule::NotApproved),
        ),
        (
            "redeemed twice",
            vec![ask(1), yes("carol"), use_it(), use_it()],
            Some(Rule::Redeemed),
        ),
        (
            "approved after it was redeemed",
            vec![ask(1), yes("carol"), use_it(), yes("dave")],
            Some(Rule::Redeemed),
        ),
        (
            "redeemed too late",
            vec![ask(1), yes("carol"), (1800, redeemed(|_| ()))],
            Some(Rule::Expired),
        ),
        (
            "by another identity",
            vec![
                ask(1),
                yes("carol"),
                (2, redeemed(|p| p.who.subject = "eve".into())),
            ],
            Some(Rule::OtherHolder),
        ),
        (
            "at another issuer",
            vec![
                ask(1),
                yes("carol"),
                (2, redeemed(|p| p.who.issuer.push('/'))),
            ],
            Some(Rule::OtherHolder),
        ),
        (
            "with another key",
            vec![ask(1), yes("carol"), (2, redeemed(|p| p.key.push('x')))],
            Some(Rule::OtherHolder),
        ),
        (
            "for another role",
            vec![
                ask(1),
                yes("carol"),
                (2, redeemed(|p| p.ask.role.push('x'))),
            ],
            Some(Rule::OtherAsk),
        ),
        (
            "for another reason",
            vec![ask(1), yes("carol"), (2, redeemed(|p| p.ask.reason = None))],
            Some(Rule::OtherAsk),
        ),
        (
            "for another host",
            vec![
                ask(1),
                yes("carol"),
                (2, redeemed(|p| p.ask.host = Some("db".into()))),
            ],
            Some(Rule::OtherAsk),
        ),
        (
            "with a principal more",
            vec![
                ask(1),
                yes("carol"),
                (
                    2,
                    redeemed(|p| p.permissions.principals.extend(["x".into()])),
                ),
            ],
            Some(Rule::OtherAsk),
        ),
        (
            "with another command",
            vec![
                ask(1),
                yes("carol"),
                (
                    2,
                    redeemed(|p| p.permissions.force_command = Some("id".into())),
                ),
            ],
            Some(Rule::OtherAsk),
        ),
        (
            "for longer",
            vec![
                ask(1),
                yes("carol"),
                (2, redeemed(|p| p.valid_before.0 += 1)),
            ],
            Some(Rule::OtherAsk),
        ),
        (
            "a review",
            vec![
                (0, emergency("bob")),
                (1, EventKind::Reviewed(decided(who("carol"), 0))),
            ],
            None,
        ),
        (
            "one's own review",
            vec![
                (0, emergency("bob")),
                (1, EventKind::Reviewed(decided(who("bob"), 0))),
            ],
            Some(Rule::OwnRequest),
        ),
        (
            "approving an emergency",
            vec![(0, emergency("bob")), yes("carol")],
            Some(Rule::NotPending),
        ),
        (
            "reviewing a request",
            vec![ask(1), (1, EventKind::Reviewed(decided(who("carol"), 0)))],
            Some(Rule::NotApproved),
        ),
    ];
    for (case, events, expected) in cases {
        assert_eq!(rule(events), expected, "{case}");
    }
}

#[test]
fn an_emergency_is_open_until_another_person_reviews_it() {
    let state = |events| last(events).unwrap().request(0).map(|r| r.state(START));
    let open = (0, emergency("bob"));
    assert_eq!(state(vec![open.clone()]), Some(State::ReviewOpen));
    let month = 31 * 24 * 3600;
    let later = (month, requested("eve", 1));
    assert_eq!(state(vec![open.clone(), later]), Some(State::ReviewOpen));
    let review = (1, EventKind::Reviewed(decided(who("carol"), 0)));
    assert_eq!(state(vec![open, review]), Some(State::Reviewed));
}

/// A request like [`requested`] that expires at another second.
fn until(by: &str, second: u64) -> EventKind {
    let EventKind::Requested(mut asked) = requested(by, 1) else {
        unreachable!()
    };
    asked.expires_at = UnixSeconds(second);
    EventKind::Requested(asked)
}

/// Takes in these events (second, kind), even those that a rule rejects.
fn after(events: Vec<(i64, EventKind)>) -> LedgerState {
    let mut state = LedgerState::default();
    for (index, (second, what)) in (0..).zip(events) {
        let at = START + Span::seconds(second);
        state.apply(&Event { index, at, what });
    }
    state
}

fn ids(state: &LedgerState) -> Vec<u64> {
    state.requests().map(|request| request.id).collect()
}

/// Opens and cancels `count` requests.
fn opened_and_cancelled(by: &str, count: u64) -> Vec<(i64, EventKind)> {
    let pair = |id| {
        [
            (0, requested(by, 1)),
            (0, EventKind::Cancelled(decided(who(by), id))),
        ]
    };
    (0..count).flat_map(|n| pair(2 * n)).collect()
}

#[test]
fn cancelled_requests_do_not_stay_in_memory() {
    let state = after(opened_and_cancelled("bob", 1000));
    let expected: Vec<u64> = (1000 - table::MOST_ENDED as u64..1000)
        .map(|n| 2 * n)
        .collect();
    assert_eq!(ids(&state), expected, "the last ones");
    assert_eq!(state.revision(), 2000);
}

#[test]
fn one_identity_pushes_out_only_its_own() {
    let mut events = vec![
        (0, requested("carol", 1)),
        (0, EventKind::Cancelled(decided(who("carol"), 0))),
    ];
    let pair = |n: u64| {
        [
            (0, requested("bob", 1)),
            (0, EventKind::Cancelled(decided(who("bob"), 2 * n))),
        ]
    };
    events.extend((1..1000).flat_map(pair));
    let state = after(events);
    assert_eq!(ids(&state).len(), table::MOST_ENDED + 1);
    assert!(state.request(0).is_some());
}

#[test]
fn an_ended_request_holds_no_claims() {
    let mut dave = who("dave");
    dave.claims = serde_json::json!({"groups": ["x".repeat(10_000)]}).into();
    let EventKind::Requested(mut asked) = requested("bob", 2) else {
        unreachable!()
    };
    asked.who.claims = dave.claims.clone();
    let mut events = vec![
        (0, EventKind::Requested(asked)),
        (1, EventKind::Approved(decided(dave, 0))),
    ];
    let waits = after(events.clone());
    let waits = format!("{:?}", waits.request(0).unwrap());
    assert!(
        waits.len() < 15_000,
        "the approver's claims only: {}",
        waits.len()
    );
    events.push((2, EventKind::Cancelled(decided(who("bob"), 0))));
    let ended = after(events);
    let ended = ended.request(0).unwrap();
    assert!(format!("{ended:?}").len() < 2000, "{ended:?}");
    assert_eq!((ended.needed(), ended.expires_at), (2, UnixSeconds(1800)));
}

#[test]
fn requests_that_expire_are_forgotten_in_the_order_of_their_ends() {
    let events = (0..1000).map(|n| (n, until("bob", n as u64 + 1)));
    let state = after(events.collect());
    let expected: Vec<u64> = (1000 - table::MOST_OPEN as u64..1000).collect();
    assert_eq!(ids(&state), expected);
}

/// One event with a clock far ahead evicts no request that still waits by the right clock.
#[test]
fn one_event_with_a_wrong_time_forgets_nothing_that_waits() {
    let year = 365 * 24 * 3600;
    let mut events: Vec<_> = (0..MOST_WAITING)
        .map(|_| (0, requested("bob", 1)))
        .collect();
    events.push((1, emergency("carol")));
    events.push((year, requested("dave", 1)));
    events.push((year, until("bob", year as u64 + 1800)));
    let state = after(events);
    assert_eq!(ids(&state).len(), MOST_WAITING + 3);
    let pending = state.request(0).unwrap();
    assert_eq!(pending.state(START + Span::seconds(2)), State::Pending);
}

#[test]
fn changes_are_told_by_revision_and_ends_by_time() {
    let state = after(vec![
        (0, requested("bob", 1)),
        (0, until("bob", 60)),
        (0, emergency("carol")),
        (
            1,
            EventKind::Denied {
                who: who("eve"),
                ask: asked("prod"),
                key: None,
                reason: String::new(),
                detail: String::new(),
                policy: String::new(),
                cut: false,
                unbound: false,
                by: None,
            },
        ),
        (1, approved("dave")),
    ]);
    let changed = |revision| -> Vec<u64> {
        let changed = state.changed_after(revision);
        changed.map(|request| request.id).collect()
    };
    assert_eq!(state.revision(), 4);
    assert_eq!(changed(0), [1, 2, 0]);
    assert_eq!(changed(3), [0]);
    assert!(changed(4).is_empty() && changed(u64::MAX).is_empty());
    let ended = |from, to| -> Vec<u64> {
        let [from, to] = [from, to].map(|second| START + Span::seconds(second));
        let ended = state.ended_between(from, to);
        ended.map(|request| request.id).collect()
    };
    assert_eq!(ended(0, 59), [0; 0]);
    assert_eq!(ended(59, 60), [1]);
    assert_eq!(ended(60, 61), [0; 0]);
    assert_eq!(ended(0, 1800), [1, 0]);
    assert_eq!(ended(1800, 0), [0; 0], "a clock that was set back");
}

#[test]
fn no_identity_has_more_open_requests_than_the_limit() {
    let many = |count| vec![(0, requested("bob", 1)); count];
    assert_eq!(rule(many(MOST_WAITING)), None);
    assert_eq!(rule(many(MOST_WAITING + 1)), Some(Rule::TooMany));
}

const PEOPLE: [&str; 4] = ["bob", "carol", "dave", "erin"];

#[derive(Clone, Debug)]
enum Step {
    Approve(usize),
    Deny(usize),
    Cancel(usize),
    Redeem,
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..4usize).prop_map(Step::Approve),
        1 => (0..4usize).prop_map(Step::Deny),
        1 => (0..4usize).prop_map(Step::Cancel),
        3 => Just(Step::Redeem),
        1 => (0..900i64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..20)
}

proptest! {
    /// For every order of events: a pass only after `needed` other identities approved, at most
    /// one, in time, and never after a denial.
    #[test]
    fn no_order_makes_a_pass_that_was_not_approved(needed in 1..4u32, steps in steps()) {
        let mut state = LedgerState::default();
        let mut second = 0;
        let opened = Event { index: 0, at: START, what: requested("bob", needed) };
        state.apply(&opened);
        let (mut yes, mut ended, mut passes) = (std::collections::BTreeSet::new(), false, 0);
        for (index, step) in (1..).zip(steps) {
            let what = match step {
                Step::Approve(n) => approved(PEOPLE[n]),
                Step::Deny(n) => EventKind::Refused(decided(who(PEOPLE[n]), 0)),
                Step::Cancel(n) => EventKind::Cancelled(decided(who(PEOPLE[n]), 0)),
                Step::Redeem => redeemed(|_| ()),
                Step::Wait(seconds) => { second += seconds; continue }
            };
            let event = Event { index, at: START + Span::seconds(second), what };
            if state.admit(&event).is_err() {
                continue;
            }
            state.apply(&event);
            prop_assert!(!ended, "nothing counts after the end");
            prop_assert!(second < 1800, "nothing counts after the window");
            match step {
                Step::Approve(n) => {
                    prop_assert!(n != 0, "the requester never approves");
                    prop_assert!(yes.insert(n), "each counts once");
                }
                Step::Deny(_) | Step::Cancel(_) => ended = true,
                Step::Redeem => {
                    prop_assert_eq!(yes.len(), needed as usize);
                    passes += 1;
                    ended = true;
                }
                Step::Wait(_) => {}
            }
        }
        prop_assert!(passes <= 1);
    }
}
