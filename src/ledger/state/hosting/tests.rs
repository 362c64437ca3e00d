//! Rules of known hosts, over events alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: a panic is the failure"
)]

use time::{Duration, OffsetDateTime};

use crate::{
    ledger::{
        Event, EventKind, LedgerState,
        event::{
            ForeignLogin, HostBehind, HostCertified, HostJoined, RevokeTarget, Target,
            tests::hosts::{CODE, added, certified, digest, foreign, joined, removed},
        },
        judge::Judge,
        order::tests::SERVER,
        snapshot::Snapshot,
        state::Rule,
        tree::{Frontier, leaf_hash},
    },
    unix_seconds::UnixSeconds,
};

const CODES: [&str; 3] = [CODE, "0000-0000-0000-0002", "0000-0000-0000-0003"];
const START: OffsetDateTime = time::macros::datetime!(2026-11-30 00:00 UTC);

/// A ledger whose time a test moves, through the judge that `ledger verify` uses.
struct Story {
    judge: Judge,
    head: Frontier,
    now: OffsetDateTime,
}

impl Story {
    fn new() -> Self {
        let mut story = Self {
            judge: Judge::default(),
            head: Frontier::default(),
            now: START,
        };
        story.take(EventKind::started("0.1.0", SERVER)).unwrap();
        story
    }

    fn state(&self) -> &LedgerState {
        self.judge.state()
    }

    fn seconds(&self) -> UnixSeconds {
        self.now.into()
    }

    fn event(&self, what: EventKind) -> Event {
        let (index, at) = (self.judge.size(), self.now);
        Event { index, at, what }
    }

    /// Takes the event as the writer does, and checks its form and signatures as `verify` does.
    fn take(&mut self, what: EventKind) -> Result<u64, Rule> {
        let event = self.event(what);
        self.state().admit(&event).map_err(|it| it.rule)?;
        let leaf = event.to_bytes().unwrap();
        self.head.push(leaf_hash(&leaf));
        self.judge.take(&leaf).unwrap();
        Ok(event.index)
    }

    /// The fault that `ledger verify` finds in an event that was written past the rules.
    fn fault(&self, what: EventKind) -> String {
        let leaf = self.event(what).to_bytes().unwrap();
        self.judge.clone().take(&leaf).unwrap_err().to_string()
    }

    fn after(&self, host: &str) -> u64 {
        self.state().after(&Target::Host(host.to_owned()))
    }

    fn add(&mut self, host: &str, code: &str, rekey: bool) -> Result<u64, Rule> {
        let until = self
            .seconds()
            .saturating_add(std::time::Duration::from_secs(3600));
        let order = added(host, code, until, rekey, self.after(host));
        self.take(order)
    }

    fn join(&mut self, host: &str, code: &str, seed: u8) -> Result<u64, Rule> {
        self.take(EventKind::HostJoined(Box::new(joined(host, code, seed))))
    }

    fn certify(&mut self, host: &str, seed: u8) -> Result<u64, Rule> {
        let from = self.seconds().get();
        self.take(EventKind::HostCertified(Box::new(certified(
            host, seed, from,
        ))))
    }

    fn remove(&mut self, host: &str) -> u64 {
        let order = removed(host, self.after(host));
        self.take(order).unwrap()
    }

    /// The serials that users refuse, and the version of that list.
    fn revoked(&self) -> (Vec<u64>, u64) {
        let serials = self.state().revoked_host_certificates();
        let serials = serials.map(|(serial, _)| serial).collect();
        (serials, self.state().host_revocation_version().0)
    }

    fn behind(&mut self, host: &str) -> Result<u64, Rule> {
        self.take(EventKind::HostBehind(Box::new(HostBehind {
            host: host.to_owned(),
            why: vec!["x".to_owned()],
        })))
    }

    fn current(&mut self, host: &str) -> Result<u64, Rule> {
        let host = host.to_owned();
        self.take(EventKind::HostCurrent { host })
    }
}

