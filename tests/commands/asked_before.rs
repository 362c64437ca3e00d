//! What a user has asked for by a request or as an emergency is used by the next command that it
//! fits, without its number.

use std::{fs, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::env::TestEnv;

/// Bob may have `shell` at once, and `prod` and `root` when carol approves.
const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["deploy", "root"]

[hosts]
web = ["web-*"]
db = ["db-*"]

[[role]]
name = "shell"
allow = '"oncall" in claims.groups'
hosts = ["web", "db"]
principals = ["deploy"]
pty = true
ttl = "30m"

[[role]]
name = "prod"
allow = '"oncall" in claims.groups'
hosts = ["web"]
principals = ["deploy", "root"]
pty = true
ttl = "30m"
reason = 'INC-[0-9]+'
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }
emergency = { allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups' }

[audit]
allow = 'true'
"#;

async fn world() -> TestEnv {
    TestEnv::new()
        .policy(POLICY)
        .signed_in(&["bob", "carol"])
        .start()
        .await
}

/// Bob opens a request; returns its number.
async fn request(env: &TestEnv, words: &str) -> u64 {
    let done = env.daypass("bob", format!("request {words}")).await;
    done.exits("it waits", 5).json()["id"].as_u64().unwrap()
}

async fn approve(env: &TestEnv, id: u64) {
    let approved = env.daypass("carol", format!("requests approve {id}"));
    approved.await.exits("carol approves", 0);
}

/// The pass that plain ssh to `host` uses after its `ensure`.
async fn plain_ssh(env: &TestEnv, host: &str, login: Option<&str>) -> Value {
    let login = login.map(|login| format!("--login {login} --local bob"));
    let words = format!("ensure --host {host} {}", login.clone().unwrap_or_default());
    env.daypass("bob", words).await.exits("ensure", 0);
    let folder = match login {
        Some(_) => env.terminal("bob").of_host(host).join("login-root"),
        None => env.terminal("bob").of_host(host),
    };
    let config = fs::read_to_string(folder.join("ssh_config")).unwrap();
    let line = config.lines().find_map(|line| {
        let line = line.trim().strip_prefix("CertificateFile ")?;
        Some(line.trim_matches('"').to_owned())
    });
    let inspected = env.daypass("bob", format!("inspect {}", line.unwrap()));
    inspected.await.exits("inspect", 0).json()
}

fn role(pass: &Value) -> &str {
    pass["key_id"].as_str().unwrap().rsplit('/').next().unwrap()
}

async fn issued(env: &TestEnv) -> usize {
    let events = env.events(0).await;
    let issued = events.iter().filter(|event| event["type"] == "issued");
    issued.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_twice_is_one_request_that_is_open_already() {
    let env = world().await;
    let first = request(&env, "prod --host web-1 --reason INC-7").await;
    let size = env.ledger_size().await;
    let again = env.daypass("bob", "request prod --host web-1 --reason INC-7");
    let again = again.await.exits("still waits", 5);
    assert_eq!(again.json()["id"], first);
    let said = format!("request {first} is open already");
    assert!(again.stderr.contains(&said), "{}", again.stderr);
    let pass = env.daypass("bob", "pass --role prod --host web-1 --reason INC-7");
    let pass = pass.await.exits("waits too", 5);
    assert!(pass.stderr.contains(&said), "{}", pass.stderr);
    assert_eq!(env.ledger_size().await, size, "nothing was recorded");

    for (case, words) in [
        ("another reason", "prod --host web-1 --reason INC-8"),
        ("another host", "prod --host web-2 --reason INC-7"),
        (
            "a shorter life",
            "prod --host web-1 --reason INC-7 --ttl 5m",
        ),
    ] {
        assert_ne!(request(&env, words).await, first, "{case}");
    }
    let cancelled = env.daypass("bob", format!("requests cancel {first}"));
    cancelled.await.exits("cancel", 0);
    let new = request(&env, "prod --host web-1 --reason INC-7").await;
    assert_ne!(new, first, "one that has ended is opened anew");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_is_used_by_the_next_plain_ssh_that_it_fits() {
    let env = world().await;
    // Bob's ordinary pass is on disk, and works while the request waits.
    assert_eq!(role(&plain_ssh(&env, "web-1", None).await), "shell");
    let id = request(&env, "prod --host web-1 --reason INC-7").await;
    assert_eq!(role(&plain_ssh(&env, "web-1", None).await), "shell");
    approve(&env, id).await;
    assert_eq!(
        role(&plain_ssh(&env, "web-2", None).await),
        "shell",
        "another host"
    );
    let pass = plain_ssh(&env, "web-1", None).await;
    assert_eq!(role(&pass), "prod");
    let before = issued(&env).await;
    let root = plain_ssh(&env, "web-1", Some("root")).await;
    assert_eq!(root["serial"], pass["serial"], "a login that it opens too");
    assert_eq!(issued(&env).await, before, "redeemed once");
    let shell = env.daypass("bob", "pass --role shell --host web-1");
    let shell = shell.await.exits("another role is asked for", 0).json();
    assert_eq!(shell["role"], "shell");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_redeems_its_request_by_the_same_command_again() {
    let env = world().await;
    let words = "pass --role prod --reason INC-7";
    let waits = env.daypass("bob", words).await.exits("waits", 5);
    let next = format!("run: daypass {words}");
    assert!(waits.error()["message"].as_str().unwrap().ends_with(&next));
    let listed = env.daypass("carol", "requests").await.json();
    approve(&env, listed["requests"][0]["id"].as_u64().unwrap()).await;
    let pass = env.daypass("bob", words).await.exits("redeems", 0).json();
    assert_eq!(pass["role"], "prod");
    // The request named no host: its pass is for the hosts of its role, as the server says.
    assert_eq!(role(&plain_ssh(&env, "web-1", None).await), "prod");
    assert_eq!(role(&plain_ssh(&env, "db-1", None).await), "shell");
    let spent = env.daypass("bob", words).await;
    spent.exits("one request, one pass: a new one is opened", 5);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_denied_is_told_once_and_the_ordinary_pass_is_used() {
    let env = world().await;
    let id = request(&env, "prod --host web-1 --reason INC-7").await;
    let words = format!("requests deny {id} --comment");
    let denied = env.run("carol", &words, &["not today"]);
    denied.await.exits("deny", 0);
    let first = env.daypass("bob", "ensure --host web-1").await;
    let first = first.exits("the shell opens", 0);
    let said = format!("request {id} was denied by carol@example.com: not today");
    assert!(first.stderr.contains(&said), "{}", first.stderr);
    let second = env.daypass("bob", "ensure --host web-1").await;
    assert_eq!(second.stderr, "", "told once");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_pass_is_used_by_the_next_plain_ssh_that_it_fits() {
    let env = world().await;
    let words = "pass --role prod --host web-1 --reason INC-7 --emergency";
    let pass = env.daypass("bob", words).await.exits("emergency", 0);
    let serial = pass.json()["serial"].clone();
    let review = format!("daypass review {serial}");
    assert!(pass.stderr.contains(&review), "{}", pass.stderr);
    for login in [None, Some("root")] {
        let used = plain_ssh(&env, "web-1", login).await;
        assert_eq!(used["serial"], serial, "{login:?}");
    }
    assert_eq!(role(&plain_ssh(&env, "web-2", None).await), "shell");
    // Signing out forgets it.
    env.daypass("bob", "logout").await.exits("logout", 0);
    env.terminal("bob").sign_in("bob").await;
    assert_eq!(role(&plain_ssh(&env, "web-1", None).await), "shell");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_ends_by_ctrl_c_says_how_to_go_on_and_how_to_cancel() {
    let env = world().await;
    let mut waiting = env.command("bob", "pass --role prod --reason INC-7 --wait 2m", &[]);
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.contains("waiting for approval"), "{line}");
    let pid = Pid::from_raw(waiting.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    let code = waiting.wait().await.unwrap().code();
    assert_eq!(code, Some(130), "{last}");
    let error: Value = serde_json::from_str(&last).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    let listed = env.daypass("bob", "requests").await.json();
    let id = listed["requests"][0]["id"].as_u64().unwrap();
    for words in [
        format!("request {id} stays open"),
        "run: daypass pass --role prod --reason INC-7".to_owned(),
        format!("daypass requests cancel {id}"),
    ] {
        assert!(message.contains(&words), "{message}");
    }
    let cancelled = env.daypass("bob", format!("requests cancel {id}"));
    cancelled.await.exits("the printed command works", 0);
    env.close().await;
}
