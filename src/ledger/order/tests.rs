//! The encoding of orders, and events whose order its administrator did not sign.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

use time::OffsetDateTime;

use super::*;
use crate::ledger::{
    LedgerState,
    event::{LockTarget, Locked, RevokeTarget, Revoked, Unlocked, tests::issued},
};
use crate::unix_seconds::UnixSeconds;

/// The token of sample orders.
const TOKEN: [u8; 32] = [7; 32];

/// The administrator's key of sample orders, with this byte as its 32-byte seed.
pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// Signs `what` with the key of `seed` for `server`, after the order `after`.
pub(crate) fn signed(mut what: EventKind, server: &str, seed: u8, after: u64) -> EventKind {
    let order = what.order().unwrap();
    let message = AdminOrder {
        server,
        issuer: &order.who.issuer,
        subject: &order.who.subject,
        token: &TOKEN,
        verb: order.verb,
        target: &order.target,
        reason: order.reason.unwrap_or_default(),
        after,
    }
    .message();
    let key = key(seed);
    let signature = key
        .sign(Namespace::Admin.as_str(), HashAlg::Sha512, &message)
        .unwrap();
    let armored = signature.to_pem(LineEnding::LF).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    *proof(&mut what) = Some(Proof::new(public, &armored, &TOKEN, after));
    what
}

/// The server of sample orders.
pub(crate) const SERVER: &str = "daypass.example.com";

/// The lock that the server would record next, signed by the key of seed 1.
pub(crate) fn locked(
    state: &LedgerState,
    who: &Actor,
    target: LockTarget,
    at: OffsetDateTime,
) -> EventKind {
    let about = Target::from(&target);
    let locked = EventKind::Locked(Box::new(Locked {
        who: who.clone(),
        serials: state.lockable(&target, at),
        covers: state.covered(&about, who),
        target,
        reason: None,
        proof: None,
    }));
    signed(locked, SERVER, 1, state.after(&about))
}

/// The unlock that the server would record next, signed by the key of seed 1.
pub(crate) fn unlocked(state: &LedgerState, who: &Actor, target: LockTarget) -> EventKind {
    let about = Target::from(&target);
    let unlocked = EventKind::Unlocked(Box::new(Unlocked {
        who: who.clone(),
        target,
        reason: None,
        proof: None,
    }));
    signed(unlocked, SERVER, 1, state.after(&about))
}

/// The revocation that the server would record next, signed by the key of seed 1.
pub(crate) fn revoked(
    state: &LedgerState,
    who: &Actor,
    target: RevokeTarget,
    at: OffsetDateTime,
) -> EventKind {
    let about = Target::from(&target);
    let revoked = EventKind::Revoked(Box::new(Revoked {
        who: who.clone(),
        serials: state.revocable(&target, at),
        covers: state.covered(&about, who),
        target,
        reason: None,
        proof: None,
        restore: None,
    }));
    signed(revoked, SERVER, 1, state.after(&about))
}

/// The order's proof.
pub(crate) fn proof(what: &mut EventKind) -> &mut Option<Proof> {
    match what {
        EventKind::Locked(it) => &mut it.proof,
        EventKind::Unlocked(it) => &mut it.proof,
        EventKind::Revoked(it) => &mut it.proof,
        EventKind::LedgerKeyChanged(it) => &mut it.proof,
        EventKind::HostAdded(it) => &mut it.proof,
        EventKind::HostRemoved(it) => &mut it.proof,
        EventKind::CaKeyOrdered(it) => &mut it.proof,
        other => unreachable!("{other:?}"),
    }
}

fn lock(target: LockTarget, reason: Option<&str>) -> EventKind {
    EventKind::Locked(Box::new(Locked {
        who: issued().who,
        target,
        reason: reason.map(str::to_owned),
        serials: Vec::new(),
        covers: Vec::new(),
        proof: None,
    }))
}

fn bob() -> LockTarget {
    LockTarget::Identity("bob".to_owned())
}

fn sample<'a>(target: &'a Target) -> AdminOrder<'a> {
    AdminOrder {
        server: "a",
        issuer: "i",
        subject: "s",
        token: &TOKEN,
        verb: Verb::Lock,
        target,
        reason: "INC-1",
        after: 258,
    }
}

#[test]
fn the_encoding_is_the_documented_one() {
    let target = Target::Role("prod".to_owned());
    let expected = [
        b"\0\0\0\x10daypass-admin@v1\0\0\0\x04lock\0\0\0\x01a\0\0\0\x20".as_slice(),
        &TOKEN,
        b"\0\0\0\x01i\0\0\0\x01s\0\0\0\x04role\0\0\0\x04prod\0\0\0\x05INC-1",
        b"\0\0\0\x08\0\0\0\0\0\0\x01\x02",
    ]
    .concat();
    assert_eq!(sample(&target).message(), expected);
    let target = Target::Serial(258);
    let expected = b"\0\0\0\x06serial\0\0\0\x08\0\0\0\0\0\0\x01\x02\0\0\0\x05INC-1";
    let message = sample(&target).message();
    assert!(message.windows(expected.len()).any(|part| part == expected));
}

