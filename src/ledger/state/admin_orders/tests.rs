//! Locks that follow a person's names, and orders that count once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: a panic is the failure"
)]

use crate::ssh::permissions::Permissions;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use time::Duration;

use super::*;
use crate::ledger::{
    EventKind,
    emergency::{Proof, Signature},
    event::{Issued, RequestDecision, RequestDetails, Requested, tests::issued},
    order::tests::{self as order, proof},
};
use crate::unix_seconds::UnixSeconds;

const MAIL: &str = "bob@example.com";

fn who(issuer: &str, subject: &str, label: &str) -> Actor {
    Actor {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        label: label.to_owned(),
        claims: serde_json::Value::Null.into(),
    }
}

fn carol() -> Actor {
    who("i", "carol", "carol@example.com")
}

/// Bob with the claim that names his mail, and without it.
fn bob() -> [Actor; 2] {
    [who("i", "u-1", MAIL), who("i", "u-1", "u-1")]
}

fn name(name: &str) -> LockTarget {
    LockTarget::Identity(name.to_owned())
}

/// A ledger that grows by one event a second.
#[derive(Default)]
struct Story {
    state: LedgerState,
    next: u64,
}

impl Story {
    fn at(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(i64::try_from(self.next).unwrap())
    }

    fn event(&self, what: EventKind) -> Event {
        let (index, at) = (self.next, self.at());
        Event { index, at, what }
    }

    fn take(&mut self, what: EventKind) -> Result<u64, Rule> {
        let event = self.event(what);
        self.state.admit(&event).map_err(|it| it.rule)?;
        self.state.apply(&event);
        self.next += 1;
        Ok(event.index)
    }

    fn pass(&mut self, who: &Actor) -> Result<u64, Rule> {
        let issued = Issued {
            who: who.clone(),
            valid_before: UnixSeconds(self.next + 1_000_000),
            ..issued()
        };
        self.take(EventKind::Issued(Box::new(issued)))
    }

    /// Records an ask that the policy denies.
    fn denied(&mut self, who: &Actor) {
        let denied = EventKind::Denied {
            who: who.clone(),
            ask: RequestDetails::default(),
            key: None,
            reason: String::new(),
            detail: String::new(),
            policy: String::new(),
            cut: false,
            unbound: false,
            by: None,
        };
        self.take(denied).unwrap();
    }

    fn lock(&mut self, target: LockTarget) -> Result<u64, Rule> {
        let what = order::locked(&self.state, &carol(), target, self.at());
        self.take(what)
    }

    fn unlock(&mut self, target: LockTarget) -> Result<u64, Rule> {
        let what = order::unlocked(&self.state, &carol(), target);
        self.take(what)
    }

    fn revoked(&self) -> Vec<u64> {
        self.state.revoked().map(|pass| pass.serial).collect()
    }
}

#[test]
fn a_lock_by_label_is_on_the_person_who_comes_back_without_it() {
    let mut story = Story::default();
    let [with, without] = bob();
    let named = story.pass(&with).unwrap();
    let bare = story.pass(&without).unwrap();
    let others = story.pass(&who("i", "u-2", "bobby@example.com")).unwrap();
    story.lock(name(MAIL)).unwrap();
    assert_eq!(
        story.revoked(),
        [named, bare],
        "both of his, and not {others}"
    );
    let covers = story.state.locks().next().unwrap().covers;
    assert_eq!(covers.len(), 1);
    assert_eq!((&*covers[0].issuer, &*covers[0].subject), ("i", "u-1"));
    for (case, who, is_locked) in [
        ("with the mail", with, true),
        ("without it", without, true),
        ("with another one", who("i", "u-1", "new@example.com"), true),
        ("the mail at another issuer", who("j", "u-9", MAIL), true),
        (
            "his subject at another issuer",
            who("j", "u-1", "u-1"),
            false,
        ),
        (
            "a similar name",
            who("i", "u-2", "bobby@example.com"),
            false,
        ),
        (
            "the same in capitals",
            who("i", "u-3", "BOB@example.com"),
            false,
        ),
    ] {
        let refused = story.pass(&who).err();
        assert_eq!(refused, is_locked.then_some(Rule::Locked), "{case}");
    }
    story.unlock(name(MAIL)).unwrap();
    for who in bob() {
        story
            .pass(&who)
            .expect("an unlock gives back all that the lock covered");
    }
}