#[test]
fn a_code_opens_one_join_until_it_expires() {
    let mut story = Story::new();
    assert_eq!(
        story.join("web-1", CODES[0], 3),
        Err(Rule::HostCode),
        "before the order"
    );
    story.add("web-1", CODES[0], false).unwrap();
    assert_eq!(
        story.join("web-1", CODES[1], 3),
        Err(Rule::HostCode),
        "a guess"
    );
    assert_eq!(
        story.join("web-2", CODES[0], 3),
        Err(Rule::HostOrder),
        "another host"
    );
    story.now += Duration::seconds(3599);
    let mut late = Story {
        judge: story.judge.clone(),
        head: story.head.clone(),
        now: story.now + Duration::SECOND,
    };
    assert_eq!(
        late.join("web-1", CODES[0], 3),
        Err(Rule::HostCode),
        "expired"
    );
    story.join("web-1", CODES[0], 3).unwrap();
    assert_eq!(story.join("web-1", CODES[0], 4), Err(Rule::HostCodeUsed));
    assert_eq!(
        story.join("web-1", CODES[0], 3),
        Err(Rule::HostCodeUsed),
        "one event"
    );
    story.now += Duration::SECOND;
    assert_eq!(
        story.join("web-1", CODES[0], 4),
        Err(Rule::HostCode),
        "used and expired"
    );
    assert_eq!(
        story.add("web-2", CODES[0], false),
        Err(Rule::HostOrder),
        "an old code"
    );
}

#[test]
fn keys_belong_to_one_host_and_change_by_order_alone() {
    let mut story = Story::new();
    story.add("web-1", CODES[0], false).unwrap();
    story.join("web-1", CODES[0], 3).unwrap();
    story.add("web-2", CODES[1], false).unwrap();
    assert_eq!(
        story.join("web-2", CODES[1], 3),
        Err(Rule::HostKeys),
        "a clone"
    );
    assert_eq!(story.add("web-1", CODES[2], false), Err(Rule::HostKnown));
    story.certify("web-1", 3).unwrap();
    assert_eq!(story.certify("web-1", 4), Err(Rule::HostKeyChanged));
    story.add("web-1", CODES[2], true).unwrap();
    story.certify("web-1", 3).unwrap();
    story.join("web-1", CODES[2], 4).unwrap();
    assert_eq!(
        story.certify("web-1", 3),
        Err(Rule::HostKeyChanged),
        "the old key"
    );
    story.certify("web-1", 4).unwrap();
    // The old key is free again.
    story.join("web-2", CODES[1], 3).unwrap();
    let (order, index) = (removed("web-2", story.after("web-2")), story.judge.size());
    assert_eq!(story.take(order.clone()), Ok(index));
    assert_eq!(story.take(order), Err(Rule::Stale), "a replay");
    assert_eq!(story.certify("web-2", 3), Err(Rule::NoSuchHost));
    assert!(story.state().host_of_code(&digest(CODES[1])).is_none());
}

#[test]
fn a_certificate_has_the_names_of_its_host_and_at_most_90_days() {
    let mut story = Story::new();
    story.add("web-1", CODES[0], false).unwrap();
    let good = certified("web-1", 3, story.seconds().get());
    let take =
        |story: &mut Story, it: HostCertified| story.take(EventKind::HostCertified(Box::new(it)));
    assert_eq!(
        take(&mut story, good.clone()),
        Err(Rule::HostCertificate),
        "not joined"
    );
    story.join("web-1", CODES[0], 3).unwrap();
    for (case, wrong) in [
        (
            "no names",
            HostCertified {
                principals: [].into(),
                ..good.clone()
            },
        ),
        (
            "one more",
            HostCertified {
                principals: ["web-1".to_owned(), "web-2".to_owned()].into(),
                ..good.clone()
            },
        ),
        (
            "a pattern",
            HostCertified {
                principals: ["*".to_owned()].into(),
                ..good.clone()
            },
        ),
        (
            "a key id",
            HostCertified {
                key_id: "host/web-2".to_owned(),
                ..good.clone()
            },
        ),
        (
            "91 days",
            HostCertified {
                valid_before: UnixSeconds(good.valid_after.get() + 91 * 86_400),
                ..good.clone()
            },
        ),
        (
            "for ever",
            HostCertified {
                valid_before: UnixSeconds(u64::MAX),
                ..good.clone()
            },
        ),
        (
            "no time",
            HostCertified {
                valid_before: good.valid_after,
                ..good.clone()
            },
        ),
    ] {
        assert_eq!(
            take(&mut story, wrong),
            Err(Rule::HostCertificate),
            "{case}"
        );
    }
    let serial = take(&mut story, good.clone()).unwrap();
    let failed = |serial| EventKind::SigningFailed {
        serial,
        cause: "x".to_owned(),
    };
    assert_eq!(story.take(failed(serial + 7)), Err(Rule::NoSuchPass));
    story.take(failed(serial)).unwrap();
    let host = story.state().host("web-1").unwrap();
    assert!(host.joined.as_ref().unwrap().certificates.is_empty());
    let unsigned = HostCertified {
        to_be_signed: String::new(),
        ..good
    };
    let fault = story.fault(EventKind::HostCertified(Box::new(unsigned)));
    assert!(fault.contains("without the hash"), "{fault}");
}

