//! What `login` and `whoami` say at the end of a sign-in: the server's view, or its refusal.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::support::{
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    now,
};

async fn start() -> (TestEnv, Terminal) {
    let env = TestEnv::new().start().await;
    let terminal = env.own_terminal();
    (env, terminal)
}

/// Signs in with a token that the issuer made, after this change of its claims.
async fn sign_in_with(env: &TestEnv, terminal: &Terminal, change: impl FnOnce(&mut Value)) -> Done {
    let prepared = terminal.json(&["login", "--print-audience"]).await;
    let mut claims = env.issuer().claims("alice");
    claims["nonce"] = prepared["nonce"].clone();
    change(&mut claims);
    let token = terminal.home.join("token");
    fs::write(&token, env.sign(claims)).unwrap();
    let words = ["login", "--token-file", token.to_str().unwrap()];
    terminal.run_json(&words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_with_the_number_of_open_roles() {
    let (env, terminal) = start().await;
    let done = terminal
        .run(&["login", "--as", "alice"])
        .await
        .exits("alice", 0);
    assert!(
        done.stdout
            .contains("4 roles are open to you: daypass roles"),
        "{done:?}"
    );
    let done = terminal
        .run(&["login", "--as", "mallory"])
        .await
        .exits("mallory", 0);
    assert!(done.stdout.contains("No role is open to you"), "{done:?}");
    let signed_in = terminal.json(&["login", "--as", "alice"]).await;
    assert_eq!(
        signed_in["roles"],
        json!(["shell", "logs", "prod", "prod-root"])
    );
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_server_refuses_is_said_and_not_kept() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    let before = fs::read(terminal.file("session.json")).unwrap();
    for (case, name, value, reason, says) in [
        (
            "expired",
            "exp",
            json!(now() - 60),
            "TOKEN_EXPIRED",
            "the server's clock says",
        ),
        (
            "from the future",
            "iat",
            json!(now() + 600),
            "TOKEN_NOT_YET_VALID",
            "The provider's clock is",
        ),
        (
            "another client",
            "aud",
            json!("grafana"),
            "TOKEN_AUDIENCE",
            "\"grafana\"",
        ),
        (
            "too many groups",
            "hasgroups",
            json!(true),
            "TOKEN_OVERAGE",
            "assigned to this application",
        ),
    ] {
        let done = sign_in_with(&env, &terminal, |claims| {
            if name == "exp" {
                claims["iat"] = json!(now() - 3600);
            }
            claims[name] = value;
        });
        let error = done.await.exits(case, 3).error();
        assert_eq!(error["reason"], reason, "{case}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{case}: {message}");
        let after = fs::read(terminal.file("session.json")).unwrap();
        assert!(before == after, "{case}: the session before it stays");
    }
    terminal.json(&["pass", "--role", "shell"]).await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_server_cannot_confirm_is_kept_and_exits_6() {
    let (env, terminal) = start().await;
    let prepared = terminal.json(&["login", "--print-audience"]).await;
    let mut claims = env.issuer().claims("alice");
    claims["nonce"] = prepared["nonce"].clone();
    // The server has no key of this token, and cannot get it.
    env.issuer().rotate().unwrap();
    let token = env.sign(claims);
    env.issuer().stop().await;
    let file = terminal.home.join("token");
    fs::write(&file, token).unwrap();
    let words = ["login", "--token-file", file.to_str().unwrap()];
    let done = terminal.run(&words).await;
    let done = done.exits("unconfirmed", 6);
    assert!(done.stderr.contains("did not confirm it"), "{done:?}");
    assert!(done.stdout.contains("Signed in to"), "{done:?}");
    env.close().await;
}

/// Runs `daypass` with a clock that is so far off.
async fn at(terminal: &Terminal, offset: &str, words: &[&str]) -> Done {
    let asked = Command::new("faketime")
        .args(["-f", offset, "printenv", "LD_PRELOAD"])
        .output()
        .expect("faketime is missing: apt-get install faketime");
    let mut command = terminal.program(DAYPASS, words);
    command
        .env(
            "LD_PRELOAD",
            String::from_utf8(asked.stdout).unwrap().trim(),
        )
        .env("FAKETIME", offset)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Done::of(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_said_at_the_sign_in() {
    let (env, terminal) = start().await;
    let late = at(&terminal, "+2h", &["login", "--as", "alice"]).await;
    let late = late.exits("two hours ahead", 4);
    assert!(late.stderr.contains("clock is 2h"), "{late:?}");
    assert!(late.stderr.contains("ahead of the server's"), "{late:?}");
    let early = at(&terminal, "-10m", &["login", "--as", "alice"]).await;
    let early = early.exits("ten minutes behind", 0);
    assert!(
        early.stderr.contains("behind the server's: correct it"),
        "{early:?}"
    );
    let seen = at(&terminal, "-10m", &["whoami"]).await.exits("whoami", 0);
    assert!(seen.stderr.contains("behind the server's"), "{seen:?}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_shows_the_caller_as_the_server_sees_them_and_records_nothing() {
    let (env, terminal) = start().await;
    terminal
        .run(&["whoami"])
        .await
        .exits("without a sign-in", 4);
    terminal.sign_in("alice").await;
    let before = env.events(0).await.len();
    let seen = terminal.json(&["whoami"]).await;
    assert_eq!(seen["issuer"], env.issuer().url());
    assert_eq!(seen["label"], "alice@example.com");
    assert_eq!(seen["binding"], "nonce");
    assert_eq!(seen["claims"]["groups"], json!(["sre", "oncall"]));
    assert!(seen["claims"].get("nonce").is_none());
    assert_eq!(seen["roles"], json!(["shell", "logs", "prod", "prod-root"]));
    let done = terminal.run(&["whoami"]).await.exits("text", 0);
    for row in [
        "alice@example.com\n",
        "  subject    alice\n",
        "  groups  sre, oncall",
    ] {
        assert!(done.stdout.contains(row), "{row}: {}", done.stdout);
    }
    assert_eq!(env.events(0).await.len(), before);
    env.close().await;
}
