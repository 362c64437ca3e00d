//! Requests from the command line: three people at three terminals, in a whole world.

use crate::support::env::TestEnv;
use serde_json::Value;

/// Bob asks and does not wait; returns the request's id.
async fn asked(env: &TestEnv) -> String {
    let done = env.daypass("bob", "request prod --reason INC-7").await;
    let done = done.exits("a request waits", 5);
    let request = done.json();
    assert_eq!(request["state"], "pending");
    assert_eq!(request["reason"], "INC-7");
    let id = request["id"].as_u64().unwrap().to_string();
    let next = "run: daypass pass --role prod";
    assert!(done.stderr.contains(next), "{}", done.stderr);
    id
}

async fn events(env: &TestEnv) -> Vec<Value> {
    let listed = env.daypass("carol", "ledger list --from 0").await;
    listed.exits("carol reads", 0).json()["events"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn bob_asks_carol_approves_and_bob_redeems_one_pass() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["bob", "carol"])
        .start()
        .await;
    let id = asked(&env).await;
    let early = env.daypass("bob", format!("pass --role prod --request {id}"));
    early.await.exits("not approved yet", 5);
    let own = env.daypass("bob", format!("requests approve {id}"));
    own.await.exits("his own", 3);
    let listed = env.daypass("carol", "requests").await.exits("list", 0);
    assert_eq!(listed.json()["requests"][0]["id"].to_string(), id);

    let words = format!("requests approve {id} --comment");
    let approved = env.run("carol", &words, &["go ahead"]).await;
    let approved = approved.exits("carol approves", 0);
    for shown in ["bob@", "prod", "INC-7", "1h"] {
        assert!(
            approved.stderr.contains(shown),
            "{shown}: {}",
            approved.stderr
        );
    }
    let approved = approved.json();
    assert_eq!(approved["state"], "approved");
    assert_eq!(approved["decisions"][0]["comment"], "go ahead");

    let other = env.daypass("bob", format!("pass --role shell --request {id}"));
    other.await.exits("for another role", 2);
    let pass = env.daypass("bob", format!("pass --role prod --request {id}"));
    let pass = pass.await.exits("bob redeems", 0).json();
    let again = env.daypass("bob", format!("pass --role prod --request {id}"));
    again.await.exits("once only", 3);

    let events = events(&env).await;
    let issued: Vec<_> = events
        .iter()
        .filter(|one| one["type"] == "issued")
        .collect();
    assert_eq!(issued.len(), 1, "{events:?}");
    assert_eq!(issued[0]["ask"]["request"].to_string(), id);
    assert_eq!(issued[0]["index"], pass["serial"]);
    let shown = env.daypass("bob", format!("requests show {id}"));
    let shown = shown.await.exits("show", 0).json();
    assert_eq!(
        (&shown["state"], &shown["serial"]),
        (&"redeemed".into(), &pass["serial"])
    );
    let verified = env.daypass("carol", "ledger verify").await;
    verified.exits("the ledger verifies", 0);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_goes_on_when_approved_and_hears_a_denial() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["bob", "carol"])
        .start()
        .await;
    for (verb, code) in [("approve", 0), ("deny", 3)] {
        let waiting = env.command("bob", "request prod --reason INC-8 --wait 2m", &[]);
        let waiting = tokio::spawn({
            let mut waiting = waiting;
            async move { waiting.output().await.unwrap() }
        });
        let id = loop {
            let listed = env.daypass("carol", "requests").await.json();
            if let Some(id) = listed["requests"][0]["id"].as_u64() {
                break id;
            }
        };
        let decided = env.daypass("carol", format!("requests {verb} {id}"));
        decided.await.exits(verb, 0);
        let output = waiting.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{verb}: {said}");
        if code == 0 {
            let pass: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(pass["role"], "prod");
        } else {
            assert!(said.contains("REQUEST_DENIED"), "{said}");
        }
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_that_a_request_ends_has_its_exit_code() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["bob", "carol"])
        .start()
        .await;
    let reason = env.daypass("bob", "request prod").await;
    reason.exits("a reason is demanded", 3);
    let plain = env
        .daypass("bob", "request prod --request 7 --reason INC-7")
        .await;
    plain.exits("a request is no redemption", 2);

    let id = asked(&env).await;
    let denied = env.daypass("carol", format!("requests deny {id}"));
    assert_eq!(denied.await.exits("deny", 0).json()["state"], "denied");
    let pass = env.daypass("bob", format!("pass --role prod --request {id}"));
    pass.await.exits("denied", 3);

    let id = asked(&env).await;
    let other = env.daypass("carol", format!("requests cancel {id}"));
    other.await.exits("cancelled by another", 3);
    let cancelled = env.daypass("bob", format!("requests cancel {id}"));
    assert_eq!(
        cancelled.await.exits("cancel", 0).json()["state"],
        "cancelled"
    );

    let ssh = env
        .daypass("bob", "ssh web-1 --role prod --reason INC-9")
        .await;
    let ssh = ssh.exits("ssh without a terminal does not wait", 5);
    assert!(
        ssh.stderr
            .contains("run: daypass ssh web-1 --role prod --reason INC-9"),
        "{}",
        ssh.stderr
    );
    let short = env
        .daypass("bob", "request prod --reason INC-9 --wait 1s")
        .await;
    short.exits("no approver came", 5);

    let urgent = env.daypass("bob", "request prod --reason INC-9 --emergency");
    let serial = urgent.await.exits("emergency", 0).json()["serial"].clone();
    let approve = env.daypass("carol", format!("requests approve {serial}"));
    approve.await.exits("a review is no approval", 2);
    let review = env.daypass("carol", format!("requests review {serial}"));
    assert_eq!(review.await.exits("review", 0).json()["state"], "reviewed");
    env.close().await;
}
