//! `daypass ledger list` answers what was asked, and says what it leaves out.

use std::time::Duration;

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    hosts::knowing,
    support::{
        command::Done,
        env::TestEnv,
        policy::{APPROVAL, AUDIT_AND_ADMIN, EMERGENCY, limits, role},
    },
};

/// The events that carol's command lists, and what it says besides.
async fn listed(env: &TestEnv, words: &str) -> (Vec<Value>, String) {
    let done = env.daypass("carol", format!("ledger list {words}")).await;
    let done = done.exits(words, 0);
    let events = done.json()["events"].as_array().unwrap().clone();
    (events, done.stderr)
}

/// The indices of the events that carol's command lists.
async fn indices(env: &TestEnv, words: &str) -> Vec<u64> {
    let (events, _) = listed(env, words).await;
    let indices = events.iter().map(|event| event["index"].as_u64().unwrap());
    indices.collect()
}

/// Alice's pass.
async fn pass(env: &TestEnv, words: &str) -> u64 {
    let pass = env.daypass("alice", format!("pass {words}")).await;
    pass.exits(words, 0).json()["serial"].as_u64().unwrap()
}

fn first_line(done: &Done) -> &str {
    done.stderr.lines().next().unwrap_or_default()
}

/// A lock revoked these passes, and `--valid-on` listed them all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_revoked_is_not_valid_afterwards() {
    let env = TestEnv::new().signed_in(&["alice", "carol"]).start().await;
    let words = ["--role logs --param unit=nginx", "--role shell"];
    let [first, second] = [pass(&env, words[0]).await, pass(&env, words[1]).await];
    assert_eq!(indices(&env, "--valid-on now").await, [second, first]);
    let lock = env.daypass("carol", "admin lock --role shell").await;
    lock.exits("lock", 0);
    // A pass counts in the second in which it was revoked.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(indices(&env, "--valid-on now").await, [first]);
    let one = indices(&env, "--valid-on now --limit 1").await;
    assert_eq!(one, [first]);
    // At some time of that day it was valid.
    let (events, _) = listed(&env, "--event issued").await;
    let day = &events[0]["at"].as_str().unwrap()[..10];
    let words = format!("--valid-on {day}");
    assert_eq!(indices(&env, &words).await, [second, first]);
    env.close().await;
}

/// Each page of one event, by `--before`.
async fn page_by_page(env: &TestEnv, words: &str) -> Vec<u64> {
    let (mut all, mut before) = (Vec::new(), u64::MAX);
    loop {
        let words = format!("{words} --limit 1 --before {before}");
        let page = indices(env, &words).await;
        let Some(index) = page.first() else {
            return all;
        };
        all.push(*index);
        before = *index;
    }
}

