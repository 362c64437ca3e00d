//! Hours and step-up end to end: a world whose issuer remembers people for an hour, and roles that
//! want more than that.

use std::{fs, path::Path, time::Duration};

use crate::support::{
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    files,
};
use daypass::client::{Error, choose::PassRequest, login::StepUp};
use serde_json::Value;
use time::OffsetDateTime;

const POLICY: &str = r#"
[audit]
allow = 'true'

[[role]]
name = "plain"
allow = 'true'
principals = ["root"]

[[role]]
name = "recent"
allow = '"oncall" in claims.groups'
principals = ["root"]
require = { auth_age = "15m" }

[[role]]
name = "strong"
allow = '"oncall" in claims.groups'
principals = ["root"]
require = { auth_age = "2h", acr = ["phrh", "phr"], amr = ["hwk"] }

[[role]]
name = "impossible"
allow = '"oncall" in claims.groups'
principals = ["root"]
require = { amr = ["iris"] }

[[role]]
name = "closed"
allow = '"oncall" in claims.groups'
principals = ["root"]
hours = { days = "@day@", zone = "UTC" }

[[role]]
name = "open"
allow = '"oncall" in claims.groups'
principals = ["root"]
ttl = "1h"
hours = { days = "@other@", zone = "UTC" }
"#;

/// An issuer that remembers people for an hour.
async fn start() -> (TestEnv, Terminal) {
    let now = OffsetDateTime::now_utc();
    let name = |days: i64| {
        let day = (now + time::Duration::days(days)).weekday().to_string();
        day.to_lowercase()[..3].to_owned()
    };
    // Closed two days ago and for days to come; open from yesterday to tomorrow, so that midnight
    // during the test changes nothing.
    let policy = POLICY
        .replace("@day@", &name(-3))
        .replace("@other@", &format!("{}-{}", name(-1), name(1)));
    let env = TestEnv::new().policy(policy).start().await;
    env.issuer().age_sessions(Duration::from_secs(3600));
    let terminal = env.own_terminal();
    (env, terminal)
}

/// The exit code, and stdout or else stderr.
async fn daypass(terminal: &Terminal, words: &[&str]) -> (i32, String) {
    let done = terminal.run(words).await;
    let text = if done.code == 0 {
        done.stdout
    } else {
        done.stderr
    };
    (done.code, text)
}

fn public_key(terminal: &Terminal) -> String {
    fs::read_to_string(terminal.file("key.pub")).unwrap()
}