#[test]
fn an_unlock_by_another_name_says_which_lock_it_is() {
    let mut story = Story::default();
    story.pass(&bob()[0]).unwrap();
    story.lock(name(MAIL)).unwrap();
    for (by, expected) in [
        (
            "u-1",
            "identity u-1 is not locked by that name, but identity bob@example.com is and covers it: unlock that one",
        ),
        (
            "eve",
            "identity eve is not locked; `daypass admin locks` lists the locks",
        ),
    ] {
        let unlock = story.event(order::unlocked(&story.state, &carol(), name(by)));
        let refused = story.state.admit(&unlock).unwrap_err();
        assert_eq!(
            (refused.rule, &*refused.detail),
            (Rule::NoSuchLock, expected)
        );
    }
}

#[test]
fn a_lock_reaches_one_who_turns_out_to_have_its_name() {
    let mut story = Story::default();
    let [with, without] = bob();
    story.lock(name(MAIL)).unwrap();
    let pass = story
        .pass(&without)
        .expect("until then nothing says that it is bob");
    assert!(story.revoked().is_empty());
    assert_eq!(story.pass(&with), Err(Rule::Locked));
    let version = story.state.revocation_version();
    // The store records that refusal.
    story.denied(&with);
    assert_eq!(story.revoked(), [pass]);
    assert!(story.state.revocation_version() > version);
    assert_eq!(story.pass(&without), Err(Rule::Locked));
}

#[test]
fn a_revocation_by_label_reaches_the_passes_without_it() {
    let mut story = Story::default();
    let [with, without] = bob();
    let bare = story.pass(&without).unwrap();
    let named = story.pass(&with).unwrap();
    let target = RevokeTarget::Identity(MAIL.to_owned());
    let revoked = order::revoked(&story.state, &carol(), target, story.at());
    story.take(revoked).unwrap();
    assert_eq!(story.revoked(), [bare, named]);
}

#[test]
fn an_administrator_under_another_spelling_is_locked_too() {
    let mut story = Story::default();
    story.pass(&carol()).unwrap();
    story.lock(name("carol@example.com")).unwrap();
    let bare = who("i", "carol", "carol");
    for target in [name("carol@example.com"), name("eve")] {
        let what = order::unlocked(&story.state, &bare, target);
        assert_eq!(story.take(what), Err(Rule::Locked));
    }
    let what = order::locked(&story.state, &bare, name("eve"), story.at());
    assert_eq!(story.take(what), Err(Rule::Locked));
    let target = RevokeTarget::Before(UnixSeconds(1));
    let what = order::revoked(&story.state, &bare, target, story.at());
    assert_eq!(story.take(what), Err(Rule::Locked));
}

#[test]
fn an_approver_under_another_spelling_counts_for_nothing() {
    let [with, without] = bob();
    let decided = |request| {
        EventKind::Approved(Box::new(RequestDecision {
            request,
            role: String::new(),
            who: without.clone(),
            key: String::new(),
            signature: String::new(),
            comment: String::new(),
            policy: String::new(),
            presence: None,
        }))
    };
    let open = |story: &mut Story| {
        let requested = Requested {
            who: carol(),
            ask: issued().ask,
            key: issued().key,
            needed: 1,
            expires_at: UnixSeconds(u64::MAX),
            permissions: Permissions {
                principals: issued().permissions.principals,
                ..Permissions::default()
            },
            ttl_seconds: 2_000_000,
            policy: String::new(),
            through: None,
        };
        story
            .take(EventKind::Requested(Box::new(requested)))
            .unwrap()
    };
    let redeem = |story: &mut Story, request| {
        let mut pass = issued();
        pass.who = carol();
        pass.ask.request = Some(request);
        (pass.valid_after, pass.valid_before) =
            (UnixSeconds(story.next), UnixSeconds(story.next + 600));
        story.take(EventKind::Issued(Box::new(pass)))
    };
    let mut story = Story::default();
    story.pass(&with).unwrap();
    let approved = open(&mut story);
    story.take(decided(approved)).unwrap();
    let mut free = story.state.clone();
    redeem(&mut story, approved).unwrap();
    std::mem::swap(&mut story.state, &mut free);
    story.lock(name(MAIL)).unwrap();
    assert_eq!(
        redeem(&mut story, approved),
        Err(Rule::Locked),
        "approved before the lock"
    );
    let late = open(&mut story);
    assert_eq!(
        story.take(decided(late)),
        Err(Rule::Locked),
        "approves after it"
    );
}

