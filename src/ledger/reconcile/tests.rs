//! Logins against a ledger: each finding, and what is none.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod hosts;

use time::{Duration, macros::datetime};

use crate::unix_seconds::UnixSeconds;

use super::*;
use crate::ledger::event::{RevokeTarget, Revoked, tests::issued};

const AT: OffsetDateTime = datetime!(2026-11-22 15:32:51 UTC);

/// The event of a pass for `weblogs@web`, valid from [`AT`] for half an hour.
fn pass(serial: u64) -> Event {
    let start = UnixSeconds(AT.unix_timestamp().unsigned_abs());
    let mut issued = issued();
    issued.ca = "SHA256:ca".to_owned();
    issued.key = "SHA256:key".to_owned();
    issued.key_id = "alice@example.com/web-logs".to_owned();
    issued.permissions.principals = ["weblogs@web".to_owned()].into();
    issued.valid_after = start;
    issued.valid_before = start.saturating_add(std::time::Duration::from_secs(1800));
    issued.ask.host = Some("web-1".to_owned());
    event(serial, EventKind::Issued(Box::new(issued)))
}

fn event(index: u64, what: EventKind) -> Event {
    Event {
        index,
        at: AT,
        what,
    }
}

fn login(serial: u64) -> CertificateLogin {
    CertificateLogin {
        time: None,
        host: None,
        login: "weblogs".to_owned(),
        from: "192.0.2.7".to_owned(),
        port: 41_234,
        key: "SHA256:key".to_owned(),
        key_id: "alice@example.com/web-logs".to_owned(),
        serial,
        ca: "SHA256:ca".to_owned(),
    }
}

/// Compares one login of pass 7 with a ledger of that pass and `more`.
fn judged(
    login: CertificateLogin,
    (host, minutes): (&str, i64),
    more: Vec<Event>,
) -> (u64, Option<(Kind, String)>) {
    let mut reconciler = Reconciler::new(BTreeSet::new(), false);
    let at = AT + Duration::minutes(minutes);
    reconciler.note(login, host, Some(at)).unwrap();
    reconciler.take(pass(7));
    more.into_iter().for_each(|event| reconciler.take(event));
    let result = reconciler.finish();
    assert!(result.findings.len() <= 1);
    let found = result.findings.into_iter().next();
    (result.good, found.map(|it| (it.kind, it.why)))
}

#[test]
fn a_login_with_the_pass_that_was_issued_is_good() {
    for host in ["web-1", "WEB-1.example.com"] {
        assert_eq!(judged(login(7), (host, 5), Vec::new()), (1, None), "{host}");
    }
}

#[test]
fn what_the_ledger_lacks_or_has_otherwise_is_an_alarm() {
    type Change = fn(&mut CertificateLogin);
    let cases: [(&str, Kind, Change); 6] = [
        ("the ledger names no CA key SHA256:x", Kind::OtherCa, |it| {
            it.ca = "SHA256:x".to_owned()
        }),
        ("event 8 of the ledger is not a pass", Kind::Unknown, |it| {
            it.serial = 8
        }),
        ("its key id is mallory", Kind::Altered, |it| {
            it.key_id = "mallory".to_owned()
        }),
        ("its key is SHA256:x", Kind::Altered, |it| {
            it.key = "SHA256:x".to_owned()
        }),
        (
            "its login is root; recorded is weblogs@web",
            Kind::Altered,
            |it| it.login = "root".to_owned(),
        ),
        ("its login is weblogs@web", Kind::Altered, |it| {
            it.login = "weblogs@web".to_owned()
        }),
    ];
    for (says, kind, change) in cases {
        let mut changed = login(7);
        change(&mut changed);
        let (good, found) = judged(changed, ("web-1", 5), Vec::new());
        let (found, why) = found.unwrap();
        assert_eq!((good, found), (0, kind), "{says}");
        assert!(why.contains(says) && found.is_alarm(), "{says}: {why}");
    }
}

#[test]
fn a_use_outside_the_time_or_on_another_host_is_found() {
    let revoked = || {
        let revoked = Revoked {
            who: issued().who,
            target: RevokeTarget::Serial(7),
            reason: None,
            serials: vec![7],
            covers: Vec::new(),
            proof: None,
            restore: None,
        };
        vec![event(8, EventKind::Revoked(Box::new(revoked)))]
    };
    let cases = [
        (
            "web-1",
            33,
            Vec::new(),
            Kind::Late,
            "3 min after it expired",
        ),
        (
            "web-1",
            -3,
            Vec::new(),
            Kind::Late,
            "3 min before it was valid",
        ),
        (
            "web-1",
            9,
            revoked(),
            Kind::Late,
            "9 min after it was revoked",
        ),
        (
            "web-2",
            9,
            Vec::new(),
            Kind::Elsewhere,
            "it was asked for web-1",
        ),
    ];
    for (host, minutes, more, kind, says) in cases {
        let (good, found) = judged(login(7), (host, minutes), more);
        assert_eq!((good, found), (0, Some((kind, says.to_owned()))));
        assert!(!kind.is_alarm());
    }
    // Clocks differ by a minute.
    for (minutes, more) in [(30, Vec::new()), (0, revoked())] {
        assert_eq!(judged(login(7), ("web-1", minutes), more), (1, None));
    }
}

