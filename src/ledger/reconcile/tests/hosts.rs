//! On which hosts a pass may be used, and of which hosts a log is.

use super::*;
use crate::ledger::event::{HostJoined, HostRemoved, Jump};

/// A change of what [`pass`] records.
type Change = fn(&mut Issued);

fn changed(serial: u64, change: Change) -> Event {
    let mut event = pass(serial);
    if let EventKind::Issued(issued) = &mut event.what {
        change(issued);
    }
    event
}

/// The pass for `jump@edge` that belongs to pass 7 for `weblogs@web`.
fn jump(serial: u64) -> Event {
    changed(serial, |issued| {
        issued.permissions.principals = ["jump@edge".to_owned()].into();
        issued.jump = Some(Jump {
            bastion: "edge".to_owned(),
            pass: 7,
        });
    })
}

fn joined(host: &str, group: &str, minutes: i64) -> Event {
    let joined = HostJoined {
        host: host.to_owned(),
        group: group.to_owned(),
        aliases: vec![format!("{host}-alias"), "10.0.0.7".to_owned()],
        keys: Vec::new(),
        digest: String::new(),
        who: None,
        policy: None,
    };
    Event {
        at: AT + Duration::minutes(minutes),
        ..event(
            2000_u64.saturating_add_signed(minutes),
            EventKind::HostJoined(Box::new(joined)),
        )
    }
}

fn removed(host: &str, minutes: i64) -> Event {
    let removed = HostRemoved {
        who: issued().who,
        host: host.to_owned(),
        reason: None,
        proof: None,
    };
    Event {
        at: AT + Duration::minutes(minutes),
        ..event(1001, EventKind::HostRemoved(Box::new(removed)))
    }
}

/// What is wrong with a login on `host` five minutes after [`AT`].
fn on(login: CertificateLogin, host: &str, events: Vec<Event>) -> Option<(Kind, String)> {
    let mut reconciler = Reconciler::new(BTreeSet::new(), false);
    let at = AT + Duration::minutes(5);
    reconciler.note(login, host, Some(at)).unwrap();
    reconciler.take_all(events);
    let found = reconciler.finish().findings.into_iter().next();
    found.map(|it| (it.kind, it.why))
}

#[test]
fn a_pass_on_a_known_host_outside_its_group_is_found_even_if_no_host_was_asked_for() {
    let asked: [Change; 2] = [
        |issued| issued.ask.host = None,
        |issued| issued.ask.host = Some("web-1".to_owned()),
    ];
    for change in asked {
        for (host, group, says) in [
            (
                "db-1",
                "db",
                Some("it is for hosts of web, and this host is in db"),
            ),
            ("web-2", "web", None),
        ] {
            for in_log in [host.to_owned(), format!("{host}.example.com")] {
                let events = vec![joined(host, group, -60), changed(7, change)];
                let found = on(login(7), &in_log, events);
                let says = says.map(|it| (Kind::Elsewhere, it.to_owned()));
                assert_eq!(found, says, "{in_log}");
            }
        }
    }
    // The ledger does not know this one, so it may be in any group.
    let found = on(login(7), "web-2", vec![pass(7)]);
    assert_eq!(found.unwrap().1, "it was asked for web-1");
    let found = on(login(7), "web-2", vec![changed(7, asked[0])]);
    assert_eq!(found, None);
}

#[test]
fn a_host_counts_by_the_group_that_it_had_at_the_login() {
    let moved = |at| {
        vec![
            joined("x", "db", -60),
            removed("x", at),
            joined("x", "web", at),
        ]
    };
    for (at, is_found) in [(3, false), (8, true), (5, false), (6, false)] {
        let mut events = moved(at);
        events.push(pass(7));
        let found = on(login(7), "x", events);
        assert_eq!(found.is_some(), is_found, "{at}: {found:?}");
    }
    // Joining or being removed changes nothing of what sshd takes.
    for events in [
        vec![joined("x", "web", 9)],
        vec![joined("x", "web", -9), removed("x", 2)],
    ] {
        assert_eq!(on(login(7), "x", [events, vec![pass(7)]].concat()), None);
    }
    let events = vec![joined("x", "db", 9), removed("x", 12), pass(7)];
    assert!(on(login(7), "x", events).is_some());
}

