//! What `/readyz`, the metrics and the log of a server say of another server's keys, and of a
//! database that is not the one it knew.

use super::{
    cluster::Cluster,
    daemons::{Daemon, pair},
    support::{api::ask, files},
    testing::until,
};

async fn readiness(daemon: &Daemon) -> (u16, String) {
    let (code, notes) = daemon.get("/readyz").await;
    (code, String::from_utf8(notes).unwrap())
}

async fn is_intact(daemon: &Daemon) -> bool {
    let metrics = String::from_utf8(daemon.get("/metrics").await.1).unwrap();
    let mut lines = metrics.lines();
    let line = lines.find(|line| line.starts_with("daypass_ledger_intact "));
    line.unwrap().ends_with(" 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_different_ca_keys_say_so_until_they_have_the_same() {
    const NOTE: &str = "CA keys: another server of this ledger has others";
    const LOGGED: &str = "the ledger named other CA keys until now";
    let database = Cluster::shared().database().await;
    let [mut first, mut second] = pair(&database).await;
    let key = files::new_key();
    let replace = |daemon: &Daemon| files::write_key(&daemon.files.path("ca_key"), &key);
    for daemon in [&first, &second] {
        let (code, notes) = readiness(daemon).await;
        assert!(code == 200 && !notes.contains("CA keys"), "{notes}");
        assert!(!daemon.files.log().contains(LOGGED));
    }
    second.process.kill();
    replace(&second);
    second.again().await;
    assert!(
        second.files.log().contains(LOGGED),
        "{}",
        second.files.log()
    );
    until(async || readiness(&first).await.1.contains(NOTE)).await;
    let notes = readiness(&second).await.1;
    assert!(!notes.contains("CA keys"), "{notes}");
    assert_ne!(first.get("/ca.pub").await.1, second.get("/ca.pub").await.1);

    first.process.kill();
    replace(&first);
    first.again().await;
    for daemon in [&first, &second] {
        let (code, notes) = readiness(daemon).await;
        assert!(code == 200 && !notes.contains("CA keys"), "{notes}");
    }
    assert!(!first.files.log().contains(LOGGED), "{}", first.files.log());
    assert_eq!(first.get("/ca.pub").await.1, second.get("/ca.pub").await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_ledger_was_put_back_says_that_it_is_another_one() {
    let database = Cluster::shared().database().await;
    let [first, second] = pair(&database).await;
    let alice = first.user("alice", &["sre"]);
    for _ in 0..3 {
        alice.issue(ask("shell")).await.unwrap();
    }
    assert!(is_intact(&first).await && is_intact(&second).await);
    let last = "DELETE FROM ledger WHERE position = (SELECT max(position) FROM ledger)";
    database.run_sql(last).await;
    for daemon in [&first, &second] {
        let alice = alice.over(&daemon.api);
        let refused = alice.issue(ask("shell")).await.unwrap_err();
        assert_eq!(refused.reason, "STORE_UNAVAILABLE", "{refused:?}");
        let (code, notes) = readiness(daemon).await;
        let words = "ledger: it is not the one that this server knew";
        assert!(code == 503 && notes.contains(words), "{notes}");
        // The metrics are measured anew after a moment.
        until(async || !is_intact(daemon).await).await;
        let log = daemon.files.log();
        assert!(log.contains("stop every server of this ledger"), "{log}");
        assert!(!log.contains("nothing is issued until it can"), "{log}");
    }
}
