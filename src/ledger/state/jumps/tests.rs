//! Jump passes that are admitted, and what is revoked with them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use crate::ssh::{options::Extension, permissions::Permissions};
use time::{Duration, OffsetDateTime};

use super::*;
use crate::ledger::{
    Event, EventKind,
    event::{Actor, LockTarget, RequestedJumpHost, RevokeTarget, tests::issued},
    order,
};
use crate::unix_seconds::UnixSeconds;

const COMMAND: &str = "echo 'this pass only forwards' >&2; exit 1";

fn event(index: u64, what: EventKind) -> Event {
    let at = OffsetDateTime::UNIX_EPOCH + Duration::seconds(10);
    Event { index, at, what }
}

/// A pass for `db-1`, valid for ten minutes.
fn main_pass() -> Issued {
    let mut issued = issued();
    issued.ask.request = None;
    issued.ask.emergency = false;
    Issued {
        valid_before: UnixSeconds(600),
        ..issued
    }
}

/// The jump pass of pass 1.
fn jump_pass() -> Issued {
    Issued {
        permissions: Permissions {
            principals: ["jump".to_owned()].into(),
            force_command: Some(COMMAND.to_owned()),
            extensions: [Extension::PortForwarding].into(),
            ..Permissions::default()
        },
        jump: Some(Jump {
            bastion: "edge".to_owned(),
            pass: 1,
        }),
        ..main_pass()
    }
}

fn pass(issued: Issued) -> EventKind {
    EventKind::Issued(Box::new(issued))
}

fn take(state: &mut LedgerState, event: &Event) -> Result<(), Rejection> {
    state.admit(event)?;
    state.apply(event);
    Ok(())
}

/// The state after pass 1.
fn world() -> LedgerState {
    let mut state = LedgerState::default();
    take(&mut state, &event(1, pass(main_pass()))).unwrap();
    state
}

fn carol() -> Actor {
    let mut who = issued().who;
    who.subject = "carol".to_owned();
    who.label = "carol@example.com".to_owned();
    who
}

fn revoked(state: &LedgerState, target: RevokeTarget) -> EventKind {
    order::tests::revoked(state, &carol(), target, OffsetDateTime::UNIX_EPOCH)
}

#[test]
fn a_jump_pass_comes_once_after_its_pass() {
    let mut state = world();
    take(&mut state, &event(2, pass(jump_pass()))).unwrap();
    let jump = state.passes().nth(1).unwrap();
    assert_eq!((jump.serial, jump.jump_of), (2, Some(1)));
    let again = take(&mut state, &event(3, pass(jump_pass()))).unwrap_err();
    assert_eq!(again.rule, Rule::Jump);
    assert!(again.detail.contains("has one already"), "{again}");
}

type Change = fn(&mut Issued);

#[test]
fn a_jump_pass_that_belongs_to_no_such_pass_is_refused() {
    let cases: [(&str, &str, Change); 10] = [
        ("of no pass", "not valid", |it| {
            it.jump.as_mut().unwrap().pass = 7;
        }),
        ("of itself", "not valid", |it| {
            it.jump.as_mut().unwrap().pass = 2;
        }),
        ("of another person", "another identity", |it| {
            it.who.subject = "mallory".to_owned();
        }),
        ("of another issuer's", "another identity", |it| {
            it.who.issuer = "https://evil.example.com".to_owned();
        }),
        ("for another key", "another identity", |it| {
            it.key = "SHA256:other".to_owned();
        }),
        ("of another role", "another identity", |it| {
            it.ask.role = "other".to_owned();
        }),
        ("that lives longer", "ends before", |it| {
            it.valid_before.0 += 1;
        }),
        ("with a terminal", "more than forward", |it| {
            it.permissions.extensions.insert(Extension::Pty);
        }),
        ("that does not forward", "more than forward", |it| {
            it.permissions.extensions.clear();
        }),
        ("with a shell", "more than forward", |it| {
            it.permissions.force_command = None
        }),
    ];
    for (case, expected, change) in cases {
        let mut jump = jump_pass();
        change(&mut jump);
        let refused = world().admit(&event(2, pass(jump))).unwrap_err();
        assert_eq!(refused.rule, Rule::Jump, "{case}");
        assert!(refused.detail.contains(expected), "{case}: {refused}");
    }
}