#[test]
fn orders_that_differ_anywhere_differ_in_bytes() {
    let identity = |name: &str| Target::Identity(name.to_owned());
    let (bob, bobw, role) = (
        identity("bob"),
        identity("bobw"),
        Target::Role("bob".into()),
    );
    let (key, serial, before) = (
        Target::Key("bob".into()),
        Target::Serial(1),
        Target::Before(UnixSeconds(1)),
    );
    let base = sample(&bob);
    let messages = [
        base.message(),
        AdminOrder {
            server: "b",
            ..base
        }
        .message(),
        AdminOrder {
            issuer: "is",
            subject: "",
            ..base
        }
        .message(),
        AdminOrder {
            subject: "t",
            ..base
        }
        .message(),
        AdminOrder {
            token: &[8; 32],
            ..base
        }
        .message(),
        AdminOrder {
            verb: Verb::Unlock,
            ..base
        }
        .message(),
        AdminOrder {
            verb: Verb::Revoke,
            ..base
        }
        .message(),
        AdminOrder {
            target: &bobw,
            reason: "NC-1",
            ..base
        }
        .message(),
        AdminOrder {
            target: &role,
            ..base
        }
        .message(),
        AdminOrder {
            target: &key,
            ..base
        }
        .message(),
        AdminOrder {
            target: &serial,
            ..base
        }
        .message(),
        AdminOrder {
            target: &before,
            ..base
        }
        .message(),
        AdminOrder { reason: "", ..base }.message(),
        AdminOrder { after: 259, ..base }.message(),
    ];
    let distinct: BTreeSet<_> = messages.iter().collect();
    assert_eq!(distinct.len(), messages.len());
}

/// Verifies the event's order at `server`.
fn check(what: &EventKind, server: &str) -> Result<(), &'static str> {
    what.order().unwrap().check(server)
}

#[test]
fn an_order_is_checked_from_its_event_alone() {
    let unlock = EventKind::Unlocked(Box::new(Unlocked {
        who: issued().who,
        target: bob(),
        reason: None,
        proof: None,
    }));
    let revoke = |target| {
        EventKind::Revoked(Box::new(Revoked {
            who: issued().who,
            target,
            reason: Some("r".to_owned()),
            serials: vec![7],
            covers: Vec::new(),
            proof: None,
            restore: None,
        }))
    };
    for what in [
        lock(bob(), Some("why")),
        lock(LockTarget::Role("prod".to_owned()), None),
        lock(LockTarget::Key("SHA256:x".to_owned()), None),
        unlock,
        revoke(RevokeTarget::Serial(7)),
        revoke(RevokeTarget::Before(LATEST)),
        revoke(RevokeTarget::Key("SHA256:x".to_owned())),
        revoke(RevokeTarget::Identity("bob".to_owned())),
    ] {
        assert!(check(&what, "a").is_err(), "unsigned {what:?}");
        let what = signed(what, "a", 1, 4);
        assert_eq!(check(&what, "a"), Ok(()), "{what:?}");
        assert!(check(&what, "b").is_err(), "another server {what:?}");
    }
}

type Change = fn(&mut Locked);

#[test]
fn an_event_that_its_administrator_did_not_sign_is_found() {
    let changes: [(&str, Change); 12] = [
        ("another target", |it| {
            it.target = LockTarget::Identity("al".into())
        }),
        ("another kind", |it| {
            it.target = LockTarget::Role("bob".into())
        }),
        ("another reason", |it| it.reason = Some("because".into())),
        ("no reason", |it| it.reason = None),
        ("another subject", |it| it.who.subject.push('x')),
        ("another issuer", |it| it.who.issuer.push('/')),
        ("another place", |it| it.proof.as_mut().unwrap().after = 5),
        ("another token", |it| {
            it.proof.as_mut().unwrap().token.replace_range(..2, "08");
        }),
        ("no token", |it| it.proof.as_mut().unwrap().token.clear()),
        ("another key", |it| {
            it.proof.as_mut().unwrap().key = key(2).public_key().to_openssh().unwrap();
        }),
        ("no signature", |it| {
            it.proof.as_mut().unwrap().signature.clear()
        }),
        ("no proof", |it| it.proof = None),
    ];
    let good = signed(lock(bob(), Some("why")), "a", 1, 4);
    assert_eq!(check(&good, "a"), Ok(()));
    for (case, change) in changes {
        let EventKind::Locked(mut changed) = good.clone() else {
            unreachable!()
        };
        change(&mut changed);
        assert!(check(&EventKind::Locked(changed), "a").is_err(), "{case}");
    }
    let EventKind::Locked(locked) = good else {
        unreachable!()
    };
    let as_unlock = EventKind::Unlocked(Box::new(Unlocked {
        who: locked.who,
        target: locked.target,
        reason: locked.reason,
        proof: locked.proof,
    }));
    assert!(check(&as_unlock, "a").is_err(), "another verb");
}