#[test]
fn an_emergencys_signer_under_another_spelling_is_locked_too() {
    let [with, without] = bob();
    let emergency = |story: &Story, challenge: &str| {
        let signature = |who: Actor| Signature {
            who,
            key: String::new(),
            signature: String::new(),
        };
        let mut pass = issued();
        pass.who = who("i", "u-2", "u-2");
        pass.ask.emergency = true;
        pass.valid_before = UnixSeconds(story.next + 600);
        pass.emergency_proof = Some(Box::new(Proof {
            challenge: challenge.to_owned(),
            message: String::new(),
            signatures: vec![signature(pass.who.clone()), signature(without.clone())],
        }));
        EventKind::Issued(Box::new(pass))
    };
    let mut story = Story::default();
    story.pass(&with).unwrap();
    let seconded = emergency(&story, "one");
    let seconded = story.take(seconded).unwrap();
    story.lock(name(MAIL)).unwrap();
    assert!(story.revoked().contains(&seconded), "he signed for it");
    let again = emergency(&story, "two");
    assert_eq!(story.take(again), Err(Rule::Locked));
}

#[test]
fn an_order_counts_once_and_never_after_a_newer_one() {
    let mut story = Story::default();
    let first = order::locked(&story.state, &carol(), name(MAIL), story.at());
    let held_back = order::locked(&story.state, &carol(), name(MAIL), story.at());
    story.take(first.clone()).unwrap();
    let unlock = order::unlocked(&story.state, &carol(), name(MAIL));
    for (case, replayed) in [
        ("the lock again", &first),
        ("one that was held back", &held_back),
    ] {
        assert_eq!(story.take(replayed.clone()), Err(Rule::Stale), "{case}");
    }
    story.take(unlock.clone()).unwrap();
    assert_eq!(
        story.take(unlock.clone()),
        Err(Rule::Stale),
        "the unlock again"
    );
    assert_eq!(
        story.take(first),
        Err(Rule::Stale),
        "the lock after its unlock"
    );
    story.lock(name(MAIL)).unwrap();
    assert_eq!(
        story.take(unlock),
        Err(Rule::Stale),
        "the unlock after a new lock"
    );
    assert_eq!(story.pass(&bob()[0]), Err(Rule::Locked));
    story
        .lock(name("eve"))
        .expect("another target has its own order");
}

#[test]
fn of_orders_about_all_before_a_time_the_newest_counts_for_any_time() {
    let mut story = Story::default();
    let at = story.at();
    let all = |time| RevokeTarget::Before(time);
    let held_back = order::revoked(&story.state, &carol(), all(LATEST), at);
    let newer = order::revoked(&story.state, &carol(), all(UnixSeconds(1)), at);
    story.take(newer).unwrap();
    story.pass(&bob()[0]).unwrap();
    assert_eq!(story.take(held_back), Err(Rule::Stale));
    assert!(story.revoked().is_empty());
}

#[test]
fn two_administrators_at_once_do_not_overtake_each_other() {
    let mut story = Story::default();
    let erin = who("i", "erin", "erin@example.com");
    let by = |story: &Story, who: &Actor| order::locked(&story.state, who, name(MAIL), story.at());
    let (one, other) = (by(&story, &carol()), by(&story, &erin));
    story.take(one).unwrap();
    assert_eq!(story.take(other), Err(Rule::Stale));
    story.take(by(&story, &erin)).unwrap();
}

