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
