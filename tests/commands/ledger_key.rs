//! The ledger is handed over to another key while people work: clients, a witness and exports go
//! on, and the old key alone is believed no more.

use std::{fs, path::Path, time::Duration};

use daypass::dev::receiver::Delivery;
use serde_json::Value;

use crate::support::{
    command::Done,
    env::TestEnv,
    files::{self, edit},
    https,
};

/// What `daypass serve --check` says about the configuration.
async fn checked(env: &TestEnv) -> String {
    let config = env.folder().join("world/daypass.toml");
    let words = [
        "serve",
        "--check",
        "--offline",
        "--config",
        config.to_str().unwrap(),
    ];
    let done = env.terminal("alice").run(&words).await;
    done.stdout + &done.stderr
}

/// The verifier key that the ledger can be handed over to.
async fn next_key(env: &TestEnv) -> String {
    let said = checked(env).await;
    let (_, rest) = said
        .split_once("can be handed over to is")
        .unwrap_or_else(|| panic!("{said}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

/// The signed head, as every tlog tool gets it.
async fn note(env: &TestEnv) -> String {
    let url = format!("{}/checkpoint", env.server.url());
    let answer = https::client(&env.server.tls_ca()).get(url).send().await;
    answer.unwrap().text().await.unwrap()
}

/// Alice takes a pass.
async fn pass(env: &TestEnv) -> Done {
    let out = env.folder().join("out");
    let words = ["pass", "--role", "shell", "--out", out.to_str().unwrap()];
    env.terminal("alice").run(&words).await.exits("a pass", 0)
}

async fn ledger_key(env: &TestEnv, person: &str) -> String {
    let status = env.terminal(person).json(&["status"]).await;
    status["ledger_key"].as_str().unwrap().to_owned()
}

/// A witness of its own, which was given this key.
async fn witness(env: &TestEnv, key: &str) -> Done {
    let mut terminal = env.terminal("witness");
    terminal.variables = env.server.variables();
    let url = env.server.url();
    terminal
        .run_json(&["ledger", "witness", &url, "--once", "--key", key])
        .await
}

async fn export(env: &TestEnv, name: &str) -> String {
    let file = env.folder().join(name).display().to_string();
    let words = ["ledger", "export", "--out", &file];
    env.terminal("alice").run(&words).await.exits(name, 0);
    file
}

fn configure(env: &TestEnv, from: &str, to: &str) {
    edit(&env.folder().join("world/daypass.toml"), from, to);
}

fn make_key(folder: &Path) {
    files::write_key(&folder.join("ledger_key_2"), &files::new_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_witnesses_and_exports_follow_the_ledger_to_its_next_key() {
    let mut env = TestEnv::new()
        .signed_in(&["alice", "carol", "bob"])
        .start()
        .await;
    pass(&env).await;
    let old = ledger_key(&env, "alice").await;
    witness(&env, &old).await.exits("before", 0);
    let before = export(&env, "before.jsonl").await;

    make_key(&env.folder().join("world"));
    configure(
        &env,
        "key = \"ledger_key\"",
        "key = \"ledger_key\"\nnext_key = \"ledger_key_2\"",
    );
    let new = next_key(&env).await;
    let order = ["admin", "ledger-key", &new, "--reason", "yearly"];
    let refused = env.terminal("carol").run_json(&order).await;
    assert_eq!(
        refused.error()["reason"],
        "LEDGER_KEY",
        "not loaded: {refused:?}"
    );
    assert!(refused.stderr.contains("next_key"), "{refused:?}");
    env.restart().await;
    env.terminal("bob")
        .run_json(&order)
        .await
        .exits("no administrator", 3);
    let changed = env.terminal("carol").json(&order).await;
    let index = changed["index"].as_u64().unwrap();

    // Both sign, so what knows only the old key goes on.
    let both = note(&env).await;
    assert_eq!(both.matches("\n\u{2014} ").count(), 2, "{both}");
    let followed = pass(&env).await;
    let said = format!("another key from entry {index} on, {new}");
    assert!(followed.stderr.contains(&said), "{followed:?}");
    assert_eq!(ledger_key(&env, "alice").await, new);
    assert!(
        !pass(&env).await.stderr.contains("another key"),
        "said once"
    );
    let seen = witness(&env, &old).await.exits("handed over", 0);
    assert!(seen.stderr.contains(&said), "{seen:?}");
    assert_eq!(seen.json()["handovers"][0]["new"], new.as_str());

    // The export proves the handover to every caller who knows one of the keys.
    let after = export(&env, "after.jsonl").await;
    let stranger = env.terminal("stranger");
    for key in [&old, &new] {
        let verified = stranger
            .json(&["ledger", "verify", &after, "--key", key])
            .await;
        assert_eq!(verified["handovers"][0]["size"], index);
    }
    stranger
        .json(&["ledger", "verify", &before, "--key", &old])
        .await;
    let unknown = stranger
        .run(&["ledger", "verify", &before, "--key", &new])
        .await;
    unknown.exits("nothing connects the new key with an older export", 1);
    env.terminal("alice")
        .json(&["ledger", "verify", &before])
        .await;
    env.terminal("alice").json(&["ledger", "verify"]).await;

    // The old key is taken out.
    configure(&env, "key = \"ledger_key\"\nnext_key", "key");
    env.restart().await;
    let one = note(&env).await;
    assert_eq!(one.matches("\n\u{2014} ").count(), 1, "{one}");
    pass(&env).await;
    let seen = witness(&env, &old).await.exits("the new key alone", 0);
    assert_eq!(
        (
            &seen.json()["sighting"],
            seen.json()["handovers"].as_array().unwrap().len()
        ),
        (&"continues".into(), 0)
    );
    witness(&env, &new)
        .await
        .exits("the same witness by the new key", 0);
    // Bob was away all the while.
    let away = env.terminal("bob").run(&["roles"]).await.exits("away", 0);
    assert!(away.stderr.contains(&said), "{away:?}");
    let shown = env
        .terminal("alice")
        .json(&["ledger", "show", &index.to_string()])
        .await;
    assert!(shown.to_string().contains("ledger_key_changed"), "{shown}");
    assert_told(&env, index, (&old, &new)).await;
}

/// The webhook was told of the handover.
async fn assert_told(env: &TestEnv, index: u64, (old, new): (&str, &str)) {
    let receiver = env.world().receiver();
    let is_told = |all: &[Delivery]| all.iter().any(|it| it.kind() == "ledger_key_changed");
    let told = tokio::time::timeout(Duration::from_secs(60), receiver.until(is_told)).await;
    let told = told.expect("no webhook");
    let mut told = told.iter().filter(|it| it.kind() == "ledger_key_changed");
    let data = &told.next().unwrap().json["data"];
    assert_eq!(
        (&data["index"], &data["key"], &data["old_key"]),
        (&index.into(), &new.into(), &old.into())
    );
    assert_eq!(
        (&data["who"]["label"], &data["reason"]),
        (&"carol@example.com".into(), &"yearly".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_followed_refuses_the_old_key() {
    let mut env = TestEnv::new().signed_in(&["alice", "carol"]).start().await;
    let old = ledger_key(&env, "alice").await;
    make_key(&env.folder().join("world"));
    configure(
        &env,
        "key = \"ledger_key\"",
        "key = \"ledger_key\"\nnext_key = \"ledger_key_2\"",
    );
    env.restart().await;
    let new = next_key(&env).await;
    env.terminal("carol")
        .json(&["admin", "ledger-key", &new])
        .await;
    pass(&env).await;
    // The server's answer is that of a thief who has the old key: the client remembers the new one.
    let servers = env.terminal("alice").state.join("servers");
    let server = fs::read_dir(servers)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut trust: Value =
        serde_json::from_slice(&fs::read(server.join("trust.json")).unwrap()).unwrap();
    assert_eq!(trust["ledger_verifier_key"], new.as_str());
    // As if the server had gone on to a third key, and come back.
    let thief = files::new_key();
    trust["ledger_verifier_key"] = other_key(&thief, &new).into();
    trust["ledger_handovers"] = Value::Array(Vec::new());
    fs::write(server.join("trust.json"), trust.to_string()).unwrap();
    let refused = env.terminal("alice").run_json(&["roles"]).await;
    assert_eq!(refused.error()["reason"], "LEDGER_FORK", "{refused:?}");
    assert!(
        refused.stderr.contains("no handover that counts"),
        "{refused:?}"
    );
    let again = env
        .terminal("carol")
        .run_json(&["admin", "ledger-key", &old])
        .await;
    assert_eq!(
        again.error()["reason"],
        "LEDGER_KEY",
        "back to the old key: {again:?}"
    );
}

/// The verifier key of another private key, with the name of `of`.
fn other_key(key: &ssh_key::PrivateKey, of: &str) -> String {
    use daypass::ledger::{checkpoint::Signer, handover::Handover};
    let name = of.split('+').next().unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let (one, two) = (
        Signer::new(name, &seed).unwrap(),
        Signer::new(name, &[1; 32]).unwrap(),
    );
    Handover::sign(&two, &one, 1).unwrap().new.to_string()
}