#[test]
fn an_order_that_does_not_say_whom_it_covers_is_not_admitted() {
    let mut story = Story::default();
    let [with, _] = bob();
    story.pass(&with).unwrap();
    let good = order::locked(&story.state, &carol(), name(MAIL), story.at());
    let none = |covers: &mut Vec<Covered>| covers.clear();
    let another = |covers: &mut Vec<Covered>| covers[0].subject.push('x');
    let twice = |covers: &mut Vec<Covered>| covers.push(covers[0].clone());
    let label = |covers: &mut Vec<Covered>| covers[0].label.push('x');
    let changes: [fn(&mut Vec<Covered>); 4] = [none, another, twice, label];
    for change in changes {
        let EventKind::Locked(mut locked) = good.clone() else {
            panic!()
        };
        change(&mut locked.covers);
        let covers = locked.covers.clone();
        assert_eq!(
            story.take(EventKind::Locked(locked)),
            Err(Rule::Covers),
            "{covers:?}"
        );
    }
    let mut unsigned = good.clone();
    *proof(&mut unsigned) = None;
    assert_eq!(story.take(unsigned), Err(Rule::Unsigned));
    story.take(good).unwrap();
}

#[test]
fn no_order_names_a_time_that_no_calendar_has() {
    let mut story = Story::default();
    for (time, expected) in [
        (0, None),
        (LATEST.get(), None),
        (LATEST.get() + 1, Some(Rule::Time)),
        (i64::MAX as u64, Some(Rule::Time)),
        (i64::MAX as u64 + 1, Some(Rule::Time)),
        (u64::MAX, Some(Rule::Time)),
    ] {
        let target = RevokeTarget::Before(UnixSeconds(time));
        let what = order::revoked(&story.state, &carol(), target, story.at());
        assert_eq!(story.take(what).err(), expected, "{time}");
    }
}

#[test]
fn a_preview_says_what_an_order_would_meet() {
    let mut story = Story::default();
    let [with, without] = bob();
    story.pass(&with).unwrap();
    story.pass(&without).unwrap();
    let look = |story: &Story, who: &Actor, target: &str| {
        let target = Target::Identity(target.to_owned());
        story.state.preview(&target, who, story.at())
    };
    let preview = look(&story, &carol(), MAIL);
    assert_eq!(
        (preview.passes, preview.covers_caller, preview.after),
        (2, false, 0)
    );
    assert_eq!((preview.covers.len(), preview.lock), (1, None));
    assert!(
        look(&story, &without, MAIL).covers_caller,
        "he, under another name"
    );
    let own = look(&story, &carol(), "carol");
    assert!(
        own.covers_caller && own.covers.len() == 1,
        "who is not in the ledger yet"
    );
    assert_eq!(look(&story, &carol(), "bbo@example.com").near, [MAIL]);
    let index = story.lock(name(MAIL)).unwrap();
    let preview = look(&story, &carol(), MAIL);
    assert_eq!(preview.lock.map(|lock| lock.index), Some(index));
    assert_eq!((preview.passes, preview.after), (0, index + 1));
}

/// Names of the property test: few, so that they collide.
const NAMES: [&str; 4] = ["a", "b", "a@x", "b@x"];