/// What ended a pass or decided a request has only its number, and was not found by its person or
/// host. Bob's lock was, so that the list looked complete.
#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_person_has_what_decided_and_ended_what_was_theirs() {
    let policy = [
        limits(&["root", "deploy"]),
        "[hosts]\nweb = [\"web-*\"]\n".to_owned(),
        AUDIT_AND_ADMIN.to_owned(),
        role("shell", "sre", "root", &[]),
        role("web", "sre", "deploy", &["hosts = [\"web\"]"]),
        role("prod", "oncall", "root", &[APPROVAL, EMERGENCY]),
    ];
    let env = TestEnv::new().policy(policy.concat());
    let env = env.signed_in(&["alice", "bob", "carol"]).start().await;
    let done = async |who: &str, words: &str| {
        let is_open = words.starts_with("request ") && !words.contains("--emergency");
        let code = if is_open { 5 } else { 0 };
        env.daypass(who, words).await.exits(words, code);
        env.ledger_size().await - 1
    };
    let asked = done("alice", "request prod --host db-1 --reason INC-7").await;
    let approved = done("carol", &format!("approve {asked} --yes --comment fine")).await;
    let redeemed = pass(&env, &format!("--role prod --request {asked}")).await;
    let second = done("alice", "request prod --host db-1 --reason INC-8").await;
    let refused = done("carol", &format!("requests deny {second} --comment no")).await;
    let shell = pass(&env, "--role shell --host web-7").await;
    let one = done("carol", &format!("admin revoke {shell}")).await;
    let urgent = done("bob", "request prod --host db-2 --reason INC-9 --emergency").await;
    let reviewed = done("carol", &format!("review {urgent} --yes --comment seen")).await;
    let mut passes = Vec::new();
    for _ in 0..5 {
        passes.push(pass(&env, "--role web").await);
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let before = done("carol", "admin revoke --before now").await;
    let locked = done("carol", "admin lock bob").await;
    let unlocked = done("carol", "admin unlock bob").await;
    passes.reverse();

    let alice = [
        &[before],
        &*passes,
        &[one, shell, refused, second, redeemed, approved, asked],
    ];
    let alice = alice.concat();
    let bob = vec![unlocked, locked, before, reviewed, urgent];
    for (words, expected) in [
        ("--who alice@example.com", alice.clone()),
        ("--who alice", alice.clone()),
        ("--who bob@example.com", bob.clone()),
        ("--who bob", bob),
        ("--who alice@example.com --event revoked", vec![before, one]),
        ("--who carol@example.com --role shell", vec![one]),
        ("--who carol@example.com --role web", vec![before]),
        ("--who bob@example.com --role web", vec![]),
        (
            "--host db-1",
            vec![before, refused, second, redeemed, approved, asked],
        ),
        ("--host db-2", vec![before, reviewed, urgent]),
        (
            "--host web-7",
            [&[before], &*passes, &[one, shell]].concat(),
        ),
        ("--host web-8", [&[before], &*passes].concat()),
        ("--who bob@example.com --host web-8", vec![]),
        ("--who alice@example.com --reason INC-8", vec![second]),
    ] {
        assert_eq!(indices(&env, words).await, expected, "{words}");
        assert_eq!(page_by_page(&env, words).await, expected, "{words}");
        let csv = format!("ledger list {words} --format csv");
        let csv = env.daypass("carol", &csv).await.exits(&csv, 0).stdout;
        let lines = csv.lines().skip(1).map(|it| it.split(',').next().unwrap());
        let lines: Vec<u64> = lines.map(|it| it.parse().unwrap()).collect();
        assert_eq!(lines, expected, "{words}");
    }
    let rest = indices(
        &env,
        &format!("--host db-1 --plain-logins --before {before}"),
    )
    .await;
    let plain = [
        reviewed, urgent, one, shell, refused, second, redeemed, approved, asked,
    ];
    assert_eq!(rest, plain);
    env.close().await;
}

/// A certificate is valid from a minute before its event on: passes counted for the second, and the
/// day, before they existed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_not_valid_before_it_exists() {
    let env = TestEnv::new().signed_in(&["alice", "carol"]).start().await;
    let serial = pass(&env, "--role shell").await;
    let (events, _) = listed(&env, "--event issued").await;
    let at = events[0]["at"].as_str().unwrap();
    let at = OffsetDateTime::parse(at, &Rfc3339).unwrap();
    let start = events[0]["valid_after"].as_i64().unwrap();
    assert!(start < at.unix_timestamp());
    for (before, expected) in [(0, vec![serial]), (1, vec![]), (20, vec![])] {
        let time = at - time::Duration::seconds(before);
        let words = format!("--valid-on {}", time.format(&Rfc3339).unwrap());
        assert_eq!(indices(&env, &words).await, expected, "{before} s before");
    }
    env.close().await;
}