#[test]
fn a_host_is_marked_when_its_state_changes_and_at_most_once_an_hour() {
    let mut story = Story::new();
    assert_eq!(story.behind("web-1"), Err(Rule::NoSuchHost));
    story.add("web-1", CODES[0], false).unwrap();
    story.now += Duration::minutes(59);
    story.join("web-1", CODES[0], 3).unwrap();
    assert_eq!(
        story.behind("web-1"),
        Err(Rule::HostMark),
        "it has just joined"
    );
    story.now += Duration::HOUR;
    assert_eq!(story.current("web-1"), Err(Rule::HostMark), "it is");
    story.behind("web-1").unwrap();
    assert_eq!(story.behind("web-1"), Err(Rule::HostMark), "twice");
    assert_eq!(
        story.current("web-1"),
        Err(Rule::HostMark),
        "a moment later"
    );
    story.now += Duration::HOUR;
    assert_eq!(story.behind("web-1"), Err(Rule::HostMark), "it is");
    story.current("web-1").unwrap();
    story.now -= Duration::minutes(50);
    assert_eq!(
        story.behind("web-1"),
        Err(Rule::HostMark),
        "a clock that jumps back"
    );
    // One that was ahead for a month silences no host for a month.
    story.now -= Duration::days(30);
    story.behind("web-1").unwrap();
    assert_eq!(story.current("web-1"), Err(Rule::HostMark), "once an hour");
}

#[test]
fn verify_finds_a_host_whose_key_or_administrator_did_not_sign() {
    let mut story = Story::new();
    let until = story
        .seconds()
        .saturating_add(std::time::Duration::from_secs(60));
    let EventKind::HostAdded(mut order) = added("web-1", CODES[0], until, false, 0) else {
        panic!("an order");
    };
    order.group = "db".to_owned();
    let fault = story.fault(EventKind::HostAdded(order));
    assert!(fault.contains("invalid signature"), "{fault}");
    story.add("web-1", CODES[0], false).unwrap();
    let honest = joined("web-1", CODES[0], 3);
    let other = joined("web-1", CODES[0], 4);
    let of_other_code = joined("web-1", CODES[1], 3);
    let swap = |signature: &HostJoined| {
        let mut it = honest.clone();
        it.keys[0]
            .signature
            .clone_from(&signature.keys[0].signature);
        EventKind::HostJoined(Box::new(it))
    };
    for (case, what) in [
        ("another key's", swap(&other)),
        ("for another code", swap(&of_other_code)),
    ] {
        let fault = story.fault(what);
        assert!(fault.contains("did not sign"), "{case}: {fault}");
    }
    let mut more = honest.clone();
    more.keys.push(other.keys[0].clone());
    let fault = story.fault(EventKind::HostJoined(Box::new(more)));
    assert!(fault.contains("did not sign"), "a key more: {fault}");
    story.take(EventKind::HostJoined(Box::new(honest))).unwrap();
}