#[derive(Clone, Debug)]
enum Step {
    PassRecord(Actor),
    Denied(Actor),
    Lock(&'static str),
    Unlock(&'static str),
    Revoke(&'static str),
    /// Replays an earlier order.
    Replay(prop::sample::Index),
}

fn anyone() -> impl Strategy<Value = Actor> {
    let part = |of: [&'static str; 2]| prop::sample::select(of.to_vec());
    let label = prop::sample::select(NAMES.to_vec());
    (part(["i", "j"]), part(["a", "b"]), label)
        .prop_map(|(issuer, subject, label)| who(issuer, subject, label))
}

fn step() -> impl Strategy<Value = Step> {
    let any_name = || prop::sample::select(NAMES.to_vec());
    prop_oneof![
        3 => anyone().prop_map(Step::PassRecord),
        1 => anyone().prop_map(Step::Denied),
        2 => any_name().prop_map(Step::Lock),
        1 => any_name().prop_map(Step::Unlock),
        1 => any_name().prop_map(Step::Revoke),
        2 => any::<prop::sample::Index>().prop_map(Step::Replay),
    ]
}

/// The expected state, in its simplest form.
#[derive(Default)]
struct Model {
    names: BTreeMap<(String, String), BTreeSet<String>>,
    locked: BTreeSet<&'static str>,
    passes: BTreeMap<u64, (String, String)>,
    must_be_revoked: BTreeSet<u64>,
}

impl Model {
    fn id(who: &Actor) -> (String, String) {
        (who.issuer.clone(), who.subject.clone())
    }

    fn names_of(&self, who: &Actor) -> BTreeSet<String> {
        let seen = self.names.get(&Self::id(who)).cloned().unwrap_or_default();
        let own = [who.subject.clone(), who.label.clone()];
        seen.into_iter().chain(own).collect()
    }

    fn is_locked(&self, who: &Actor) -> bool {
        self.names_of(who)
            .iter()
            .any(|name| self.locked.contains(name.as_str()))
    }

    fn see(&mut self, who: &Actor) {
        let names = self.names_of(who);
        self.names.insert(Self::id(who), names);
        if self.is_locked(who) {
            self.revoke_of(&Self::id(who));
        }
    }

    fn revoke_of(&mut self, id: &(String, String)) {
        let theirs = self.passes.iter().filter(|(_, owner)| *owner == id);
        self.must_be_revoked
            .extend(theirs.map(|(serial, _)| *serial));
    }

    fn revoke_called(&mut self, name: &str) {
        let called = self.names.iter().filter(|(_, names)| names.contains(name));
        let called: Vec<_> = called.map(|(id, _)| id.clone()).collect();
        called.iter().for_each(|id| self.revoke_of(id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn locks_hold_and_no_order_applies_twice(steps in prop::collection::vec(step(), 1..32)) {
        let (mut story, mut model) = (Story::default(), Model::default());
        let mut orders: Vec<EventKind> = Vec::new();
        // The administrator is not one of the names.
        model.see(&carol());
        for step in steps {
            match step {
                Step::PassRecord(who) => match story.pass(&who) {
                    Ok(serial) => {
                        prop_assert!(!model.is_locked(&who), "{who:?} is locked and has {serial}");
                        model.see(&who);
                        model.passes.insert(serial, Model::id(&who));
                    }
                    Err(rule) => {
                        prop_assert_eq!(rule, Rule::Locked);
                        prop_assert!(model.is_locked(&who), "{who:?} is not locked and was refused");
                    }
                },
                Step::Denied(who) => {
                    story.denied(&who);
                    model.see(&who);
                }
                Step::Lock(target) => {
                    let what = order::locked(&story.state, &carol(), name(target), story.at());
                    story.take(what.clone()).unwrap();
                    orders.push(what);
                    model.locked.insert(target);
                    model.revoke_called(target);
                }
                Step::Unlock(target) => {
                    let what = order::unlocked(&story.state, &carol(), name(target));
                    let expected = model.locked.remove(target);
                    prop_assert_eq!(story.take(what.clone()).is_ok(), expected);
                    if expected {
                        orders.push(what);
                    }
                }
                Step::Revoke(target) => {
                    let to = RevokeTarget::Identity(target.to_owned());
                    let what = order::revoked(&story.state, &carol(), to, story.at());
                    story.take(what.clone()).unwrap();
                    orders.push(what);
                    model.revoke_called(target);
                }
                Step::Replay(index) => {
                    if !orders.is_empty() {
                        let what = index.get(&orders).clone();
                        prop_assert_eq!(story.take(what), Err(Rule::Stale));
                    }
                }
            }
            let revoked: BTreeSet<u64> = story.revoked().into_iter().collect();
            prop_assert_eq!(&revoked, &model.must_be_revoked);
        }
    }
}