/// The part of a second was dropped, so that earlier events of the second were listed.
#[tokio::test(flavor = "multi_thread")]
async fn since_and_until_have_parts_of_seconds() {
    let env = TestEnv::new().signed_in(&["alice", "carol"]).start().await;
    for _ in 0..3 {
        pass(&env, "--role shell").await;
    }
    let (events, _) = listed(&env, "--event issued").await;
    let all: Vec<u64> = events
        .iter()
        .map(|it| it["index"].as_u64().unwrap())
        .collect();
    for (place, event) in events.iter().enumerate() {
        let at = event["at"].as_str().unwrap();
        let since = indices(&env, &format!("--event issued --since {at}")).await;
        assert_eq!(since, all[..=place], "since {at}");
        let until = indices(&env, &format!("--event issued --until {at}")).await;
        assert_eq!(until, all[place + 1..], "until {at}");
    }
    env.close().await;
}

/// `[hosts]` spells hosts out that have not joined: `--host web` missed what was asked for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_the_hosts_that_the_policy_spells_out() {
    let policy = [
        limits(&["root"]),
        "[hosts]\nweb = [\"Web-1\", \"web-2\", \"app-*\"]\n".to_owned(),
        AUDIT_AND_ADMIN.to_owned(),
        role("shell", "sre", "root", &[]),
    ];
    let env = TestEnv::new().policy(policy.concat());
    let env = env.signed_in(&["alice", "carol"]).start().await;
    let first = pass(&env, "--role shell --host web-1").await;
    let denied = env.daypass("alice", "pass --role prod --host WEB-2").await;
    denied.exits("no such role", 3);
    pass(&env, "--role shell --host db-1").await;
    assert_eq!(indices(&env, "--host web").await, [first + 1, first]);
    assert_eq!(indices(&env, "--host WEB --event issued").await, [first]);
    env.close().await;
}

fn two_kinds_of_roles() -> String {
    let roles = [
        role("web", "sre", "deploy", &["hosts = [\"web\"]"]),
        role("db", "sre", "deploy", &["hosts = [\"db\"]"]),
        role("plain", "sre", "root", &[]),
    ];
    format!(
        "{}[hosts]\nweb = [\"web-*\"]\ndb = [\"db-*\"]\n{AUDIT_AND_ADMIN}{}",
        limits(&["deploy", "root"]),
        roles.concat()
    )
}

/// `--host` knew only the words of the ask and of the logins.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_has_the_passes_of_its_groups_and_a_group_those_of_its_hosts() {
    let options = knowing(TestEnv::new()).policy(two_kinds_of_roles());
    let env = options.signed_in(&["alice", "carol"]).start().await;
    for words in ["web-1 --group web --alias 10.0.0.7", "web-2 --group web"] {
        let added = env.daypass("carol", format!("admin hosts add {words}"));
        added.await.exits(words, 0);
    }
    let anywhere = pass(&env, "--role web").await;
    let there = pass(&env, "--role web --host web-1").await;
    let known = pass(&env, "--role plain --host web-1").await;
    let alias = pass(&env, "--role plain --host 10.0.0.7").await;
    let unknown = pass(&env, "--role plain --host web-9").await;
    let plain = pass(&env, "--role plain").await;
    let db = pass(&env, "--role db --host db-1").await;
    for (words, expected, more) in [
        (
            "--host web",
            vec![alias, known, there, anywhere],
            "2 more passes have",
        ),
        (
            "--host WEB-1",
            vec![alias, known, there, anywhere],
            "2 more passes have",
        ),
        (
            "--host 10.0.0.7",
            vec![alias, known, there, anywhere],
            "2 more passes have",
        ),
        (
            "--host web-9",
            vec![unknown, there, anywhere],
            "3 more passes have",
        ),
        ("--host db-7", vec![db], "4 more passes have"),
        (
            "--host web --plain-logins",
            vec![plain, unknown, alias, known, there, anywhere],
            "",
        ),
        ("--host db-7 --role web", vec![], ""),
        (
            "--host web-9 --role plain",
            vec![unknown],
            "3 more passes have",
        ),
    ] {
        for words in [words.to_owned(), format!("{words} --valid-on now")] {
            let words = format!("{words} --event issued");
            assert_eq!(indices(&env, &words).await, expected, "{words}");
            let (_, said) = listed(&env, &words).await;
            assert!(said.contains(more), "{words}: {said}");
            let is_said = said.contains("plain logins");
            assert_eq!(is_said, !more.is_empty(), "{words}: {said}");
        }
    }
    // An event of another host of the group is not of this one.
    let hosts = indices(&env, "--host web-2 --event host_added").await;
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    let hosts = indices(&env, "--host web --event host_added").await;
    assert_eq!(hosts.len(), 2, "{hosts:?}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_is_said_with_the_near_ones_and_a_known_one_is_not() {
    let options = knowing(TestEnv::new()).policy(two_kinds_of_roles());
    let env = options.signed_in(&["alice", "carol"]).start().await;
    let added = env.daypass("carol", "admin hosts add web-1 --group web");
    added.await.exits("added", 0);
    pass(&env, "--role plain --host elsewhere").await;
    for (host, said) in [
        ("wbe", "--host \"wbe\" is unknown here (near: web)"),
        ("wev-1", "--host \"wev-1\" is unknown here (near: web-1)"),
        ("mail", "--host \"mail\" is unknown here"),
    ] {
        let (events, note) = listed(&env, &format!("--host {host}")).await;
        assert!(events.is_empty(), "{host}: {events:?}");
        assert!(note.replace('\\', "").contains(said), "{host}: {note}");
    }
    for host in ["web", "db", "web-1", "WEB-1", "web-7", "elsewhere"] {
        let words = format!("--host {host} --event locked");
        assert_eq!(
            listed(&env, &words).await,
            (vec![], String::new()),
            "{host}"
        );
    }
    env.close().await;
}

