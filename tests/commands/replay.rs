//! `daypass policy replay` as a user runs it: over an export, and over a world's own ledger.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{command::Done, env::TestEnv};
use serde_json::{Value, json};

/// What was in force when the export was made.
const OLD: &str = r#"
[audit]
allow = '"oncall" in claims.groups'

[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["root"]
ttl = "1h"

[[role]]
name = "logs"
allow = '"oncall" in claims.groups'
principals = ["weblogs"]
source = "caller"
ttl = "30m"
"#;

/// A Monday, 09:00 in Berlin.
const AT: &str = "2026-01-05T08:00:00Z";

fn who(name: &str, claims: Value) -> Value {
    json!({"issuer": "https://id.example.com", "subject": name, "label": format!("{name}@example.com"), "claims": claims})
}

fn denied(index: u64, name: &str, groups: &[&str], ask: Value, reason: &str) -> Value {
    json!({"index": index, "at": AT, "type": "denied", "who": who(name, json!({"groups": groups})),
        "ask": ask, "key": null, "reason": reason, "detail": "d", "policy": "p"})
}

/// A pass from the old policy.
fn issued(index: u64, at: &str, ask: Value, principal: &str, lifetime: u64) -> Value {
    let begin = 1_767_600_000_u64;
    json!({"index": index, "at": at, "type": "issued",
        "who": who("alice", json!({"groups": ["sre", "oncall"], "auth_time": begin - 1200, "amr": ["pwd"]})),
        "ask": ask, "key": "SHA256:k", "binding": "nonce", "key_id": "alice@example.com/x",
        "principals": [principal],
        "source_addresses": (principal == "weblogs").then_some(["192.0.2.7/32"]),
        "extensions": [], "valid_after": begin - 60, "valid_before": begin + lifetime,
        "policy": "p", "ca": "SHA256:c", "to_be_signed": "00"})
}

fn export() -> String {
    let events = [
        json!({"index": 0, "at": "2025-01-01T00:00:00Z", "type": "started", "version": "0.1.0", "server": "s"}),
        issued(1, AT, json!({"role": "shell"}), "root", 3600),
        issued(
            2,
            AT,
            json!({"role": "logs", "caller": "192.0.2.7"}),
            "weblogs",
            1800,
        ),
        denied(
            3,
            "bob",
            &["oncall"],
            json!({"role": "shell"}),
            "NOT_ALLOWED",
        ),
        denied(
            4,
            "bob",
            &["oncall"],
            json!({"role": "none"}),
            "ROLE_UNKNOWN",
        ),
        denied(5, "eve", &[], json!({"role": "shell"}), "POSSESSION"),
        denied(
            6,
            "eve",
            &[],
            json!({"role": "shell", "reason": format!("{}...", "x".repeat(1024))}),
            "NOT_ALLOWED",
        ),
        cut(7),
        json!({"index": 8, "at": AT, "type": "denials", "who": who("eve", json!({})), "identities": 1,
            "count": 3, "reasons": {"NOT_ALLOWED": 3}, "since": 1, "until": 2}),
        json!({"index": 9, "at": AT, "type": "of_tomorrow"}),
    ];
    let lines = events.map(|event| format!("{event}\n"));
    format!("{}\nnote\n", lines.concat())
}

/// A denial whose claims were left out: what is left of it would let no one in.
fn cut(index: u64) -> Value {
    let mut event = denied(index, "eve", &[], json!({"role": "logs"}), "PARAMETER");
    event["cut"] = true.into();
    event
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daypass"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("DAYPASS_FORMAT")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Index, decision before, decision after and a part of the reason, of every change.
type Changes<'a> = &'a [(u64, &'a str, &'a str, &'a str)];

#[test]
fn every_decision_that_would_change_is_shown_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("export", &export());
    let replace = |from: &str, to: &str| {
        assert!(OLD.contains(from), "{from}");
        OLD.replace(from, to)
    };
    let shell = |more: &str| {
        replace(
            "principals = [\"root\"]",
            &format!("principals = [\"root\"]\n{more}"),
        )
    };
    let cases: Vec<(&str, String, Changes<'_>)> = vec![
        ("the same file", OLD.to_owned(), &[]),
        (
            "a role is gone",
            replace("\"logs\"", "\"log\""),
            &[(
                2,
                "granted weblogs",
                "denied ROLE_UNKNOWN",
                "no role \"logs\"",
            )],
        ),
        (
            "more people",
            replace("'\"sre\" in", "'\"oncall\" in"),
            &[(3, "denied NOT_ALLOWED", "granted root", "NOT_ALLOWED")],
        ),
        (
            "a shorter life and no source",
            replace("source = \"caller\"\nttl = \"30m\"", "ttl = \"10m\""),
            &[(
                2,
                "granted weblogs",
                "granted weblogs",
                "source 192.0.2.7/32 -> any; lifetime 30m -> 10m",
            )],
        ),
        (
            "hours, judged at the time of asking",
            shell(
                "hours = { days = \"tue-fri\", from = \"08:00\", to = \"18:00\", zone = \"Europe/Berlin\" }",
            ),
            &[(
                1,
                "granted root",
                "denied HOURS",
                "opens next on tue 2026-01-06T08:00:00+01:00",
            )],
        ),
        (
            "hours that were open",
            shell(
                "hours = { days = \"mon-fri\", from = \"08:00\", to = \"18:00\", zone = \"Europe/Berlin\" }",
            ),
            &[],
        ),
        (
            "a pass that would end at closing time",
            shell("hours = { from = \"08:00\", to = \"09:30\", zone = \"Europe/Berlin\" }"),
            &[(1, "granted root", "granted root", "lifetime 1h -> 30m")],
        ),
        (
            "a sign-in that was 20 minutes old",
            shell("require = { auth_age = \"15m\" }"),
            &[(
                1,
                "granted root",
                "denied STEP_UP_REQUIRED",
                "this one is 20m",
            )],
        ),
        (
            "one that was new enough",
            shell("require = { auth_age = \"20m\", amr = [\"pwd\"] }"),
            &[],
        ),
    ];
    for (case, policy, expected) in cases {
        write("new.toml", &policy);
        let output = run(
            folder.path(),
            &[
                "policy", "replay", "new.toml", "--export", "export", "--format", "json",
            ],
        );
        let changed = i32::from(!expected.is_empty());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(changed), "{case}: {said}");
        let replayed: Value = serde_json::from_slice(&output.stdout).expect(&said);
        let changes = replayed["changes"].as_array().unwrap();
        assert_eq!(changes.len(), expected.len(), "{case}: {replayed}");
        for (change, (index, was, would_be, why)) in changes.iter().zip(expected) {
            assert_eq!(change["index"], *index, "{case}");
            assert_eq!(change["was"], *was, "{case}");
            assert_eq!(change["would_be"], *would_be, "{case}");
            assert!(
                change["why"].as_str().unwrap().contains(why),
                "{case}: {change}"
            );
        }
        assert_eq!(replayed["judged"], 4, "{case}");
        let left = replayed["not_judged"].as_array().unwrap();
        let left: Vec<_> = left
            .iter()
            .map(|left| left["index"].as_u64().unwrap())
            .collect();
        assert_eq!(left, [5, 6, 7, 8, 9], "{case}");
    }
}

/// One role whose asks wait, with an emergency.
const WAITING: &str = r#"
[limits]
ttl = "8h"
principals = ["root", "web"]

[[role]]
name = "prod"
allow = '"oncall" in claims.groups'
principals = ["root"]
ttl = "1h"
reason = '.+'
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }
emergency = { allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups' }

[[role]]
name = "plain"
allow = '"oncall" in claims.groups'
principals = ["web"]
ttl = "1h"
"#;

fn prod(more: Value) -> Value {
    let mut ask = json!({"role": "prod", "reason": "INC-7"});
    ask.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    ask
}

/// A request, its approval and redemption; an emergency; a plain pass; two denials; and a user who
/// may not approve.
fn waiting() -> String {
    let begin = 1_767_600_000_u64;
    let requested = json!({"index": 1, "at": AT, "type": "requested",
        "who": who("alice", json!({"groups": ["oncall"]})), "ask": prod(json!({})), "key": "SHA256:k",
        "needed": 1, "expires_at": begin + 1800, "principals": ["root"], "extensions": [], "ttl_seconds": 3600,
        "policy": "p"});
    let approved = json!({"index": 3, "at": AT, "type": "approved", "request": 1, "role": "prod",
        "who": who("carol", json!({"groups": ["sre-lead"]})), "key": "ssh-ed25519 A", "signature": "S", "policy": "p"});
    let events = [
        json!({"index": 0, "at": "2025-01-01T00:00:00Z", "type": "started", "version": "0.1.0", "server": "s"}),
        requested,
        denied(
            2,
            "alice",
            &["oncall"],
            prod(json!({"request": 1})),
            "APPROVAL",
        ),
        approved,
        issued(4, AT, prod(json!({"request": 1})), "root", 3600),
        issued(5, AT, prod(json!({"emergency": true})), "root", 900),
        issued(6, AT, json!({"role": "plain"}), "web", 3600),
        denied(7, "bob", &["dev"], prod(json!({})), "NOT_ALLOWED"),
        denied(
            8,
            "mallory",
            &["oncall"],
            prod(json!({"request": 1})),
            "APPROVAL",
        ),
        issued(9, AT, prod(json!({"request": 77})), "root", 3600),
    ];
    let lines = events.map(|event| format!("{event}\n"));
    format!("{}\nnote\n", lines.concat())
}

#[test]
fn waiting_for_others_is_a_decision_that_can_change() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("export", &waiting());
    let replace = |from: &str, to: &str| {
        assert!(WAITING.contains(from), "{from}");
        WAITING.replace(from, to)
    };
    let approval =
        "approval = { count = 1, by = '\"sre-lead\" in claims.groups', within = \"30m\" }\n";
    let emergency = WAITING
        .lines()
        .find(|line| line.starts_with("emergency"))
        .unwrap();
    let without = replace(approval, "").replace(emergency, "");
    let plain = "principals = [\"web\"]\n";
    let cases: Vec<(&str, String, Changes<'_>)> = vec![
        ("the same file", WAITING.to_owned(), &[]),
        (
            "no approval is needed any more",
            without,
            &[
                (
                    1,
                    "needs 1 approval",
                    "granted root",
                    "no approval is needed any more",
                ),
                (
                    2,
                    "denied APPROVAL",
                    "granted root",
                    "no check denies it any more (APPROVAL)",
                ),
                (
                    4,
                    "approved root",
                    "granted root",
                    "no approval is needed any more",
                ),
                (
                    5,
                    "emergency root",
                    "denied NOT_ALLOWED",
                    "has no `emergency`",
                ),
            ],
        ),
        (
            "a plain role waits now",
            replace(plain, &format!("{plain}{approval}")),
            &[(
                6,
                "granted web",
                "needs 1 approval",
                "it needs approval now",
            )],
        ),
        (
            "two must approve",
            replace("count = 1", "count = 2"),
            &[
                (
                    1,
                    "needs 1 approval",
                    "needs 2 approvals",
                    "approvals 1 -> 2",
                ),
                (
                    4,
                    "approved root",
                    "denied APPROVAL",
                    "needs 2 approvals now, and the request has 1",
                ),
            ],
        ),
        (
            "others approve",
            replace("\"sre-lead\" in", "\"security\" in"),
            &[(4, "approved root", "denied APPROVAL", "the request has 0")],
        ),
        (
            "a shorter wait",
            replace("within = \"30m\"", "within = \"10m\""),
            &[(
                1,
                "needs 1 approval",
                "needs 1 approval",
                "waits for 30m -> 10m",
            )],
        ),
        (
            "a shorter life",
            replace("ttl = \"1h\"\nreason", "ttl = \"20m\"\nreason"),
            &[
                (
                    1,
                    "needs 1 approval",
                    "needs 1 approval",
                    "lifetime 1h -> 20m",
                ),
                (4, "approved root", "approved root", "lifetime 1h -> 20m"),
            ],
        ),
        (
            "a longer life, of which a request has only what was approved",
            replace("ttl = \"1h\"\nreason", "ttl = \"2h\"\nreason"),
            &[(
                1,
                "needs 1 approval",
                "needs 1 approval",
                "lifetime 1h -> 2h",
            )],
        ),
        (
            "more people",
            replace(
                "'\"oncall\" in claims.groups'\nprincipals = [\"root\"]",
                "'true'\nprincipals = [\"root\"]",
            ),
            &[(7, "denied NOT_ALLOWED", "needs 1 approval", "NOT_ALLOWED")],
        ),
    ];
    for (case, policy, expected) in cases {
        write("new.toml", &policy);
        let arguments = [
            "policy", "replay", "new.toml", "--export", "export", "--format", "json",
        ];
        let output = run(folder.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = i32::from(!expected.is_empty());
        assert_eq!(output.status.code(), Some(code), "{case}: {said}");
        let replayed: Value = serde_json::from_slice(&output.stdout).expect(&said);
        let changes = replayed["changes"].as_array().unwrap();
        assert_eq!(changes.len(), expected.len(), "{case}: {replayed}");
        for (change, (index, was, would_be, why)) in changes.iter().zip(expected) {
            assert_eq!(change["index"], *index, "{case}");
            assert_eq!(
                (&change["was"], &change["would_be"]),
                (&json!(was), &json!(would_be)),
                "{case}"
            );
            assert!(
                change["why"].as_str().unwrap().contains(why),
                "{case}: {change}"
            );
        }
        let left = replayed["not_judged"].as_array().unwrap();
        let left: Vec<_> = left
            .iter()
            .map(|left| left["index"].as_u64().unwrap())
            .collect();
        assert_eq!(
            (left, &replayed["judged"]),
            (vec![8, 9], &json!(6)),
            "{case}"
        );
    }
}

#[test]
fn a_person_reads_a_table_and_chooses_since_when() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("export", &export());
    write("none", "nothing\n");
    write("new.toml", &OLD.replace("\"sre\"", "\"none\""));
    let replay = |more: &[&str]| {
        run(
            folder.path(),
            &[&["policy", "replay", "new.toml"][..], more].concat(),
        )
    };
    for (case, more, code, part) in [
        (
            "all of it",
            &["--export", "export"][..],
            1,
            "INDEX  AT                   WHO                ROLE   WAS           WOULD BE            WHY\n\
             1      2026-01-05T08:00:00  alice@example.com  shell  granted root  denied NOT_ALLOWED  allow: role \"shell\" is for",
        ),
        (
            "what was not judged",
            &["--export", "export"],
            1,
            "not judged: 5: it was refused apart from the policy (POSSESSION)",
        ),
        (
            "what was cut",
            &["--export", "export"],
            1,
            "not judged: 7: the record has only a part of the ask or its claims",
        ),
        (
            "what was counted",
            &["--export", "export"],
            1,
            "not judged: 8: 3 denials were counted without their asks",
        ),
        (
            "the sum",
            &["--export", "export"],
            1,
            "new.toml: 4 asks judged, 1 would change, 5 not judged",
        ),
        (
            "since a date",
            &["--export", "export", "--since", "2026-01-06"],
            0,
            "0 asks judged, 0 would change, 1 not judged",
        ),
        (
            "since a moment",
            &["--export", "export", "--since", "2026-01-05T08:00:00Z"],
            1,
            "4 asks judged",
        ),
        (
            "since long ago",
            &["--export", "export", "--since", "500y"],
            1,
            "4 asks judged",
        ),
        ("no time", &["--export", "export", "--since", "soon"], 2, ""),
        ("no export", &["--export", "none"], 2, ""),
        ("no such file", &["--export", "gone"], 1, ""),
    ] {
        let output = replay(more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{case}: {said}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(part), "{case}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_s_ledger_is_replayed_with_the_session_s_token() {
    let env = TestEnv::new().policy(OLD).start().await;
    fs::write(env.folder().join("old.toml"), OLD).unwrap();
    let closed = OLD.replace(
        "\"oncall\" in claims.groups'\nprincipals",
        "\"gone\" in claims.groups'\nprincipals",
    );
    fs::write(env.folder().join("new.toml"), closed).unwrap();
    let terminal = env.own_terminal();
    let daypass = async |words: &[&str]| {
        let mut command = terminal.command(words);
        command.current_dir(env.folder());
        let done = Done::of(command).await;
        (Some(done.code), done.stdout)
    };
    let signed_out = daypass(&["policy", "replay", "old.toml"]).await;
    assert_eq!(signed_out.0, Some(4));
    for words in [&["login", "--as", "bob"][..], &["pass", "--role", "logs"]] {
        assert_eq!(daypass(words).await.0, Some(0), "{words:?}");
    }
    assert_eq!(daypass(&["pass", "--role", "shell"]).await.0, Some(3));
    let (code, text) = daypass(&["policy", "replay", "old.toml", "--since", "1h"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 asks judged, 0 would change"), "{text}");
    let (code, text) = daypass(&["policy", "replay", "new.toml"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("granted weblogs  denied NOT_ALLOWED"),
        "{text}"
    );
    env.close().await;
}