#[test]
fn every_certificate_of_a_removed_host_is_revoked_and_none_of_another() {
    let mut story = Story::new();
    for (host, code, seed) in [("web-1", CODES[0], 3), ("web-2", CODES[1], 4)] {
        story.add(host, code, false).unwrap();
        story.join(host, code, seed).unwrap();
    }
    // Not only the newest one.
    let one = story.certify("web-1", 3).unwrap();
    story.certify("web-2", 4).unwrap();
    let two = story.certify("web-1", 3).unwrap();
    assert_eq!(story.revoked(), (vec![], 0));
    let host = story.state().host("web-1").unwrap();
    assert_eq!(host.valid_certificates(story.seconds()), [one, two]);
    let index = story.remove("web-1");
    assert_eq!(story.revoked(), (vec![one, two], index + 1));
    // It joins again: its new certificate counts, the old ones stay revoked.
    story.add("web-1", CODES[2], false).unwrap();
    story.join("web-1", CODES[2], 3).unwrap();
    story.certify("web-1", 3).unwrap();
    assert_eq!(story.revoked(), (vec![one, two], index + 1));
}

#[test]
fn a_host_with_new_keys_loses_the_certificates_of_the_old_ones_alone() {
    let mut story = Story::new();
    story.add("web-1", CODES[0], false).unwrap();
    story.join("web-1", CODES[0], 3).unwrap();
    let old = story.certify("web-1", 3).unwrap();
    // The same keys again: they are proven, and nothing is revoked.
    story.add("web-1", CODES[1], true).unwrap();
    story.join("web-1", CODES[1], 3).unwrap();
    let same = story.certify("web-1", 3).unwrap();
    assert_eq!(story.revoked(), (vec![], 0));
    story.add("web-1", CODES[2], true).unwrap();
    let index = story.join("web-1", CODES[2], 4).unwrap();
    assert_eq!(story.revoked(), (vec![old, same], index + 1));
    let new = story.certify("web-1", 4).unwrap();
    let host = story.state().host("web-1").unwrap();
    assert_eq!(host.valid_certificates(story.seconds()), [new]);
}

#[test]
fn a_certificate_whose_signing_failed_is_revoked_and_a_list_forgets_those_that_ended() {
    let mut story = Story::new();
    story.add("web-1", CODES[0], false).unwrap();
    story.join("web-1", CODES[0], 3).unwrap();
    let serial = story.certify("web-1", 3).unwrap();
    let good = story.certify("web-1", 3).unwrap();
    let cause = "the key is away".to_owned();
    let fails = |serial| EventKind::SigningFailed {
        serial,
        cause: cause.clone(),
    };
    let index = story.take(fails(good)).unwrap();
    assert_eq!(story.revoked(), (vec![good], index + 1));
    let host = story.state().host("web-1").unwrap();
    assert_eq!(host.valid_certificates(story.seconds()), [serial]);
    // After two weeks and the margin, the next change of the list has no need of them.
    story.now += Duration::days(15);
    let order = removed("web-1", story.after("web-1"));
    let late = certified("web-1", 3, story.seconds().get());
    let mut state = story.state().clone();
    for what in [
        crate::ledger::state::agreed::tests::seen(story.now.unix_timestamp()),
        EventKind::HostCertified(Box::new(late)),
        order,
    ] {
        let listed: Vec<u64> = state.revoked_host_certificates().map(|it| it.0).collect();
        assert_eq!(listed, [good], "no event changed the list");
        state.apply(&Event {
            what,
            ..story.event(EventKind::Skipped)
        });
    }
    let listed: Vec<u64> = state.revoked_host_certificates().map(|it| it.0).collect();
    assert_eq!(listed, [story.judge.size()]);
}

#[test]
fn a_failed_signature_is_taken_though_the_key_has_a_newer_certificate() {
    let mut story = Story::new();
    story.add("web-1", CODES[0], false).unwrap();
    story.join("web-1", CODES[0], 3).unwrap();
    let first = story.certify("web-1", 3).unwrap();
    let second = story.certify("web-1", 3).unwrap();
    let failed = EventKind::SigningFailed {
        serial: first,
        cause: "the key is away".to_owned(),
    };
    let index = story.take(failed).unwrap();
    assert_eq!(story.revoked(), (vec![first], index + 1));
    let host = story.state().host("web-1").unwrap();
    assert_eq!(host.valid_certificates(story.seconds()), [second]);
}

