//! Sign-in and passes against a certified provider, with every algorithm, by browser and by device,
//! across a rotation of its keys: the real `daypass` commands, a headless person, and a daemon that
//! knows the provider as one issuer of two.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use support::{command::Terminal, env::TestEnv, provider::Provider};

/// An environment whose daemon knows this provider beside its own issuer.
async fn start(provider: &Provider, algorithm: &str) -> TestEnv {
    let issuer = format!(
        "[[issuer]]\nname = \"certified\"\nurl = \"{}\"\nclient_id = \"daypass\"\nalgorithms = [\"{algorithm}\"]\n\
         binding = \"nonce\"\nscopes = [\"openid\", \"email\", \"groups\"]\ndevice_flow = true\n",
        provider.url()
    );
    TestEnv::new().configuration(issuer).start().await
}

async fn sign_in(terminal: &Terminal, name: &str, how: &str) -> Value {
    let words = ["login", how, "--issuer", "certified", "--as", name];
    terminal.json(&words).await
}

/// The event behind a pass, as the ledger shows it.
async fn issue_event(terminal: &Terminal, pass: &Value) -> Value {
    let serial = pass.get("serial").unwrap().to_string();
    terminal.json(&["ledger", "show", &serial]).await
}

/// The role `shell` is refused to who is signed in.
async fn assert_denied(terminal: &Terminal) {
    let done = terminal.run_json(&["pass", "--role", "shell"]).await;
    let reason = done.error().get("reason").cloned();
    assert_eq!((done.code, reason), (3, Some("NOT_ALLOWED".into())));
}

/// The whole story, for one algorithm.
async fn works_with(algorithm: &str) {
    let provider = Provider::start(algorithm).await;
    let env = start(&provider, algorithm).await;
    let terminal = env.own_terminal();

    let alice = sign_in(&terminal, "alice", "--browser").await;
    assert_eq!(alice.get("label").unwrap(), "alice@example.com");
    assert_eq!(alice.get("issuer").unwrap(), provider.url());
    assert_eq!(alice.get("bound").unwrap(), true);
    let pass = terminal.json(&["pass", "--role", "shell"]).await;
    assert_eq!(pass.get("key_id").unwrap(), "alice@example.com/shell");
    let event = issue_event(&terminal, &pass).await;
    assert_says(&event, "binding", "nonce");

    provider.rotate().await;
    let old = terminal.json(&["pass", "--role", "shell"]).await;
    assert!(old.get("serial").unwrap().as_u64() > pass.get("serial").unwrap().as_u64());
    sign_in(&terminal, "alice", "--browser").await;
    terminal.json(&["pass", "--role", "shell"]).await;

    sign_in(&terminal, "bob", "--device").await;
    let pass = terminal
        .json(&["pass", "--role", "logs", "--param", "unit=nginx"])
        .await;
    assert_eq!(pass.get("command").unwrap(), "/bin/echo 'logs of' nginx");
    let event = issue_event(&terminal, &pass).await;
    assert_says(&event, "binding", "none");
    assert_denied(&terminal).await;

    sign_in(&terminal, "mallory", "--browser").await;
    assert_denied(&terminal).await;
}

/// Some member of that name, wherever it stands, has that value.
fn assert_says(value: &Value, name: &str, expected: &str) {
    fn says(value: &Value, name: &str, expected: &str) -> bool {
        match value {
            Value::Object(members) => members.iter().any(|(key, member)| {
                key == name && member == expected || says(member, name, expected)
            }),
            Value::Array(items) => items.iter().any(|item| says(item, name, expected)),
            _ => false,
        }
    }
    assert!(
        says(value, name, expected),
        "{name} is not {expected}: {value}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_provider_works_with_rs256() {
    works_with("RS256").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_provider_works_with_es256() {
    works_with("ES256").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_provider_works_with_eddsa() {
    works_with("EdDSA").await;
}

/// The status with which the provider's token endpoint answers this refresh token.
async fn refresh_status(provider: &Provider, token: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = format!("grant_type=refresh_token&client_id=daypass&refresh_token={token}");
    let request = client
        .post(format!("{}/token", provider.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_day_needs_one_sign_in_and_logout_revokes_it() {
    let provider = Provider::start("ES256").await;
    let issuer = format!(
        "[[issuer]]\nname = \"certified\"\nurl = \"{}\"\nclient_id = \"daypass\"\nalgorithms = [\"ES256\"]\n\
         binding = \"nonce\"\nscopes = [\"openid\", \"email\", \"groups\"]\nrefresh = true\n\
         authorization_parameters = {{ prompt = \"consent\" }}\n",
        provider.url()
    );
    let env = TestEnv::new().configuration(issuer).start().await;
    let terminal = env.own_terminal();
    sign_in(&terminal, "alice", "--browser").await;
    let (session, refresh) = (terminal.file("session.json"), terminal.file("refresh.json"));
    let mode = std::fs::metadata(&refresh).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept =
        || -> Value { serde_json::from_str(&std::fs::read_to_string(&refresh).unwrap()).unwrap() };
    let expire = || {
        let text = std::fs::read_to_string(&session).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        *value.pointer_mut("/login/expires").unwrap() = 1.into();
        std::fs::write(&session, value.to_string()).unwrap();
    };
    let first = kept();

    // Renewed without a browser, and still bound to the key.
    expire();
    let pass = terminal.json(&["pass", "--role", "shell"]).await;
    assert_ne!(kept(), first, "the refresh token rotates");
    let event = issue_event(&terminal, &pass).await;
    assert_says(&event, "binding", "refreshed");
    let status = terminal.json(&["status"]).await;
    assert_eq!(status.get("signed_in").unwrap(), true);

    // Of commands at once, one uses the rotating token; the others use its result.
    for _ in 0..3 {
        expire();
        let commands = (0..6).map(|_| {
            let terminal = terminal.clone();
            tokio::spawn(async move { terminal.json(&["whoami"]).await })
        });
        for command in commands.collect::<Vec<_>>() {
            let seen = command.await.unwrap();
            assert_eq!(seen.get("subject").unwrap(), "alice");
        }
    }

    // A sign-out revokes the token at the provider and removes it.
    let last = kept();
    let last = last.get("token").unwrap().as_str().unwrap().to_owned();
    let done = terminal.run(&["logout"]).await;
    assert!(
        done.code == 0 && !done.stderr.contains("revoked"),
        "{done:?}"
    );
    assert!(!refresh.exists());
    assert_eq!(refresh_status(&provider, &last).await, 400);

    // A provider that has ended the session asks for a sign-in.
    sign_in(&terminal, "alice", "--browser").await;
    let again = kept();
    let again = again.get("token").unwrap().as_str().unwrap().to_owned();
    assert_eq!(
        refresh_status(&provider, &again).await,
        200,
        "used by another program"
    );
    expire();
    let done = terminal.run(&["pass", "--role", "shell"]).await;
    assert_eq!(done.code, 4, "{done:?}");
    assert!(
        done.stderr
            .contains("the identity provider certified has ended it (invalid_grant"),
        "{done:?}"
    );
}
