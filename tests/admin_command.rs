//! `daypass admin` as people type it: locks, revocations, their text and JSON, and the exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{path::PathBuf, process::Stdio};

use daypass::dev::world::{Options, World};
use serde_json::{Value, json};
use tokio::process::Command;

/// A world in which everybody has a state folder of their own.
struct Desks {
    world: World,
    folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Done {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }
}

impl Desks {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            program: Some(env!("CARGO_BIN_EXE_daypass").into()),
            without_sshd: true,
            ..Options::default()
        };
        let world = World::start_with(&folder.path().join("world"), options).await;
        let desks = Self {
            world: world.unwrap(),
            folder,
        };
        for name in ["alice", "carol"] {
            assert_eq!(desks.run(name, &["login", "--as", name]).await.code, 0);
        }
        desks
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, name: &str, words: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
        let variables = self.world.variables().iter();
        command
            .args(words)
            .env_remove("DAYPASS_FORMAT")
            .env("HOME", self.folder.path())
            .envs(variables.map(|(name, value)| (name, value)))
            .env("DAYPASS_STATE_DIR", self.state(name))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.unwrap();
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn json(&self, name: &str, words: &[&str]) -> Value {
        let words = [words, &["--format", "json"]].concat();
        self.run(name, &words).await.json()
    }

    async fn pass(&self) -> Done {
        let out = self.folder.path().join("out");
        let out = out.to_str().unwrap();
        let words = ["pass", "--role", "shell", "--out", out, "--format", "json"];
        self.run("alice", &words).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_locks_lists_unlocks_and_revokes() {
    let desks = Desks::new().await;
    let serial = desks.pass().await.json()["serial"].as_u64().unwrap();
    let nothing = desks.run("carol", &["admin", "locks"]).await;
    assert_eq!(nothing.stdout, "Nothing is locked.\n");

    let lock = ["admin", "lock", "alice", "--reason", "laptop stolen"];
    let locked = desks.run("carol", &lock).await;
    let expected = format!(
        "Locked identity alice: no new passes.\n\
         Revoked 1 pass: {serial}. Hosts refuse it from their next sync on.\n"
    );
    assert_eq!((locked.code, locked.stdout), (0, expected));
    let refused = desks.pass().await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["reason"], "LOCKED");

    let locks = desks.json("carol", &["admin", "locks"]).await;
    let lock = &locks["locks"][0];
    assert_eq!(lock["target"], json!({ "identity": "alice" }));
    assert_eq!(
        (&lock["by"], &lock["reason"]),
        (&"carol@example.com".into(), &"laptop stolen".into())
    );
    assert!(lock["index"].as_u64().unwrap() > serial);
    let table = desks.run("carol", &["admin", "locks"]).await.stdout;
    let (head, row) = table.split_once('\n').unwrap();
    assert!(
        head.starts_with("LOCKED") && row.starts_with("identity alice"),
        "{table}"
    );

    let unlocked = desks.json("carol", &["admin", "unlock", "alice"]).await;
    assert!(unlocked["index"].as_u64().is_some());
    let again = desks.pass().await.json()["serial"].as_u64().unwrap();
    let text = again.to_string();
    let revoked = desks.json("carol", &["admin", "revoke", &text]).await;
    assert_eq!(revoked["serials"], json!([again]));
    let none = desks
        .run("carol", &["admin", "revoke", "--before", "now"])
        .await;
    assert_eq!(none.stdout, "No pass was out.\n");
    let role = desks
        .json("carol", &["admin", "lock", "--role", "shell"])
        .await;
    assert_eq!(role["target"], json!({ "role": "shell" }));
    assert_eq!(role["serials"], json!([]));
    let listed = desks
        .run("carol", &["ledger", "list", "--limit", "1"])
        .await;
    assert!(
        listed.stdout.contains("locked") && listed.stdout.contains("shell"),
        "{listed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_else_and_every_mistake_has_its_exit_code() {
    let desks = Desks::new().await;
    for (case, name, words, code, reason) in [
        (
            "not an administrator",
            "alice",
            &["lock", "bob"][..],
            3,
            Some("ADMIN_DENIED"),
        ),
        (
            "locks are not for all",
            "alice",
            &["locks"],
            3,
            Some("ADMIN_DENIED"),
        ),
        (
            "nor revocation",
            "alice",
            &["revoke", "3"],
            3,
            Some("ADMIN_DENIED"),
        ),
        (
            "not locked",
            "carol",
            &["unlock", "bob"],
            1,
            Some("NO_SUCH_LOCK"),
        ),
        (
            "no such pass",
            "carol",
            &["revoke", "1"],
            1,
            Some("NO_SUCH_PASS"),
        ),
        (
            "no such role",
            "carol",
            &["lock", "--role", "shel"],
            1,
            Some("NO_SUCH_ENTRY"),
        ),
        (
            "no fingerprint",
            "carol",
            &["lock", "--key", "bob"],
            3,
            Some("ASK_MALFORMED"),
        ),
        ("nobody signed in", "dave", &["locks"], 4, None),
        ("nothing named", "carol", &["lock"], 2, None),
        (
            "two things",
            "carol",
            &["lock", "bob", "--role", "shell"],
            2,
            None,
        ),
        ("no time", "carol", &["revoke", "--before", "soon"], 2, None),
        ("a name for a serial", "carol", &["revoke", "bob"], 2, None),
    ] {
        let words = [&["admin"], words, &["--format", "json"]].concat();
        let done = desks.run(name, &words).await;
        assert_eq!(done.code, code, "{case}: {done:?}");
        assert_eq!(done.stdout, "", "{case}");
        if let Some(reason) = reason {
            let error: Value = serde_json::from_str(&done.stderr).unwrap();
            assert_eq!(error["error"]["reason"], reason, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_asked_about_names_that_are_not_known_or_their_own() {
    let desks = Desks::new().await;
    let serial = desks.pass().await.json()["serial"].as_u64().unwrap();
    for (case, words, expected) in [
        ("a slip", &["lock", "alise"][..], "(near: alice)"),
        (
            "a slip of an address",
            &["lock", "alice@exmaple.com"],
            "alice@example.com",
        ),
        ("no one", &["lock", "mallory"], "is called \"mallory\";"),
        ("their own", &["lock", "carol"], "covers you"),
        (
            "their own address",
            &["lock", "carol@example.com"],
            "covers you",
        ),
        (
            "to revoke a slip",
            &["revoke", "--identity", "alise"],
            "(near: alice)",
        ),
        (
            "to revoke their own",
            &["revoke", "--identity", "carol"],
            "covers you",
        ),
    ] {
        let words = [&["admin"], words].concat();
        let done = desks.run("carol", &words).await;
        assert_eq!(done.code, 2, "{case}: {done:?}");
        assert!(done.stderr.contains(expected), "{case}: {done:?}");
        let line = done.stderr.trim().rsplit_once("run: daypass ").unwrap().1;
        assert!(line.contains("--yes"), "{case}: {line}");
        let mistaken: Vec<&str> = line.split(' ').collect();
        let inputless = [&["--no-input"], &words[..]].concat();
        assert_eq!(desks.run("carol", &inputless).await.code, 2, "{case}");
        if case != "their own" && case != "their own address" {
            assert_eq!(
                desks.run("carol", &mistaken).await.code,
                0,
                "{case}: {line}"
            );
        }
    }
    let locked = desks
        .json("carol", &["admin", "lock", "alice@example.com"])
        .await;
    assert_eq!(locked["serials"], json!([serial]));
    assert_eq!(locked["covers"][0]["subject"], "alice");
    assert_eq!(locked["covers"][0]["label"], "alice@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_who_order_at_once_are_all_served() {
    let desks = Desks::new().await;
    desks.pass().await.json();
    let lock = ["admin", "lock", "alice"];
    let revoke = ["admin", "revoke", "--identity", "alice"];
    let (one, two, three) = tokio::join!(
        desks.run("carol", &lock),
        desks.run("carol", &revoke),
        desks.run("carol", &lock),
    );
    for done in [one, two, three] {
        assert_eq!(done.code, 0, "{done:?}");
    }
    let locks = desks.json("carol", &["admin", "locks"]).await;
    assert_eq!(locks["locks"].as_array().unwrap().len(), 1);
}