fn wish(role: &str) -> PassRequest {
    PassRequest {
        role: Some(role.to_owned()),
        ..PassRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_told_the_exact_command_and_the_command_works() {
    let (env, terminal) = start().await;
    terminal.json(&["login", "--as", "bob"]).await;
    terminal.json(&["pass", "--role", "plain"]).await;
    let key = public_key(&terminal);
    for (role, command) in [
        ("recent", "daypass login --max-age 900"),
        (
            "strong",
            "daypass login --max-age 7200 --acr phrh --acr phr --again",
        ),
    ] {
        let (code, text) = daypass(&terminal, &["pass", "--role", role, "--format", "json"]).await;
        assert_eq!(code, 4, "{text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["error"]["reason"], "STEP_UP_REQUIRED");
        let message = error["error"]["message"].as_str().unwrap();
        let (_, said) = message.split_once("sign in again with: ").unwrap();
        assert_eq!(said, command);
        let words: Vec<&str> = said.split(' ').skip(1).chain(["--as", "bob"]).collect();
        terminal.json(&words).await;
        terminal.json(&["pass", "--role", role]).await;
    }
    // Requests that wait for this key would still find it.
    assert_eq!(public_key(&terminal), key);
    let (code, text) = daypass(&terminal, &["pass", "--role", "impossible"]).await;
    assert_eq!(code, 4);
    assert!(
        text.contains("with iris (amr)") && text.ends_with("daypass login --again\n"),
        "{text}"
    );
    let (code, text) = daypass(&terminal, &["ssh", "web-1", "--role", "impossible"]).await;
    assert_eq!(code, 4, "{text}");

    let listed = terminal.json(&["ledger", "list", "--from", "0"]).await;
    let reasons = listed["events"].as_array().unwrap().iter();
    let reasons: Vec<_> = reasons
        .filter_map(|event| event["reason"].as_str())
        .collect();
    assert_eq!(
        reasons, ["STEP_UP_REQUIRED"; 4],
        "one event for each refusal"
    );
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_again_with_what_the_refusal_wants() {
    let (env, _) = start().await;
    let client = env.client();
    let first = client
        .sign_in(&env.browser_login("bob", StepUp::default()))
        .await
        .unwrap();
    let refused = client.obtain(&wish("recent")).await.unwrap_err();
    let Error::StepUp { wanted, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!((wanted.max_age, wanted.again), (Some(900), false));

    // Of commands that were refused side by side, one signs in.
    let request = env.browser_login("bob", wanted.clone());
    let seen = Some(first.token_hash());
    let second = client.sign_in_once(&request, seen).await.unwrap();
    let third = client.sign_in_once(&request, seen).await.unwrap();
    assert_ne!(first.token, second.token);
    assert_eq!(second.token, third.token);
    assert_eq!(env.issuer().hits("/token"), 2);
    client.obtain(&wish("recent")).await.unwrap();

    // A sign-in that asks for nothing gets the issuer's memory, an hour old.
    client
        .sign_in(&env.browser_login("bob", StepUp::default()))
        .await
        .unwrap();
    let refused = client.fresh(&[wish("recent")]).await.unwrap_err();
    assert_eq!(refused.reason(), Some("STEP_UP_REQUIRED"));
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_steps_up_too() {
    let (env, terminal) = start().await;
    for (words, code) in [
        (&["login", "--device", "--as", "bob"][..], 4),
        (
            &[
                "login",
                "--device",
                "--as",
                "bob",
                "--acr",
                "phr",
                "--max-age",
                "60",
            ],
            0,
        ),
    ] {
        terminal.json(words).await;
        let (got, text) = daypass(&terminal, &["pass", "--role", "strong"]).await;
        assert_eq!(got, code, "{words:?}: {text}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_role_says_when_it_opens_and_no_pass_outlives_an_open_one() {
    let (env, terminal) = start().await;
    terminal.json(&["login", "--as", "bob"]).await;
    let (code, text) = daypass(&terminal, &["pass", "--role", "closed", "--format", "json"]).await;
    assert_eq!(code, 3, "{text}");
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(error["error"]["reason"], "HOURS");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("it opens next on") && message.contains("T00:00:00Z"),
        "{message}"
    );
    let pass = terminal.json(&["pass", "--role", "open"]).await;
    assert!(pass["serial"].as_u64().unwrap() > 0);
    env.close().await;
}

/// With a terminal, `daypass ssh` and `daypass pass` sign in on the way. `script` lends the
/// terminal, a shell script is the browser.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_terminal_the_command_signs_in_on_the_way() {
    let (env, terminal) = start().await;
    terminal.json(&["login", "--as", "bob"]).await;
    let browser = env.folder().join("browser");
    write_browser(&browser, &env.world().files().password());
    let line = format!("{DAYPASS} pass --role recent");
    let mut command = terminal.program("script", &["-qefc", &line, "/dev/null"]);
    command
        .env("DISPLAY", ":77")
        .env_remove("SSH_CONNECTION")
        .env("BROWSER", &browser);
    let done = Done::of(command).await;
    let text = &done.stdout;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        text.contains("sign in again with: daypass login --max-age 900"),
        "{text}"
    );
    assert!(text.contains("max_age=900"), "{text}");
    assert!(text.contains("/recent"), "{text}");
    env.close().await;
}

/// Fills in the dev issuer's form and goes where it sends.
fn write_browser(to: &Path, password: &Path) {
    let script = format!(
        r#"#!/bin/sh
id=$(curl -s "$1" | sed -n 's/.*name="request" value="\([^"]*\)".*/\1/p')
base=$(printf %s "$1" | sed 's,^\(http://[^/]*\)/.*,\1,')
curl -sL -o /dev/null --data-urlencode "request=$id" --data-urlencode login=bob \
  --data-urlencode "password=$(cat '{}')" "$base/login"
"#,
        password.display()
    );
    files::write_program(to, &script);
}