#[test]
fn two_known_hosts_of_one_short_name_are_told_apart_by_their_whole_names() {
    let two = || {
        vec![
            joined("w.a.example", "web", -60),
            joined("w.b.example", "db", -60),
            pass(7),
        ]
    };
    assert_eq!(on(login(7), "w.a.example", two()), None);
    assert!(on(login(7), "w.b.example", two()).is_some());
    assert_eq!(on(login(7), "w", two()), None, "it may be either");
    let whole: Change = |issued| issued.ask.host = Some("web-1.b.example".to_owned());
    assert!(on(login(7), "web-1.a.example", vec![changed(7, whole)]).is_some());
}

#[test]
fn a_host_is_known_by_its_aliases_and_an_address_has_no_short_name() {
    // The ledger knows one group of a host, and its sshd may take passes of more.
    let cases: [(Change, &str); 3] = [
        (|it| it.ask.host = Some("web-2-alias".to_owned()), "web-2"),
        (
            |it| it.ask.host = Some("10.0.0.7".to_owned()),
            "web-2.example.com",
        ),
        (|it| it.ask.host = Some("web-2".to_owned()), "10.0.0.7"),
    ];
    for (change, host) in cases {
        let events = vec![joined("web-2", "edge", -60), changed(7, change)];
        assert_eq!(on(login(7), host, events), None, "{host}");
    }
    let address: Change = |it| it.ask.host = Some("10.0.0.8".to_owned());
    let events = || vec![joined("web-2", "edge", -60), changed(7, address)];
    assert!(on(login(7), "web-2", events()).is_some());
    let found = on(login(7), "10.0.0.9", events());
    assert_eq!(found.unwrap().1, "it was asked for 10.0.0.8");
}

#[test]
fn a_jump_pass_is_for_the_bastion_and_not_for_the_host_that_was_asked_for() {
    let by_jump = || CertificateLogin {
        login: "jump".to_owned(),
        ..login(8)
    };
    let events = |known: &[(&str, &str)]| {
        let known = known.iter().map(|(host, group)| joined(host, group, -60));
        known.chain([pass(7), jump(8)]).collect::<Vec<_>>()
    };
    let known = [("bastion", "edge"), ("web-1", "web")];
    assert_eq!(on(by_jump(), "bastion", events(&known)), None);
    assert_eq!(on(by_jump(), "bastion", events(&[])), None);
    for known in [&known[..], &[]] {
        let (kind, why) = on(by_jump(), "web-1", events(known)).unwrap();
        assert_eq!(kind, Kind::Elsewhere, "{why}");
        // A bastion without a group.
        let mut events = events(known);
        let Some(EventKind::Issued(issued)) = events.last_mut().map(|it| &mut it.what) else {
            panic!("the jump pass");
        };
        issued.permissions.principals = ["jump".to_owned()].into();
        let (_, why) = on(by_jump(), "web-1", events.clone()).unwrap();
        assert!(why.contains("jump pass for the bastion edge"), "{why}");
        assert_eq!(on(by_jump(), "bastion", events), None);
    }
}

/// Serials of the passes that a log of these hosts, of an hour from [`AT`] on, lacks.
fn unused(hosts: &[&str], is_every_host: bool, events: Vec<Event>) -> Vec<u64> {
    let mut reconciler = Reconciler::new(BTreeSet::new(), is_every_host);
    for host in hosts {
        for minutes in [0, 60] {
            let at = Some(AT + Duration::minutes(minutes));
            reconciler.cover(host, at).unwrap();
        }
    }
    reconciler.take_all(events);
    let unused = reconciler.finish().unused;
    assert_eq!(unused.count, unused.serials.len() as u64);
    assert_eq!(unused.by.values().sum::<u64>(), unused.count);
    unused.serials
}