#[test]
fn a_jump_pass_has_no_jump_pass() {
    let mut state = world();
    take(&mut state, &event(2, pass(jump_pass()))).unwrap();
    let mut second = jump_pass();
    second.jump.as_mut().unwrap().pass = 2;
    let refused = state.admit(&event(3, pass(second))).unwrap_err();
    assert!(refused.detail.contains("jump pass itself"), "{refused}");
}

#[test]
fn revoking_a_pass_revokes_its_jump_pass_and_not_the_other_way_round() {
    for (target, expected) in [(1, vec![1, 2]), (2, vec![2])] {
        let mut state = world();
        take(&mut state, &event(2, pass(jump_pass()))).unwrap();
        let what = revoked(&state, RevokeTarget::Serial(target));
        take(&mut state, &event(3, what)).unwrap();
        let out: Vec<u64> = state.revoked().map(|pass| pass.serial).collect();
        assert_eq!(out, expected, "serial {target}");
    }
}

#[test]
fn a_revocation_that_leaves_the_jump_pass_out_is_refused() {
    let mut state = world();
    take(&mut state, &event(2, pass(jump_pass()))).unwrap();
    let EventKind::Revoked(mut half) = revoked(&state, RevokeTarget::Serial(1)) else {
        return;
    };
    half.serials = vec![1];
    let refused = state
        .admit(&event(3, EventKind::Revoked(half)))
        .unwrap_err();
    assert_eq!(refused.rule, Rule::Serials);
}

#[test]
fn after_a_revocation_or_a_lock_no_jump_pass_comes() {
    let mut state = world();
    let what = revoked(&state, RevokeTarget::Serial(1));
    take(&mut state, &event(2, what)).unwrap();
    let refused = state.admit(&event(3, pass(jump_pass()))).unwrap_err();
    assert!(refused.detail.contains("revoked"), "{refused}");

    let who = issued().who;
    for target in [
        LockTarget::Identity(who.subject),
        LockTarget::Key(issued().key),
        LockTarget::Role(issued().ask.role),
    ] {
        let mut state = world();
        take(&mut state, &event(2, pass(jump_pass()))).unwrap();
        let serials = state.lockable(&target, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(serials, [1, 2], "{target}");
        let lock = order::tests::locked(&state, &carol(), target, OffsetDateTime::UNIX_EPOCH);
        take(&mut state, &event(3, lock)).unwrap();
        let refused = state.admit(&event(4, pass(jump_pass()))).unwrap_err();
        assert_eq!(refused.rule, Rule::Locked);
    }
}

#[test]
fn an_emergencys_jump_pass_opens_no_second_review() {
    let mut state = LedgerState::default();
    let (mut main, mut jump) = (main_pass(), jump_pass());
    main.ask.emergency = true;
    jump.ask.emergency = true;
    take(&mut state, &event(1, pass(main))).unwrap();
    take(&mut state, &event(2, pass(jump))).unwrap();
    let reviews: Vec<u64> = state.requests().map(|review| review.id).collect();
    assert_eq!(reviews, [1]);
}

#[test]
fn a_jump_pass_is_within_what_was_approved() {
    let approved = |through: Option<RequestedJumpHost>| crate::ledger::event::Requested {
        who: issued().who,
        ask: main_pass().ask,
        key: issued().key,
        needed: 1,
        expires_at: UnixSeconds(600),
        permissions: Permissions::default(),
        ttl_seconds: 600,
        policy: String::new(),
        through,
    };
    let edge = RequestedJumpHost {
        bastion: "edge".to_owned(),
        principals: ["jump".to_owned()].into(),
        source_addresses: None,
    };
    let narrow = RequestedJumpHost {
        source_addresses: Some(["192.0.2.0/24".parse().unwrap()].into()),
        ..edge.clone()
    };
    let other = |bastion: &str, principal: &str| RequestedJumpHost {
        bastion: bastion.to_owned(),
        principals: [principal.to_owned()].into(),
        source_addresses: None,
    };
    let (jump, itself) = (jump_pass(), jump_pass().jump.unwrap());
    for (case, through, expected) in [
        ("as approved", Some(edge), true),
        ("approved without a bastion", None, false),
        ("another bastion", Some(other("west", "jump")), false),
        ("another login", Some(other("edge", "admin")), false),
        ("from anywhere now", Some(narrow), false),
    ] {
        let is = is_subset_of(&jump, &itself, &approved(through));
        assert_eq!(is, expected, "{case}");
    }
}