/// The policy in force was all that was asked for a role.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_left_the_policy_is_not_unknown() {
    let env = TestEnv::new().policy(two_kinds_of_roles());
    let env = env.signed_in(&["alice", "carol"]).start().await;
    pass(&env, "--role db").await;
    let without = two_kinds_of_roles().replace("\"db\"\nallow", "\"dbs\"\nallow");
    env.replace_policy(&without).await;
    let (events, said) = listed(&env, "--role db --event locked").await;
    assert_eq!((events, said), (vec![], String::new()));
    let (_, said) = listed(&env, "--role dbss").await;
    assert!(said.contains("(near: dbs)"), "{said}");
    env.close().await;
}

/// Without conditions, a list had no APPROVED BY and did not say that there is more.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_conditions_names_approvers_and_says_that_there_is_more() {
    let policy = [
        limits(&["root"]),
        AUDIT_AND_ADMIN.to_owned(),
        role("prod", "sre", "root", &[APPROVAL]),
    ];
    let env = TestEnv::new().policy(policy.concat());
    let env = env.signed_in(&["alice", "carol"]).start().await;
    let asked = env.daypass("alice", "request prod --reason INC-7").await;
    let id = asked.json()["id"].as_u64().unwrap();
    let approve = format!("approve {id} --yes --comment fine");
    env.daypass("carol", approve).await.exits("approve", 0);
    let serial = pass(&env, &format!("--role prod --request {id}")).await;
    for words in [
        "ledger list --limit 1 --format csv".to_owned(),
        "ledger list --event issued --format csv".to_owned(),
        format!("ledger list --from {serial} --format csv"),
        "ledger list --limit 1 --format text".to_owned(),
        format!("ledger list --from {serial} --format text"),
    ] {
        let done = env.daypass("carol", &words).await.exits(&words, 0);
        assert!(
            done.stdout.contains("carol@example.com"),
            "{words}: {done:?}"
        );
    }
    let size = env.ledger_size().await;
    let (low, next) = (size - 3, size - 2);
    for (words, more, key) in [
        (
            "--limit 3".to_owned(),
            format!("more: add --before {low}"),
            ("before", Some(low)),
        ),
        (format!("--limit {size}"), String::new(), ("before", None)),
        (
            format!("--before {low} --limit {low}"),
            String::new(),
            ("before", None),
        ),
        (
            format!("--from {} --limit 1", low),
            format!("more: add --from {next}"),
            ("from", Some(next)),
        ),
        (format!("--from {next}"), String::new(), ("from", None)),
        (format!("--from {size}"), String::new(), ("from", None)),
    ] {
        for format in ["text", "csv", "json"] {
            let words = format!("ledger list {words} --format {format}");
            let done = env.daypass("carol", &words).await.exits(&words, 0);
            assert!(done.stderr.contains(&more), "{words}: {done:?}");
            assert_eq!(
                done.stderr.contains("more: "),
                !more.is_empty(),
                "{words}: {done:?}"
            );
            if format == "json" {
                assert_eq!(done.json()[key.0].as_u64(), key.1, "{words}: {done:?}");
            }
        }
    }
    env.close().await;
}

