//! Denials over gRPC: how large one may be, and how many of them the ledger takes.

use crate::support::{
    api::{Caller, another, ask},
    env::TestEnv,
    ledger::{export, trust},
};
use daypass::{
    ledger::{checkpoint::Verifier, denials::BURST, verify},
    proto::v1::Ask,
};
use serde_json::Value;
use tonic::Code;

/// 4 KiB of the caller's text and 4 KiB of claims, two names of 1.5 KiB, and the frame.
const LARGEST_DENIAL: usize = 12 * 1024;

/// A usual refusal for a usual caller.
const SMALL_DENIAL: usize = 2 * 1024;

const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["deploy"]
[audit]
allow = '"security" in claims.groups'
[[role]]
name = "logs"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
command = ["/bin/echo", "{unit}", "{line}"]
params.unit = { pattern = "(?s).*" }
params.line = { pattern = "(?s).*" }
[[role]]
name = "prod"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }
"#;

fn bytes(event: &Value) -> usize {
    daypass::ledger::event::ascii_json(event).unwrap().len()
}

/// As many of the longest parameters as one message holds.
fn full(role: &str, text: &str) -> Ask {
    let value = text.repeat(4096 / text.len());
    let params = (0..13).map(|n| (format!("{n:02}{}", "n".repeat(62)), value.clone()));
    Ask {
        params: params.collect(),
        reason: "\u{10fffd}".repeat(256),
        ..ask(role)
    }
}

#[tokio::test]
async fn one_denial_is_not_117_kib_in_the_ledger() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    let mut claims = env.claims(&caller, "mallory", &["visitors"]);
    claims["groups"] = vec!["\u{10fffd}".repeat(8); 64].into();
    let token = env.sign(claims);
    for role in ["none", "logs", "prod"] {
        for text in ["\u{10fffd}", "\0", "\"", "x"] {
            let before = env.ledger_size().await;
            let ask = full(role, text);
            let attempt = caller.attempt(env.api.server_name(), &token, ask);
            let refusal = env.api.issue(&attempt).await.unwrap_err();
            assert!(!refusal.message.is_empty(), "{role} {text:?}");
            let events = env.events(before).await;
            assert_eq!(events.len(), 1, "{role} {text:?}");
            assert_eq!(events[0]["type"], "denied");
            assert_eq!(events[0]["cut"], true, "{role} {text:?}: {}", events[0]);
            assert_eq!(
                events[0]["ask"].get("params"),
                None,
                "the role has none of them"
            );
            let size = bytes(&events[0]);
            assert!(size <= LARGEST_DENIAL, "{role} {text:?}: {size}");
        }
    }
}

#[tokio::test]
async fn parameters_that_the_role_does_not_have_are_not_recorded() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    let token = env.sign(env.claims(&caller, "mallory", &["visitors"]));
    let before = env.ledger_size().await;
    let params = [("unit", "nginx"), ("secret", "hunter2")];
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked = Ask {
        params: params.into(),
        ..ask("logs")
    };
    let attempt = caller.attempt(env.api.server_name(), &token, asked);
    env.api.issue(&attempt).await.unwrap_err();
    let events = env.events(before).await;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event["ask"]["params"], serde_json::json!({"unit": "nginx"}));
    assert_eq!(event["cut"], true);
    assert!(bytes(event) <= SMALL_DENIAL);
}

#[tokio::test]
async fn what_the_ledger_could_not_hold_whole_is_refused_and_not_cut() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    let token = env.sign(env.claims(&caller, "alice", &["oncall"]));
    let ask = |value: &str| Ask {
        params: ["unit", "line"]
            .map(|name| (name.to_owned(), value.to_owned()))
            .into(),
        ..ask("logs")
    };
    let issue = async |value: &str| {
        let attempt = caller.attempt(env.api.server_name(), &token, ask(value));
        env.api.issue(&attempt).await
    };
    let before = env.ledger_size().await;
    let fits = "x".repeat(1024);
    issue(&fits).await.unwrap();
    let events = env.events(before).await;
    assert_eq!(events[0]["ask"]["params"]["unit"], fits, "recorded whole");
    for value in ["\u{10fffd}".repeat(256), "\\".repeat(1024)] {
        let before = env.ledger_size().await;
        let refusal = issue(&value).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert_eq!(refusal.reason, "ASK_MALFORMED");
        assert!(refusal.message.contains("shorten"), "{}", refusal.message);
        let events = env.events(before).await;
        assert_eq!((events.len(), &events[0]["type"]), (1, &"denied".into()));
        assert!(bytes(&events[0]) <= LARGEST_DENIAL);
    }
}