#[test]
fn a_login_of_another_ca_of_ours_is_counted_and_not_judged() {
    let mut reconciler = Reconciler::new(["SHA256:x".to_owned()].into(), false);
    let other = CertificateLogin {
        ca: "SHA256:x".to_owned(),
        ..login(7)
    };
    reconciler.note(other, "web-1", Some(AT)).unwrap();
    reconciler.take(pass(7));
    let result = reconciler.finish();
    assert_eq!(
        (result.others, result.logins, result.findings.len()),
        (1, 0, 0)
    );
}

#[test]
fn the_same_login_a_million_times_is_one_entry_with_its_first_and_last_time() {
    let mut reconciler = Reconciler::new(BTreeSet::new(), false);
    for second in 0..1_000_000 {
        let at = AT + Duration::seconds(second);
        reconciler.note(login(9), "web-1", Some(at)).unwrap();
    }
    assert_eq!(reconciler.seen.len(), 1);
    reconciler.take(pass(7));
    let found = reconciler.finish().findings.remove(0);
    assert_eq!(found.count, 1_000_000);
    assert_eq!(found.first, Some(AT));
    assert_eq!(found.last, Some(AT + Duration::seconds(999_999)));
}

#[test]
fn logs_of_hostile_size_take_bounded_memory() {
    let mut reconciler = Reconciler::new(BTreeSet::new(), false);
    let long = || "x".repeat(60_000);
    let hostile = |serial| CertificateLogin {
        login: long(),
        from: long(),
        key: long(),
        key_id: long(),
        ca: long(),
        ..login(serial)
    };
    reconciler.note(hostile(1), &long(), Some(AT)).unwrap();
    assert_eq!(reconciler.bytes, 6 * LONGEST_TEXT);
    reconciler.bytes = MOST_BYTES - 100;
    reconciler.note(hostile(1), &long(), Some(AT)).unwrap();
    let noted = reconciler.note(hostile(2), "web-1", Some(AT));
    assert!(noted.is_err());
    assert_eq!(reconciler.seen.len(), 1);

    let mut reconciler = Reconciler::new(BTreeSet::new(), false);
    for number in 0..MOST_HOSTS {
        let host = format!("web-{number}");
        reconciler.cover(&host, Some(AT)).unwrap();
    }
    assert!(reconciler.cover("one-more", Some(AT)).is_err());
    assert!(reconciler.cover("WEB-7", Some(AT)).is_ok());
    // The last moment of all: the tolerance of clocks goes no further.
    let end = datetime!(9999-12-31 23:59:59 UTC);
    reconciler.note(login(7), "web-1", Some(end)).unwrap();
    reconciler.take(pass(7));
    assert_eq!(reconciler.finish().findings[0].kind, Kind::Late);
}

#[test]
fn too_many_different_logins_are_refused() {
    let mut reconciler = Reconciler::new(BTreeSet::new(), false);
    for serial in 1..=MOST_LOGINS as u64 {
        reconciler.note(login(serial), "web-1", None).unwrap();
    }
    assert!(reconciler.note(login(u64::MAX), "web-1", None).is_err());
    assert!(reconciler.note(login(1), "web-1", None).is_ok());
}

#[test]
fn a_pass_that_was_not_used_is_named_for_the_hosts_and_the_time_of_the_logs() {
    let unused = |host: Option<&str>, is_every_host, minutes| {
        let mut reconciler = Reconciler::new(BTreeSet::new(), is_every_host);
        let at = AT + Duration::minutes(minutes);
        reconciler.note(login(7), "web-1", Some(at)).unwrap();
        let at = at + Duration::minutes(1);
        reconciler.note(login(7), "web-1", Some(at)).unwrap();
        reconciler.take(pass(7));
        let mut other = pass(8);
        if let EventKind::Issued(issued) = &mut other.what {
            issued.ask.host = host.map(str::to_owned);
        }
        reconciler.take(other);
        reconciler.finish().unused.serials
    };
    let none: [u64; 0] = [];
    assert_eq!(unused(Some("web-1"), false, 5), [8]);
    assert_eq!(unused(Some("web-2"), false, 5), none);
    assert_eq!(unused(None, false, 5), none);
    assert_eq!(unused(None, true, 5), [8]);
    assert_eq!(unused(Some("web-2"), true, 5), [8]);
    assert_eq!(unused(Some("web-1"), false, 60), none, "it had expired");
}

#[test]
fn the_worst_findings_come_first() {
    let mut reconciler = Reconciler::new(BTreeSet::new(), false);
    let late = AT + Duration::hours(9);
    reconciler.note(login(7), "web-1", Some(late)).unwrap();
    reconciler.note(login(7), "web-2", Some(AT)).unwrap();
    let root = CertificateLogin {
        login: "root".to_owned(),
        ..login(7)
    };
    reconciler.note(root, "web-1", Some(AT)).unwrap();
    reconciler.note(login(99), "web-1", Some(AT)).unwrap();
    reconciler.take(pass(7));
    let kinds: Vec<_> = reconciler
        .finish()
        .findings
        .iter()
        .map(|it| it.kind)
        .collect();
    assert_eq!(
        kinds,
        [Kind::Unknown, Kind::Altered, Kind::Late, Kind::Elsewhere]
    );
}

