//! The steps of CA keys, over events alone and through the judge that `ledger verify` uses.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: a panic is the failure"
)]

use time::{Duration, OffsetDateTime};

use super::*;
use crate::ledger::{
    EventKind,
    event::{
        RevokeTarget,
        tests::{ca_keys::ordered, issued},
    },
    judge::Judge,
    order::tests::{SERVER, key, proof, revoked, signed},
};

const START: OffsetDateTime = time::macros::datetime!(2026-11-30 00:00 UTC);

/// The fingerprint of the key of this seed.
fn fingerprint(seed: u8) -> String {
    key(seed).fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

fn text(seed: u8) -> String {
    key(seed).public_key().to_openssh().unwrap()
}

/// A ledger in which a server has named keys 10 (active), 11 (staged) and 12 (retired).
struct Story {
    judge: Judge,
    now: OffsetDateTime,
}

impl Story {
    fn new() -> Self {
        let mut story = Self {
            judge: Judge::default(),
            now: START,
        };
        for what in [
            EventKind::started("0.1.0", SERVER),
            EventKind::PolicyLoaded {
                policy: issued().policy,
                text: None,
            },
            EventKind::KeyActivated {
                key: fingerprint(10),
            },
            EventKind::KeyStaged {
                key: fingerprint(11),
            },
            EventKind::KeyRetired {
                key: fingerprint(12),
            },
        ] {
            story.take(what).unwrap();
        }
        story
    }

    fn state(&self) -> &LedgerState {
        self.judge.state()
    }

    /// Admits an event as the writer and `ledger verify` do, or says why not.
    fn take(&mut self, what: EventKind) -> Result<u64, String> {
        let event = Event {
            index: self.judge.size(),
            at: self.now,
            what,
        };
        let leaf = event.to_bytes().unwrap();
        self.judge.take(&leaf).map_err(|fault| fault.to_string())?;
        Ok(event.index)
    }

    fn rejects(&self, what: EventKind) -> Option<Rule> {
        let event = Event {
            index: self.judge.size(),
            at: self.now,
            what,
        };
        self.state().admit(&event).err().map(|it| it.rule)
    }

    /// The order that a server would record next.
    fn order(&self, step: CaKeyStep, seed: u8) -> CaKeyOrdered {
        let named = [
            (10, CaKeyState::Active),
            (11, CaKeyState::Staged),
            (12, CaKeyState::Retiring),
        ];
        let is_first = !self.state().ca_keys().is_ordered();
        let from = named
            .into_iter()
            .filter(|(it, _)| is_first && !(step == CaKeyStep::Stage && *it == seed));
        let from = from.map(|(seed, state)| CaKeyNamed {
            key: text(seed),
            state,
        });
        CaKeyOrdered {
            from: from.collect(),
            ..ordered(step, seed)
        }
    }

    fn sign(&self, order: CaKeyOrdered) -> EventKind {
        let after = self.state().after(&order.target());
        signed(EventKind::CaKeyOrdered(Box::new(order)), SERVER, 1, after)
    }

    fn step(&mut self, step: CaKeyStep, seed: u8) -> Result<u64, String> {
        let order = self.sign(self.order(step, seed));
        self.take(order)
    }

    fn rule(&self, step: CaKeyStep, seed: u8) -> Option<Rule> {
        self.rejects(self.sign(self.order(step, seed)))
    }

    fn states(&self) -> Vec<(u8, CaKeyState)> {
        let seeds = 10..=40;
        let state = |seed: u8| {
            let key = fingerprint(seed);
            let mut keys = self.state().ca_keys().iter();
            Some((seed, keys.find(|it| it.fingerprint == key)?.state))
        };
        seeds.filter_map(state).collect()
    }

    /// A pass by the key of this seed, valid for this time.
    fn pass(&self, seed: u8, lifetime: Duration) -> EventKind {
        let now = UnixSeconds::from(self.now);
        EventKind::Issued(Box::new(Issued {
            ca: fingerprint(seed),
            valid_after: now,
            valid_before: now.saturating_add(lifetime.unsigned_abs()),
            ..issued()
        }))
    }
}

use CaKeyState::{Active, Retired, Retiring, Staged};
use CaKeyStep::{Activate, Retire, Stage};

#[test]
fn a_rotation_goes_from_staged_to_active_to_retired() {
    let mut story = Story::new();
    story.step(Stage, 13).unwrap();
    let staged = [(10, Active), (11, Staged), (12, Retiring), (13, Staged)];
    assert_eq!(story.states(), staged);
    story.step(Activate, 13).unwrap();
    let active = [(10, Retiring), (11, Staged), (12, Retiring), (13, Active)];
    assert_eq!(story.states(), active);
    let version = story.step(Retire, 10).unwrap();
    let retired = [(10, Retired), (11, Staged), (12, Retiring), (13, Active)];
    assert_eq!(story.states(), retired);
    assert_eq!(story.state().ca_keys().version(), version);
}

#[test]
fn each_step_that_is_not_the_next_one_is_refused() {
    let mut story = Story::new();
    story.step(Stage, 13).unwrap();
    story.step(Activate, 11).unwrap();
    story.step(Retire, 12).unwrap();
    // 10 retiring, 11 active, 12 retired, 13 staged, 14 unknown.
    let state = Some(Rule::CaKeyState);
    for (seed, stage, activate, retire) in [
        (10, state, None, None),
        (11, state, state, state),
        (12, state, state, state),
        (13, state, None, None),
        (14, None, state, state),
    ] {
        assert_eq!(story.rule(Stage, seed), stage, "stage {seed}");
        assert_eq!(story.rule(Activate, seed), activate, "activate {seed}");
        assert_eq!(story.rule(Retire, seed), retire, "retire {seed}");
    }
    // The way back: the key that signed before signs again.
    story.step(Activate, 10).unwrap();
    assert_eq!(
        story.states(),
        [(10, Active), (11, Retiring), (12, Retired), (13, Staged)]
    );
}

#[test]
fn the_first_order_names_the_keys_as_the_ledger_has_them() {
    let story = Story::new();
    let good = story.order(Activate, 11);
    assert_eq!(story.rejects(story.sign(good.clone())), None);
    let changed = |change: &dyn Fn(&mut Vec<CaKeyNamed>)| {
        let mut order = good.clone();
        change(&mut order.from);
        story.rejects(story.sign(order))
    };
    let state = Some(Rule::CaKeyState);
    assert_eq!(changed(&|from| from.clear()), state, "none");
    assert_eq!(changed(&|from| drop(from.pop())), state, "one is missing");
    assert_eq!(changed(&|from| from.push(from[0].clone())), state, "twice");
    assert_eq!(
        changed(&|from| from[0].state = Staged),
        state,
        "another state"
    );
    assert_eq!(
        changed(&|from| from[1].state = Active),
        state,
        "two are active"
    );
    assert_eq!(
        changed(&|from| from[0].key = text(30)),
        state,
        "another key"
    );
    let malformed = Some(Rule::CaKeyOrder);
    assert_eq!(
        changed(&|from| from[0].key.push(' ')),
        malformed,
        "its text"
    );

    let mut story = story;
    story.step(Activate, 11).unwrap();
    let mut second = story.order(Stage, 13);
    second.from = good.from;
    assert_eq!(
        story.rejects(story.sign(second)),
        malformed,
        "not the first"
    );
}

#[test]
fn a_malformed_order_is_refused() {
    let mut story = Story::new();
    story.step(Stage, 13).unwrap();
    let refused = |order: CaKeyOrdered| story.rejects(story.sign(order));
    let base = story.order(Activate, 13);
    let anyway = CaKeyOrdered {
        anyway: true,
        reason: Some("INC-1".to_owned()),
        ..base.clone()
    };
    let behind = |count: usize| (0..count).map(|n| format!("web-{n}")).collect();
    assert_eq!(refused(anyway.clone()), None);
    assert_eq!(
        refused(CaKeyOrdered {
            behind: behind(32),
            ..anyway.clone()
        }),
        None
    );
    for (case, order) in [
        (
            "without a reason",
            CaKeyOrdered {
                reason: None,
                ..anyway.clone()
            },
        ),
        (
            "nothing to wait for",
            CaKeyOrdered {
                anyway: true,
                reason: Some("INC-1".to_owned()),
                ..story.order(Stage, 14)
            },
        ),
        (
            "it waits, and names hosts",
            CaKeyOrdered {
                behind: behind(1),
                ..base.clone()
            },
        ),
        (
            "too many hosts",
            CaKeyOrdered {
                behind: behind(33),
                ..anyway
            },
        ),
        (
            "a comment",
            CaKeyOrdered {
                key: format!("{} comment", text(13)),
                ..base.clone()
            },
        ),
        (
            "no key",
            CaKeyOrdered {
                key: "SHA256:abc".to_owned(),
                ..base
            },
        ),
    ] {
        assert_eq!(refused(order), Some(Rule::CaKeyOrder), "{case}");
    }
}

#[test]
fn of_two_orders_at_once_one_counts_and_no_order_counts_twice() {
    let mut story = Story::new();
    story.step(Stage, 13).unwrap();
    let (one, other) = (
        story.sign(story.order(Activate, 13)),
        story.sign(story.order(Activate, 11)),
    );
    story.take(one.clone()).unwrap();
    assert_eq!(story.rejects(other), Some(Rule::Stale));
    assert_eq!(story.rejects(one.clone()), Some(Rule::Stale));
    // Replayed after the way back, it does not count either.
    story.step(Activate, 10).unwrap();
    assert_eq!(story.rejects(one), Some(Rule::Stale));
}

#[test]
fn an_order_that_its_administrator_did_not_sign_is_found() {
    let story = Story::new();
    let good = story.sign(story.order(Stage, 13));
    let judged = |change: &dyn Fn(&mut CaKeyOrdered)| {
        let EventKind::CaKeyOrdered(mut order) = good.clone() else {
            panic!("{good:?}");
        };
        change(&mut order);
        let what = EventKind::CaKeyOrdered(order);
        Story::new().take(what)
    };
    assert!(judged(&|_| ()).is_ok());
    for (case, change) in [
        (
            "another key",
            &(|it: &mut CaKeyOrdered| it.key = text(14)) as &dyn Fn(&mut _),
        ),
        ("another step", &|it: &mut CaKeyOrdered| it.step = Activate),
        ("another reason", &|it: &mut CaKeyOrdered| {
            it.reason = Some("x".to_owned())
        }),
        ("unsigned", &|it: &mut CaKeyOrdered| it.proof = None),
    ] {
        assert!(judged(change).is_err(), "{case}");
    }
    let mut anyway = story.order(Activate, 11);
    anyway.reason = Some("INC-1".to_owned());
    let mut event = story.sign(anyway);
    let signature = proof(&mut event).clone();
    let EventKind::CaKeyOrdered(order) = &mut event else {
        panic!("{event:?}");
    };
    (order.anyway, order.proof) = (true, signature);
    assert!(Story::new().take(event).is_err(), "anyway was not signed");
}

#[test]
fn a_pass_by_a_key_that_does_not_sign_is_found_and_none_is_before_the_first_order() {
    let mut story = Story::new();
    let hour = Duration::HOUR;
    // Before the first order the configuration of each server decides.
    story.take(story.pass(11, hour)).unwrap();
    story.step(Stage, 13).unwrap();
    story.take(story.pass(10, hour)).unwrap();
    let changed = Some(Rule::CaKeyChanged);
    for seed in [11, 12, 13, 14] {
        assert_eq!(story.rejects(story.pass(seed, hour)), changed, "{seed}");
    }
    story.step(Activate, 13).unwrap();
    assert_eq!(story.rejects(story.pass(10, hour)), changed);
    let said = story.take(story.pass(10, hour)).unwrap_err();
    assert!(said.contains("another CA key signs"), "{said}");
    story.take(story.pass(13, hour)).unwrap();
    // A server of an earlier version, or one that started at the same moment.
    for what in [
        EventKind::KeyActivated {
            key: fingerprint(10),
        },
        EventKind::KeyStaged {
            key: fingerprint(10),
        },
        EventKind::KeyRetired {
            key: fingerprint(13),
        },
    ] {
        assert_eq!(story.rejects(what), Some(Rule::CaKeyState));
    }
}

#[test]
fn a_key_is_retired_when_its_last_pass_has_expired_or_is_revoked() {
    let mut story = Story::new();
    story.take(story.pass(10, Duration::HOUR)).unwrap();
    story.step(Activate, 11).unwrap();
    assert_eq!(story.rule(Retire, 10), Some(Rule::CaKeyInUse));
    let anyway = CaKeyOrdered {
        anyway: true,
        reason: Some("the key leaked".to_owned()),
        ..story.order(Retire, 10)
    };
    assert_eq!(story.rejects(story.sign(anyway)), None);
    story.now += Duration::HOUR - Duration::SECOND;
    assert_eq!(story.rule(Retire, 10), Some(Rule::CaKeyInUse));
    story.now += Duration::SECOND;
    assert_eq!(story.rule(Retire, 10), None);

    story.now -= Duration::SECOND;
    let target = RevokeTarget::Before(UnixSeconds::from(story.now));
    let what = revoked(story.state(), &issued().who, target, story.now);
    story.take(what).unwrap();
    story.step(Retire, 10).unwrap();
}

#[test]
fn a_flood_of_keys_is_refused_and_retired_ones_are_forgotten_first() {
    let mut story = Story::new();
    for seed in 13..=25 {
        story.step(Stage, seed).unwrap();
    }
    assert_eq!(story.rule(Stage, 26), Some(Rule::CaKeyState), "17 keys");
    for seed in 13..=25 {
        story.step(Retire, seed).unwrap();
    }
    for round in 0..6 {
        for seed in 100 + round * 10..110 + round * 10 {
            story.step(Stage, seed).unwrap();
            story.step(Retire, seed).unwrap();
        }
    }
    let keys: Vec<_> = story.state().ca_keys().iter().collect();
    assert_eq!(keys.len(), 64 + 3);
    let is_retired = |it: &&&CaKeyRecord| it.state == Retired;
    assert_eq!(keys.iter().filter(is_retired).count(), 64);
}