/// A copy of the ledger was restored: what the lost ledger said of hosts is unknown.
#[test]
fn after_a_restored_copy_was_accepted_no_host_certificate_and_no_join_code_from_before_counts() {
    let mut story = Story::new();
    story.add("web-1", CODES[0], false).unwrap();
    story.join("web-1", CODES[0], 3).unwrap();
    let before = story.certify("web-1", 3).unwrap();
    story.add("web-2", CODES[1], false).unwrap();
    let mut state = story.state().clone();
    let restored = story.event(EventKind::Skipped);
    state.apply_restored(&restored, true, false);
    let accepted = Event {
        index: restored.index + 1,
        ..story.event(crate::ledger::state::agreed::tests::seen(
            story.now.unix_timestamp(),
        ))
    };
    let through = restored.index + 10;
    state.apply_through(&accepted, &RevokeTarget::Through(through));
    let revoked: Vec<u64> = state.revoked_host_certificates().map(|it| it.0).collect();
    assert_eq!(revoked, [before]);
    let lost: Vec<u64> = state.lost_host_certificates().collect();
    assert_eq!(lost, (restored.index..through).collect::<Vec<u64>>());
    let host = state.host("web-1").unwrap();
    assert!(
        host.joined.as_ref().unwrap().certificates.is_empty(),
        "it is due"
    );
    assert_eq!(host.valid_certificates(story.seconds()), [0; 0]);
    assert!(
        !host.may_be_marked(story.seconds()),
        "that it is due is no news"
    );
    let invited = state.host("web-2").unwrap().invitation.clone().unwrap();
    assert!(
        invited.expires_at <= story.seconds(),
        "its code may have been used"
    );
    let late = Event {
        what: EventKind::HostJoined(Box::new(joined("web-2", CODES[1], 4))),
        index: through,
        ..accepted.clone()
    };
    assert!(state.admit(&late).is_err());
    // The lost certificates have ended after 90 days; the next change of the list drops them.
    let last = story.now + Duration::days(92);
    state.apply(&Event {
        index: through,
        at: last,
        what: crate::ledger::state::agreed::tests::seen(last.unix_timestamp()),
    });
    for (index, what) in [
        (
            through + 1,
            EventKind::HostCertified(Box::new(certified(
                "web-1",
                3,
                UnixSeconds::from(last).get(),
            ))),
        ),
        (
            through + 2,
            EventKind::SigningFailed {
                serial: through + 1,
                cause: "away".to_owned(),
            },
        ),
    ] {
        state.apply(&Event {
            index,
            at: last,
            what,
        });
    }
    assert_eq!(state.lost_host_certificates().count(), 0);
    let revoked: Vec<u64> = state.revoked_host_certificates().map(|it| it.0).collect();
    assert_eq!(revoked, [through + 1]);
}

#[test]
fn a_snapshot_has_the_hosts_and_continues_as_the_ledger_does() {
    let mut story = Story::new();
    story.add("web-1", CODES[0], false).unwrap();
    story.join("web-1", CODES[0], 3).unwrap();
    story.certify("web-1", 3).unwrap();
    story.add("web-2", CODES[1], false).unwrap();
    story.join("web-2", CODES[1], 4).unwrap();
    story.certify("web-2", 4).unwrap();
    story.remove("web-2");
    story.add("web-3", CODES[2], false).unwrap();
    story.now += Duration::HOUR;
    story.behind("web-1").unwrap();
    let signer = crate::ledger::checkpoint::Signer::new("daypass.example.com/ledger", &[7; 32]);
    let signer = signer.unwrap();
    let snapshot = Snapshot {
        head: story.head.clone(),
        judge: story.judge.clone(),
    };
    let bytes = snapshot.to_bytes(&signer).unwrap();
    let (read, _) = Snapshot::parse(&bytes, &signer.verifier()).unwrap();
    assert_eq!(read, snapshot);
    assert_eq!(read.judge.state().hosts_after("").count(), 2);
    assert!(read.judge.state().host("web-1").unwrap().is_behind);
    assert_eq!(read.judge.state().revoked_host_certificates().count(), 1);
}