/// Compares logins of pass 7, on a host of these groups, with a ledger of that pass.
fn on_host(
    groups: &[&str],
    logins: Vec<(CertificateLogin, i64)>,
    more: Vec<Event>,
) -> Vec<Finding> {
    let groups = groups.iter().map(|&it| it.to_owned()).collect();
    let names = ["web-9".to_owned(), "web-nine".to_owned()].into();
    let mut reconciler = Reconciler::of_host(names, groups);
    for (login, minutes) in logins {
        let at = AT + Duration::minutes(minutes);
        reconciler.note(login, "web-9", Some(at)).unwrap();
    }
    reconciler.know("SHA256:new".to_owned());
    reconciler.take(pass(7));
    reconciler.take_all(more);
    reconciler.finish().findings
}

#[test]
fn on_one_host_its_groups_count() {
    for groups in [&["web"][..], &["db", "web"]] {
        let found = on_host(groups, vec![(login(7), 5)], Vec::new());
        assert_eq!(found, Vec::new(), "{groups:?}");
    }
    for (groups, says) in [
        (
            &["db"][..],
            "it is for hosts of web, and this host is in db",
        ),
        (&[], "it is for hosts of web, and this host is in no group"),
    ] {
        let found = on_host(groups, vec![(login(7), 5)], Vec::new());
        assert_eq!((found[0].kind, &*found[0].why), (Kind::Elsewhere, says));
    }
}

#[test]
fn on_one_host_two_logins_by_one_certificate_are_two_findings() {
    let again = CertificateLogin {
        port: 41_235,
        ..login(9)
    };
    let found = on_host(
        &["web"],
        vec![(login(9), 5), (again, 6), (login(9), 5)],
        Vec::new(),
    );
    assert_eq!(found.len(), 2);
    let events: Vec<_> = found
        .into_iter()
        .map(|it| it.foreign_login("web-9").digest())
        .collect();
    assert_ne!(events[0], events[1]);
}

#[test]
fn a_key_that_no_event_names_yet_is_ours_and_a_pass_that_was_never_signed_is_revoked() {
    let new = CertificateLogin {
        ca: "SHA256:new".to_owned(),
        ..login(8)
    };
    let found = on_host(&["web"], vec![(new, 5)], Vec::new());
    assert!(
        found[0]
            .why
            .starts_with("event 8 of the ledger is not a pass")
    );
    let failed = EventKind::SigningFailed {
        serial: 7,
        cause: "deadline".to_owned(),
    };
    let found = on_host(&["web"], vec![(login(7), 5)], vec![event(8, failed)]);
    assert_eq!(found[0].kind, Kind::Late);
}

#[test]
fn a_login_that_hides_its_certificate_is_a_finding() {
    let mut reconciler = Reconciler::of_host(BTreeSet::new(), BTreeSet::new());
    let hidden = UnreadableLogin {
        time: None,
        client: Some(("root".to_owned(), "192.0.2.7".to_owned(), 1)),
    };
    reconciler
        .note_unreadable(hidden, "web-9", Some(AT))
        .unwrap();
    let found = reconciler.finish().findings.remove(0);
    assert_eq!((found.kind, &*found.login), (Kind::Unreadable, "root"));
    assert!(found.kind.is_alarm());
    assert_eq!(found.foreign_login("web-9").certificate, None);
}

#[test]
fn the_largest_login_is_a_leaf_of_a_few_kilobytes() {
    let long = || "\u{10ffff}".repeat(10_000);
    let hostile = CertificateLogin {
        login: long(),
        from: long(),
        key: long(),
        key_id: long(),
        ca: long(),
        ..login(u64::MAX)
    };
    let found = on_host(&["web"], vec![(hostile, 5)], Vec::new()).remove(0);
    let login = found.foreign_login("web-9");
    assert!(login.is_bounded());
    let leaf = event(9, EventKind::ForeignLogin(Box::new(login)));
    assert!(leaf.to_bytes().unwrap().len() < 3072);
}

#[test]
fn a_serial_that_a_restore_lost_is_no_stolen_key_for_certain_and_neither_is_another_ca() {
    let mut lost = login(7);
    lost.serial = 8;
    let (_, found) = judged(lost, ("web-1", 5), vec![event(8, EventKind::Skipped)]);
    let (kind, why) = found.unwrap();
    assert_eq!(kind, Kind::Lost, "{why}");
    assert!(why.contains("a restored copy lost"), "{why}");
    for kind in [Kind::Lost, Kind::OtherCa] {
        assert!(kind.is_alarm() && !kind.is_of_stolen_key());
        assert!(!kind.advice().contains("treat the CA key as stolen"));
    }
}
