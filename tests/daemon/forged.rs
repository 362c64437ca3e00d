//! Rows that another program wrote into a stopped daemon's database: what the next start says of
//! them.

use daypass::ledger::{
    Event, EventKind,
    event::{Actor, RequestDecision, RequestDetails},
    tree::{Frontier, leaf_hash},
};
use serde_json::json;
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::process::{Daemon, Home};

fn mallory() -> Actor {
    Actor {
        issuer: "https://id.example.com".to_owned(),
        subject: "mallory".to_owned(),
        label: "mallory@example.com".to_owned(),
        claims: json!({}).into(),
    }
}

fn denied() -> EventKind {
    EventKind::Denied {
        who: mallory(),
        ask: RequestDetails::default(),
        key: None,
        cut: false,
        unbound: false,
        by: None,
        reason: "NOT_ALLOWED".to_owned(),
        detail: "no".to_owned(),
        policy: "ab".repeat(32),
    }
}

fn approved() -> EventKind {
    EventKind::Approved(Box::new(RequestDecision {
        request: 1,
        role: "prod-root".to_owned(),
        who: mallory(),
        key: "ssh-ed25519 AAAA".to_owned(),
        signature: "AAAA".to_owned(),
        comment: String::new(),
        policy: "ab".repeat(32),
        presence: None,
    }))
}

async fn open(home: &Home) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(home.path("state").join("ledger.db"));
    options.connect().await.unwrap()
}

/// Appends the event as a program does that knows the format and has no key; its index.
async fn forge(home: &Home, what: EventKind) -> u64 {
    let mut connection = open(home).await;
    let leaves: Vec<Vec<u8>> = sqlx::query_scalar("SELECT event FROM ledger ORDER BY position")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut frontier = Frontier::default();
    for leaf in &leaves {
        frontier.push(leaf_hash(leaf));
    }
    let index = frontier.size();
    let at = time::OffsetDateTime::now_utc();
    let leaf = Event { index, at, what }.to_bytes().unwrap();
    let hashes = frontier.push(leaf_hash(&leaf)).concat();
    sqlx::query("INSERT INTO ledger VALUES ($1, $2, $3)")
        .bind(i64::try_from(index).unwrap())
        .bind(leaf)
        .bind(hashes)
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    index
}

/// The reason that a start gives for not going on.
fn refusal(home: &Home) -> String {
    let daemon = Daemon::launch(&mut home.serve()).unwrap();
    let reason = daemon.logged("stopped")["reason"].to_string();
    assert_eq!(daemon.wait().code(), Some(1));
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_approval_stops_the_daemon_with_its_index() {
    let home = Home::new();
    assert!(home.start().stop().success());
    let index = forge(&home, approved()).await;
    let reason = refusal(&home);
    assert!(reason.contains(&format!("event {index} ")), "{reason}");
    assert!(reason.contains("nothing is issued"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_denial_is_named_in_the_log_and_in_started() {
    let home = Home::new();
    assert!(home.start().stop().success());
    let index = forge(&home, denied()).await;
    let daemon = Daemon::launch(&mut home.serve()).unwrap();
    let line = daemon.logged(
        "an event of the ledger is not in its signed head: another program wrote it. It changes nothing; find out which",
    );
    assert_eq!(
        (&line["index"], &line["kind"]),
        (&json!(index), &json!("denied"))
    );
    daemon.logged("ready");
    assert!(daemon.stop().success());
    let leaf: Vec<u8> = sqlx::query_scalar("SELECT event FROM ledger WHERE position = $1")
        .bind(i64::try_from(index + 1).unwrap())
        .fetch_one(&mut open(&home).await)
        .await
        .unwrap();
    let started: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
    assert_eq!(started["type"], "started");
    assert_eq!(started["unsigned"], json!([index]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_in_the_database_stops_the_daemon_with_its_name() {
    let home = Home::new();
    assert!(home.start().stop().success());
    let sql = "CREATE TRIGGER helper AFTER INSERT ON ledger BEGIN DELETE FROM ledger WHERE position = 1; END";
    sqlx::query(sql)
        .execute(&mut open(&home).await)
        .await
        .unwrap();
    let reason = refusal(&home);
    assert!(
        reason.contains("trigger") && reason.contains("helper"),
        "{reason}"
    );
}
