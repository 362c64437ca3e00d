//! `daypass admin` as people type it: locks, revocations, their text and JSON, and the exit codes.

use crate::support::{command::Done, env::TestEnv};
use serde_json::{Value, json};

/// Alice and carol have signed in, each at a terminal of her own.
async fn start() -> TestEnv {
    let people = ["alice", "carol", "mallory"];
    TestEnv::new().signed_in(&people).start().await
}

/// Alice asks for a pass.
async fn pass(env: &TestEnv) -> Done {
    let out = env.folder().join("out");
    let words = ["pass", "--role", "shell", "--out", out.to_str().unwrap()];
    env.terminal("alice").run_json(&words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_locks_lists_unlocks_and_revokes() {
    let env = start().await;
    let serial = pass(&env).await.success()["serial"].as_u64().unwrap();
    let nothing = env.terminal("carol").run(&["admin", "locks"]).await;
    assert_eq!(nothing.stdout, "Nothing is locked.\n");

    let lock = ["admin", "lock", "alice", "--reason", "laptop stolen"];
    let locked = env.terminal("carol").run(&lock).await;
    let expected = format!(
        "Locked identity alice: no new passes.\n\
         Revoked 1 pass: {serial}. Hosts refuse it from their next sync on.\n"
    );
    assert_eq!((locked.code, locked.stdout), (0, expected));
    let refused = pass(&env).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["reason"], "LOCKED");

    let locks = env.terminal("carol").json(&["admin", "locks"]).await;
    let lock = &locks["locks"][0];
    assert_eq!(lock["target"], json!({ "identity": "alice" }));
    assert_eq!(
        (&lock["by"], &lock["reason"]),
        (&"carol@example.com".into(), &"laptop stolen".into())
    );
    assert!(lock["index"].as_u64().unwrap() > serial);
    let table = env.terminal("carol").run(&["admin", "locks"]).await.stdout;
    let (head, row) = table.split_once('\n').unwrap();
    assert!(
        head.starts_with("LOCKED") && row.starts_with("identity alice"),
        "{table}"
    );

    let unlocked = env
        .terminal("carol")
        .json(&["admin", "unlock", "alice"])
        .await;
    assert!(unlocked["index"].as_u64().is_some());
    let again = pass(&env).await.success()["serial"].as_u64().unwrap();
    let text = again.to_string();
    let revoked = env
        .terminal("carol")
        .json(&["admin", "revoke", &text])
        .await;
    assert_eq!(revoked["serials"], json!([again]));
    let none = env
        .terminal("carol")
        .run(&["admin", "revoke", "--before", "now"])
        .await;
    assert_eq!(none.stdout, "No pass was out.\n");
    let role = env
        .terminal("carol")
        .json(&["admin", "lock", "--role", "shell"])
        .await;
    assert_eq!(role["target"], json!({ "role": "shell" }));
    assert_eq!(role["serials"], json!([]));
    let listed = env
        .terminal("carol")
        .run(&["ledger", "list", "--limit", "1"])
        .await;
    assert!(
        listed.stdout.contains("locked") && listed.stdout.contains("shell"),
        "{listed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_user_and_every_mistake_has_its_exit_code() {
    let env = start().await;
    for (case, name, words, code, reason) in [
        (
            "not an administrator",
            "alice",
            &["lock", "bob"][..],
            3,
            Some("ADMIN_DENIED"),
        ),
        (
            "locks are for administrators and auditors",
            "mallory",
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
        ("not signed in", "dave", &["locks"], 4, None),
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
        let done = env.terminal(name).run(&words).await;
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
    let env = start().await;
    let serial = pass(&env).await.success()["serial"].as_u64().unwrap();
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
        let done = env.terminal("carol").run(&words).await;
        assert_eq!(done.code, 2, "{case}: {done:?}");
        assert!(done.stderr.contains(expected), "{case}: {done:?}");
        let line = done.stderr.trim().rsplit_once("run: daypass ").unwrap().1;
        assert!(line.contains("--yes"), "{case}: {line}");
        let mistaken: Vec<&str> = line.split(' ').collect();
        let inputless = [&["--no-input"], &words[..]].concat();
        assert_eq!(
            env.terminal("carol").run(&inputless).await.code,
            2,
            "{case}"
        );
        if case != "their own" && case != "their own address" {
            assert_eq!(
                env.terminal("carol").run(&mistaken).await.code,
                0,
                "{case}: {line}"
            );
        }
    }
    let locked = env
        .terminal("carol")
        .json(&["admin", "lock", "alice@example.com"])
        .await;
    assert_eq!(locked["serials"], json!([serial]));
    assert_eq!(locked["covers"][0]["subject"], "alice");
    assert_eq!(locked["covers"][0]["label"], "alice@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_who_order_at_once_are_all_served() {
    let env = start().await;
    pass(&env).await.success();
    let lock = ["admin", "lock", "alice"];
    let revoke = ["admin", "revoke", "--identity", "alice"];
    let carol = env.terminal("carol");
    let (one, two, three) = tokio::join!(carol.run(&lock), carol.run(&revoke), carol.run(&lock));
    for done in [one, two, three] {
        assert_eq!(done.code, 0, "{done:?}");
    }
    let locks = env.terminal("carol").json(&["admin", "locks"]).await;
    assert_eq!(locks["locks"].as_array().unwrap().len(), 1);
}
