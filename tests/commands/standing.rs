//! `status` and `roles` know revocations and locks: a pass that hosts refuse is not kept and not
//! offered again, and a locked user is told so.

use std::path::Path;

use crate::support::env::TestEnv;

async fn world() -> TestEnv {
    TestEnv::new().signed_in(&["alice", "carol"]).start().await
}

/// The serial of alice's pass for plain ssh to web-1, and whether it is on disk.
async fn pass(env: &TestEnv) -> u64 {
    let alice = env.terminal("alice");
    alice.run(&["ensure", "--host", "web-1"]).await.exits("", 0);
    let file = alice.of_host("web-1").join("pass-cert.pub");
    let shown = alice.json(&["inspect", file.to_str().unwrap()]).await;
    shown["serial"].as_u64().unwrap()
}

fn is_on_disk(folder: &Path) -> bool {
    folder.join("pass").exists() || folder.join("pass-cert.pub").exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_pass_is_removed_by_status_and_by_roles_and_the_next_ssh_gets_another() {
    let env = world().await;
    let (alice, carol) = (env.terminal("alice"), env.terminal("carol"));
    for command in ["status", "roles"] {
        let serial = pass(&env).await;
        let named = ["pass", "--role", "shell"];
        let kept = alice.json(&named).await["serial"].as_u64().unwrap();
        let words = ["admin", "revoke", &serial.to_string()];
        carol.run(&words).await.exits("revoke", 0);
        let done = alice.run(&[command]).await.exits(command, 0);
        let said = format!("pass {serial} (shell) was revoked, and is removed");
        assert!(done.stderr.contains(&said), "{done:?}");
        assert!(!is_on_disk(&alice.of_host("web-1")), "{command}");
        let status = alice.json(&["status"]).await;
        let serials = status["passes"].as_array().unwrap().iter();
        let serials: Vec<u64> = serials.filter_map(|it| it["serial"].as_u64()).collect();
        assert_eq!(serials, [kept], "a pass that is not revoked stays");
        assert_ne!(pass(&env).await, serial, "the next ssh gets another");
        alice.run(&["logout"]).await.exits("logout", 0);
        alice.sign_in("alice").await;
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_and_a_locked_role_are_shown_as_such_until_they_are_unlocked() {
    let env = world().await;
    let (alice, carol) = (env.terminal("alice"), env.terminal("carol"));
    // The ledger knows alice by then.
    pass(&env).await;
    carol.json(&["admin", "lock", "--role", "shell"]).await;
    let roles = alice.json(&["roles"]).await;
    assert_eq!(roles["locked"], serde_json::Value::Null);
    let shell = roles["roles"].as_array().unwrap().iter();
    let mut shell = shell.filter(|role| role["name"] == "shell");
    assert_eq!(shell.next().unwrap()["locked"], true);
    let text = alice.run(&["roles"]).await.stdout;
    assert!(text.contains("locked     by an administrator"), "{text}");

    carol.json(&["admin", "lock", "alice"]).await;
    for command in ["roles", "status"] {
        let json = alice.json(&[command]).await;
        let why = json["locked"].as_str().unwrap();
        assert!(why.contains("is locked; ask an administrator"), "{why}");
        let text = alice.run(&[command]).await.stdout;
        assert!(text.contains("No pass for you: "), "{text}");
    }
    carol.json(&["admin", "unlock", "alice"]).await;
    carol.json(&["admin", "unlock", "--role", "shell"]).await;
    for command in ["roles", "status"] {
        let json = alice.json(&[command]).await;
        assert_eq!(json["locked"], serde_json::Value::Null, "{command}");
    }
    pass(&env).await;
    env.close().await;
}