#[test]
fn ten_thousand_hosts_are_known_and_their_number_has_a_bound() {
    let mut state = LedgerState::default();
    let mut index = 0;
    let mut take = |what: EventKind| {
        let event = Event {
            index,
            at: START,
            what,
        };
        let admitted = state.admit(&event).map_err(|it| it.rule);
        if admitted.is_ok() {
            state.apply(&event);
            index += 1;
        }
        admitted
    };
    let until = UnixSeconds::from(START).saturating_add(std::time::Duration::from_secs(60));
    let base = added("web-1", CODES[0], until, false, 0);
    let EventKind::HostAdded(base) = base else {
        panic!("an order");
    };
    let one = |number: u32| {
        let mut it = base.clone();
        it.host = format!("web-{number}");
        it.code = base16ct::lower::encode_string(&{
            let mut code = [0; 32];
            code[..4].copy_from_slice(&number.to_be_bytes());
            code
        });
        EventKind::HostAdded(it)
    };
    for number in 0..20_000 {
        assert_eq!(take(one(number)), Ok(()), "{number}");
    }
    assert_eq!(take(one(20_000)), Err(Rule::TooManyHosts));
}

#[test]
fn a_login_is_recorded_once_and_a_host_has_twenty_an_hour_and_one_that_counts_the_rest() {
    let mut story = Story::new();
    let take = |story: &mut Story, login: ForeignLogin| {
        story.take(EventKind::ForeignLogin(Box::new(login)))
    };
    story.add("web-1", CODES[0], false).unwrap();
    let first = || foreign("web-1", 1000);
    assert_eq!(
        take(&mut story, first()),
        Err(Rule::NoSuchHost),
        "not joined"
    );
    story.join("web-1", CODES[0], 3).unwrap();
    let counted = |serial, more| ForeignLogin {
        more,
        ..foreign("web-1", serial)
    };
    assert_eq!(
        take(&mut story, counted(1000, 1)),
        Err(Rule::ForeignLogin),
        "there is room for the other"
    );
    let long = ForeignLogin {
        login: "x".repeat(400),
        ..first()
    };
    assert_eq!(take(&mut story, long), Err(Rule::ForeignLogin), "too long");
    for serial in 1000..1020 {
        take(&mut story, foreign("web-1", serial)).unwrap();
        let again = take(&mut story, foreign("web-1", serial));
        assert_eq!(again, Err(Rule::ForeignLogin), "again");
    }
    take(&mut story, counted(1020, 79)).unwrap();
    for login in [counted(1021, 5), foreign("web-1", 1022)] {
        assert_eq!(take(&mut story, login), Err(Rule::ForeignLogin), "full");
    }
    // What is no sign of a stolen key has room of its own, and uses up none of that key's.
    for serial in 2000..2021 {
        let late = ForeignLogin {
            finding: crate::ledger::event::LoginFinding::Late,
            ..foreign("web-1", serial)
        };
        take(&mut story, late).unwrap();
    }
    // Another host has room of its own.
    story.add("web-2", CODES[1], false).unwrap();
    story.join("web-2", CODES[1], 4).unwrap();
    take(&mut story, foreign("web-2", 1000)).unwrap();
    // A clock that is put back a little opens no window.
    story.now -= Duration::minutes(50);
    assert_eq!(
        take(&mut story, foreign("web-1", 1023)),
        Err(Rule::ForeignLogin)
    );
    story.now += Duration::hours(2);
    assert_eq!(
        take(&mut story, foreign("web-1", 1000)),
        Err(Rule::ForeignLogin),
        "an hour later it is known still"
    );
    take(&mut story, foreign("web-1", 1021)).unwrap();
    // One that was ahead for a month mutes no finding for a month.
    story.now -= Duration::days(30);
    for serial in 3000..3020 {
        take(&mut story, foreign("web-1", serial)).unwrap();
    }
    take(&mut story, counted(3020, 1)).unwrap();
    assert_eq!(
        take(&mut story, foreign("web-1", 3021)),
        Err(Rule::ForeignLogin)
    );
    // A host that was removed knows nothing.
    let after = story.after("web-1");
    story.take(removed("web-1", after)).unwrap();
    assert_eq!(
        take(&mut story, foreign("web-1", 1030)),
        Err(Rule::NoSuchHost)
    );
}