#[test]
fn a_quiet_log_shows_that_a_pass_was_never_used() {
    assert_eq!(unused(&["web-1.example.com"], false, vec![pass(7)]), [7]);
    assert_eq!(unused(&["web-2"], false, vec![pass(7)]), [0; 0]);
    let alias: Change = |it| it.ask.host = Some("web-2-alias".to_owned());
    let events = |more| {
        [
            vec![joined("web-2", "web", -60)],
            more,
            vec![changed(7, alias)],
        ]
        .concat()
    };
    assert_eq!(unused(&["web-2"], false, events(vec![])), [7]);
    let gone = vec![removed("web-2", -30)];
    assert_eq!(unused(&["web-2"], false, events(gone)), [0; 0]);
}

#[test]
fn a_jump_pass_was_never_used_only_if_the_logs_are_of_every_bastion_of_its_group() {
    let events = |known: &[&str]| {
        let known = known.iter().map(|host| joined(host, "edge", -60));
        known.chain([pass(7), jump(8)]).collect::<Vec<_>>()
    };
    assert_eq!(unused(&["web-1"], false, events(&["b-1"])), [7]);
    assert_eq!(unused(&["b-1"], false, events(&["b-1"])), [8]);
    assert_eq!(unused(&["b-1"], false, events(&["b-1", "b-2"])), [0; 0]);
    assert_eq!(unused(&["b-1", "b-2"], false, events(&["b-1", "b-2"])), [8]);
    assert_eq!(unused(&["b-1"], false, events(&[])), [0; 0]);
    assert_eq!(unused(&["b-1"], true, events(&[])), [7, 8]);
}

#[test]
fn a_pass_whose_signing_failed_was_never_given() {
    let failed = |serial| {
        let cause = "deadline".to_owned();
        event(serial + 100, EventKind::SigningFailed { serial, cause })
    };
    let events = vec![pass(6), pass(7), pass(9), failed(7)];
    assert_eq!(unused(&["web-1"], false, events), [6, 9]);
    // A pass leaves only together with its jump pass.
    let events = vec![pass(6), pass(7), jump(8), failed(8)];
    assert_eq!(unused(&["web-1"], false, events), [6]);
}

#[test]
fn a_million_unused_passes_and_failures_are_counted_in_bounded_memory() {
    let mut reconciler = Reconciler::new(BTreeSet::new(), true);
    for minutes in [0, 60] {
        let at = Some(AT + Duration::minutes(minutes));
        reconciler.cover("web-1", at).unwrap();
    }
    let EventKind::Issued(issued) = pass(7).what else {
        panic!("a pass");
    };
    for serial in (1..=1_000_000).step_by(2) {
        reconciler.not_seen(serial, &issued);
        reconciler.unused.jump(serial + 1, serial);
        if serial % 4 == 1 {
            reconciler.unused.failed(serial + 1);
        }
    }
    let unused = reconciler.finish().unused;
    assert_eq!((unused.count, unused.serials.len()), (250_000, 1000));
}

#[test]
fn on_one_host_its_names_and_its_group_count_as_in_a_log() {
    let pass_for = |host: &str| {
        let mut event = pass(7);
        if let EventKind::Issued(issued) = &mut event.what {
            issued.ask.host = Some(host.to_owned());
        }
        event
    };
    for (groups, asked, is_found) in [
        (&["db"][..], "web-9.example.com", false),
        (&["db"], "web-nine", false),
        (&["db"], "web-8", true),
        (&["db", "web"], "web-8", false),
    ] {
        let groups = groups.iter().map(|&it| it.to_owned()).collect();
        let names = ["web-9".to_owned(), "web-nine".to_owned()].into();
        let mut reconciler = Reconciler::of_host(names, groups);
        let at = AT + Duration::minutes(5);
        reconciler.note(login(7), "web-9", Some(at)).unwrap();
        reconciler.take(pass_for(asked));
        let found = reconciler.finish().findings;
        assert_eq!(!found.is_empty(), is_found, "{asked}: {found:?}");
    }
}