/// A variable that is not set listed everything, and a long or broken text was told as a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_or_wrong_condition_is_wrong_usage() {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    let long = "x".repeat(100_000);
    for (words, more, said) in [
        (
            "ledger list",
            ["--who", ""],
            "invalid --who \"\": name a person",
        ),
        (
            "ledger list",
            ["--role", ""],
            "invalid --role \"\": name a role",
        ),
        (
            "ledger list",
            ["--host", " "],
            "invalid --host \" \": name a host or host group",
        ),
        (
            "ledger list",
            ["--reason", ""],
            "invalid --reason \"\": write a part of it",
        ),
        (
            "ledger list",
            ["--reason", "a\nb"],
            "invalid --reason: it holds control characters",
        ),
        (
            "ledger list",
            ["--reason", &long],
            "invalid --reason: it is longer than 1024 bytes",
        ),
        (
            "ledger list",
            ["--host", &long[..254]],
            "invalid --host: it is longer than 253 bytes",
        ),
        (
            "ledger list",
            ["--since", ""],
            "invalid --since \"\": use 7d, today, 2026-01-05",
        ),
        (
            "ledger",
            ["policy", ""],
            "invalid HASH \"\": use the 64 hex digits",
        ),
        (
            "ledger",
            ["policy", "zz"],
            "invalid HASH \"zz\": use the 64 hex digits",
        ),
        ("ledger", ["policy", &long[..65]], "use the 64 hex digits"),
    ] {
        let more = [&more[..], &["--format", "text"]].concat();
        let done = env.run("carol", words, &more).await;
        let done = done.exits(said, 2);
        assert!(done.stderr.contains(said), "{said}: {done:?}");
        assert_eq!(done.stdout, "", "{said}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_slightly_wrong_is_read_or_named() {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    let policy = env.daypass("carol", "ledger policy").await.json();
    let hash = policy["policy"].as_str().unwrap().to_uppercase();
    let upper = env.daypass("carol", format!("ledger policy {hash}")).await;
    assert_eq!(upper.success(), policy);
    let run = async |words: &str| {
        let words = format!("{words} --format text");
        env.daypass("carol", &words).await
    };
    let place = env.folder().join("none/x").display().to_string();
    let export = run(&format!("ledger export --out {place}")).await;
    let expected =
        format!("daypass: failed to write {place}: No such file or directory (os error 2)");
    assert_eq!(first_line(&export), expected, "{export:?}");
    // An entry that the ledger has not is no request that ended long ago.
    for words in ["requests open 999", "show 999"] {
        let done = run(words).await.exits(words, 1);
        let size = env.ledger_size().await;
        let expected = format!("daypass: there is no request 999: the ledger has {size} entries");
        assert_eq!(first_line(&done), expected, "{words}");
    }
    // The terminal has the variables of these options, and the command line does not.
    let conflict = run("ledger list --from 3 --who bob").await;
    let conflict = conflict.exits("a conflict", 2);
    for option in ["--server", "--state-dir", "--ca-file"] {
        assert!(!conflict.stderr.contains(option), "{conflict:?}");
    }
    assert!(conflict.stderr.contains("--from <FROM>"), "{conflict:?}");
    env.close().await;
}
