//! Sign-in and passes against a certified provider, with every algorithm, by browser and by device, across a rotation of
//! its keys: the real `daypass` commands, a headless person, and a daemon that knows the provider as one issuer of two.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "support/provider.rs"]
mod provider;

use std::process::{Output, Stdio};

use daypass::dev::{World, world::Options};
use provider::Provider;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// A provider, a world whose daemon trusts it, and the commands of one person's laptop.
struct Scene {
    provider: Provider,
    world: World,
    _folder: TempDir,
}

impl Scene {
    async fn start(algorithm: &str) -> Self {
        let provider = Provider::start(algorithm).await;
        let issuer = format!(
            "[[issuer]]\nname = \"certified\"\nurl = \"{}\"\nclient_id = \"daypass\"\nalgorithms = [\"{algorithm}\"]\n\
             binding = \"nonce\"\nscopes = [\"openid\", \"email\", \"groups\"]\ndevice_flow = true\n",
            provider.url()
        );
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            program: Some(env!("CARGO_BIN_EXE_daypass").into()),
            configuration: issuer,
            without_sshd: true,
            ..Options::default()
        };
        let world = World::start_with(folder.path(), options).await.unwrap();
        Self {
            provider,
            world,
            _folder: folder,
        }
    }

    async fn daypass(&self, words: &[&str]) -> Output {
        Command::new(self.world.program())
            .args(words)
            .envs(
                self.world
                    .variables()
                    .iter()
                    .map(|(name, value)| (*name, value)),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }

    /// Runs a command that must work; what it printed, as JSON.
    async fn json(&self, words: &[&str]) -> Value {
        let words = [words, &["--format", "json"]].concat();
        let output = self.daypass(&words).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {complaint}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit code and the reason of a command that must not work.
    async fn refusal(&self, words: &[&str]) -> (Option<i32>, Value) {
        let words = [words, &["--format", "json"]].concat();
        let output = self.daypass(&words).await;
        let line = String::from_utf8_lossy(&output.stderr);
        let error: Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
        (
            output.status.code(),
            error.pointer("/error/reason").unwrap().clone(),
        )
    }

    async fn sign_in(&self, name: &str, how: &str) -> Value {
        self.json(&["login", how, "--issuer", "certified", "--as", name])
            .await
    }

    /// The event behind a pass, as the ledger tells it.
    async fn event(&self, pass: &Value) -> Value {
        let serial = pass.get("serial").unwrap().to_string();
        self.json(&["ledger", "show", &serial]).await
    }
}

/// The whole story, for one algorithm.
async fn works_with(algorithm: &str) {
    let scene = Scene::start(algorithm).await;

    let alice = scene.sign_in("alice", "--browser").await;
    assert_eq!(alice.get("label").unwrap(), "alice@example.com");
    assert_eq!(alice.get("issuer").unwrap(), scene.provider.url());
    assert_eq!(alice.get("bound").unwrap(), true);
    let pass = scene.json(&["pass", "--role", "shell"]).await;
    assert_eq!(pass.get("key_id").unwrap(), "alice@example.com/shell");
    let event = scene.event(&pass).await;
    assert_says(&event, "binding", "nonce");

    scene.provider.rotate().await;
    let old = scene.json(&["pass", "--role", "shell"]).await;
    assert!(old.get("serial").unwrap().as_u64() > pass.get("serial").unwrap().as_u64());
    scene.sign_in("alice", "--browser").await;
    scene.json(&["pass", "--role", "shell"]).await;

    scene.sign_in("bob", "--device").await;
    let pass = scene
        .json(&["pass", "--role", "logs", "--param", "unit=nginx"])
        .await;
    assert_eq!(pass.get("command").unwrap(), "/bin/echo 'logs of' nginx");
    let event = scene.event(&pass).await;
    assert_says(&event, "binding", "none");
    let denied = scene.refusal(&["pass", "--role", "shell"]).await;
    assert_eq!(denied, (Some(3), "NOT_ALLOWED".into()));

    scene.sign_in("mallory", "--browser").await;
    let denied = scene.refusal(&["pass", "--role", "shell"]).await;
    assert_eq!(denied, (Some(3), "NOT_ALLOWED".into()));
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