/// Denies `count` asks of one identity: every caller gets the same answer.
async fn flood(env: &TestEnv, subject: &str, count: u32) {
    let caller = Caller::new();
    let token = env.sign(env.claims(&caller, subject, &["visitors"]));
    let attempt = caller.attempt(env.api.server_name(), &token, ask("logs"));
    for _ in 0..count {
        let refusal = env.api.issue(&attempt).await.unwrap_err();
        assert_eq!(refusal.code, Code::PermissionDenied);
        assert_eq!(refusal.reason, "NOT_ALLOWED");
    }
}

#[tokio::test]
async fn one_identity_does_not_fill_the_ledger_with_denials() {
    let env = TestEnv::with_policy(POLICY).await;
    let before = env.ledger_size().await;
    flood(&env, "mallory", 200).await;
    assert_eq!(env.ledger_size().await - before, u64::from(BURST));
    flood(&env, "eve", 1).await;
    assert_eq!(env.ledger_size().await - before, u64::from(BURST) + 1);
}

/// What the writer refuses, because the ledger is against it, has the same rate.
#[tokio::test]
async fn objections_of_the_ledger_do_not_fill_it_either() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    let token = env.sign(env.claims(&caller, "alice", &["oncall"]));
    let before = env.ledger_size().await;
    let mut waiting = 0;
    for number in 0..150 {
        let ask = another(ask("prod"), number);
        let attempt = caller.attempt(env.api.server_name(), &token, ask);
        match env.api.issue(&attempt).await {
            Ok(answer) => waiting += u64::from(answer.pending.is_some()),
            Err(refusal) => assert_eq!(refusal.reason, "TOO_MANY_REQUESTS"),
        }
    }
    assert_eq!(env.ledger_size().await - before, waiting + u64::from(BURST));
}

/// The counted denials are recorded before the store closes, and the next start reads them.
#[tokio::test]
async fn counted_denials_are_in_the_ledger_after_a_restart_and_verify() {
    let server = TestEnv::new().policy(POLICY).prepare().await;
    let mut process = server.spawn(&[]);
    let api = server.expect_api(&mut process).await;
    let caller = Caller::new();
    let token = server.token(&caller, "mallory", &["visitors"]);
    let attempt = caller.attempt(api.server_name(), &token, ask("logs"));
    for _ in 0..BURST + 7 {
        api.issue(&attempt).await.unwrap_err();
    }
    process.stop().await;

    let mut process = server.spawn(&[]);
    let api = server.expect_api(&mut process).await;
    let auditor = server.token(&caller, "carol", &["security"]);
    let events = api.events(&auditor, 0).await;
    let counts: Vec<&Value> = events.iter().filter(|it| it["type"] == "denials").collect();
    let [count] = &counts[..] else {
        panic!("{events:?}")
    };
    assert_eq!(count["count"], 7);
    assert_eq!(count["who"]["subject"], "mallory");
    assert_eq!(count["who"]["claims"], serde_json::json!({}));
    assert_eq!(count["reasons"], serde_json::json!({"NOT_ALLOWED": 7}));
    let denied = events.iter().filter(|it| it["type"] == "denied");
    assert_eq!(denied.count(), BURST as usize);

    let verifier = Verifier::parse(&trust(&api).await.ledger_verifier_key).unwrap();
    let export = export(&api, &auditor).await;
    let report = verify::verify_export(&export, &verifier).unwrap();
    assert_eq!(report.events, events.len() as u64);
    // A count that does not add up is none that the daemon writes.
    let text = String::from_utf8(export).unwrap();
    let wrong = text.replacen("\"count\":7", "\"count\":8", 1);
    let error = verify::verify_export(wrong.as_bytes(), &verifier).unwrap_err();
    assert!(error.to_string().contains("do not add up"), "{error}");
}
