//! Requests from the command line: three people at three terminals, in a whole world.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use serde_json::Value;
use support::command::Office;

/// What this story says again and again.
trait Story {
    /// Bob asks and does not wait.
    async fn asked(&self) -> String;
    async fn events(&self) -> Vec<Value>;
}

impl Story for Office {
    /// Bob asks and does not wait.
    async fn asked(&self) -> String {
        let done = self.daypass("bob", "request prod --reason INC-7").await;
        let done = done.exits("a request waits", 5);
        let request = done.json();
        assert_eq!(request["state"], "pending");
        assert_eq!(request["reason"], "INC-7");
        let id = request["id"].as_u64().unwrap().to_string();
        let next = format!("daypass pass --role prod --request {id}");
        assert!(done.stderr.contains(&next), "{}", done.stderr);
        id
    }

    async fn events(&self) -> Vec<Value> {
        let listed = self.daypass("carol", "ledger list --from 0").await;
        listed.exits("carol reads", 0).json()["events"]
            .as_array()
            .unwrap()
            .clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bob_asks_carol_approves_and_bob_redeems_one_pass() {
    let office = Office::open(&["bob", "carol"]).await;
    let id = office.asked().await;
    let early = office.daypass("bob", format!("pass --role prod --request {id}"));
    early.await.exits("nobody approved yet", 5);
    let own = office.daypass("bob", format!("requests approve {id}"));
    own.await.exits("his own", 3);
    let listed = office.daypass("carol", "requests").await.exits("list", 0);
    assert_eq!(listed.json()["requests"][0]["id"].to_string(), id);

    let words = format!("requests approve {id} --comment");
    let approved = office.run("carol", &words, &["go ahead"]).await;
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

    let other = office.daypass("bob", format!("pass --role shell --request {id}"));
    other.await.exits("for another role", 2);
    let pass = office.daypass("bob", format!("pass --role prod --request {id}"));
    let pass = pass.await.exits("bob redeems", 0).json();
    let again = office.daypass("bob", format!("pass --role prod --request {id}"));
    again.await.exits("once only", 3);

    let events = office.events().await;
    let issued: Vec<_> = events
        .iter()
        .filter(|one| one["type"] == "issued")
        .collect();
    assert_eq!(issued.len(), 1, "{events:?}");
    assert_eq!(issued[0]["ask"]["request"].to_string(), id);
    assert_eq!(issued[0]["index"], pass["serial"]);
    let shown = office.daypass("bob", format!("requests show {id}"));
    let shown = shown.await.exits("show", 0).json();
    assert_eq!(
        (&shown["state"], &shown["serial"]),
        (&"redeemed".into(), &pass["serial"])
    );
    let verified = office.daypass("carol", "ledger verify").await;
    verified.exits("the ledger verifies", 0);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_goes_on_when_approved_and_hears_a_denial() {
    let office = Office::open(&["bob", "carol"]).await;
    for (verb, code) in [("approve", 0), ("deny", 3)] {
        let waiting = office.command("bob", "request prod --reason INC-8 --wait 2m", &[]);
        let waiting = tokio::spawn({
            let mut waiting = waiting;
            async move { waiting.output().await.unwrap() }
        });
        let id = loop {
            let listed = office.daypass("carol", "requests").await.json();
            if let Some(id) = listed["requests"][0]["id"].as_u64() {
                break id;
            }
        };
        let decided = office.daypass("carol", format!("requests {verb} {id}"));
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
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_that_a_request_ends_has_its_exit_code() {
    let office = Office::open(&["bob", "carol"]).await;
    let reason = office.daypass("bob", "request prod").await;
    reason.exits("a reason is demanded", 3);
    let plain = office
        .daypass("bob", "request prod --request 7 --reason INC-7")
        .await;
    plain.exits("a request is no redemption", 2);

    let id = office.asked().await;
    let denied = office.daypass("carol", format!("requests deny {id}"));
    assert_eq!(denied.await.exits("deny", 0).json()["state"], "denied");
    let pass = office.daypass("bob", format!("pass --role prod --request {id}"));
    pass.await.exits("denied", 3);

    let id = office.asked().await;
    let other = office.daypass("carol", format!("requests cancel {id}"));
    other.await.exits("cancelled by another", 3);
    let cancelled = office.daypass("bob", format!("requests cancel {id}"));
    assert_eq!(
        cancelled.await.exits("cancel", 0).json()["state"],
        "cancelled"
    );

    let ssh = office
        .daypass("bob", "ssh web-1 --role prod --reason INC-9")
        .await;
    let ssh = ssh.exits("ssh without a terminal does not wait", 5);
    assert!(
        ssh.stderr.contains("daypass ssh web-1 --request"),
        "{}",
        ssh.stderr
    );
    let short = office
        .daypass("bob", "request prod --reason INC-9 --wait 1s")
        .await;
    short.exits("nobody came", 5);

    let urgent = office.daypass("bob", "request prod --reason INC-9 --emergency");
    let serial = urgent.await.exits("emergency", 0).json()["serial"].clone();
    let approve = office.daypass("carol", format!("requests approve {serial}"));
    approve.await.exits("a review is no approval", 2);
    let review = office.daypass("carol", format!("requests review {serial}"));
    assert_eq!(review.await.exits("review", 0).json()["state"], "reviewed");
    office.close().await;
}
