//! Rows that another program with access to the database, but without the ledger's key, adds to a
//! stopped ledger. They are consistent in themselves, and are found.

use crate::ssh::{options::Extension, permissions::Permissions};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, rand_core::OsRng};

use super::*;
use crate::ledger::{
    approval,
    event::{Actor, LockTarget, Locked, RequestDecision, RequestDetails, Requested, Unlocked},
    order::tests as order,
    state::{State, Verb},
};
use crate::ssh::sshsig::{self, Namespace};
use crate::unix_seconds::UnixSeconds;

const SERVER: &str = "daypass.example.com";

pub(super) fn who(subject: &str) -> Actor {
    Actor {
        issuer: "https://id.example.com".to_owned(),
        subject: subject.to_owned(),
        label: format!("{subject}@example.com"),
        claims: json!({}).into(),
    }
}

fn requested() -> EventKind {
    EventKind::Requested(Box::new(Requested {
        who: who("mallory"),
        ask: RequestDetails {
            role: "prod-root".to_owned(),
            ..RequestDetails::default()
        },
        key: "SHA256:mallory".to_owned(),
        needed: 1,
        expires_at: UnixSeconds(1800),
        permissions: Permissions {
            principals: ["root".to_owned()].into(),
            extensions: [Extension::Pty].into(),
            ..Permissions::default()
        },
        ttl_seconds: 1800,
        policy: "ab".repeat(32),
        through: None,
    }))
}

fn approved(key: &PrivateKey, signature: String) -> EventKind {
    EventKind::Approved(Box::new(RequestDecision {
        request: 1,
        role: "prod-root".to_owned(),
        who: who("lead"),
        key: key.public_key().to_openssh().unwrap(),
        signature,
        comment: String::new(),
        policy: "ab".repeat(32),
        presence: None,
    }))
}

fn denied() -> EventKind {
    EventKind::Denied {
        who: who("mallory"),
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

/// A ledger with an open request as event 1 and a lock as event 2, closed.
async fn waiting() -> Folder {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    store.record(requested(), NOW).await.unwrap();
    let lock = EventKind::Locked(Box::new(Locked {
        who: who("admin"),
        ..lock_of_role()
    }));
    let lock = order::signed(lock, SERVER, 1, 0);
    store.record(lock, NOW).await.unwrap();
    store.close().await;
    folder
}

fn lock_of_role() -> Locked {
    serde_json::from_value(json!({
        "who": who("admin"),
        "target": {"role": "db-admin"},
        "serials": [],
        "policy": "ab",
    }))
    .unwrap()
}

fn unlocked() -> EventKind {
    let unlocked: Unlocked = serde_json::from_value(json!({
        "who": who("admin"),
        "target": LockTarget::Role("db-admin".to_owned()),
        "policy": "ab",
    }))
    .unwrap();
    EventKind::Unlocked(Box::new(unlocked))
}

async fn refusal(folder: &Folder) -> String {
    match folder.open().await {
        Err(error @ Error::Tampered(_)) => error.to_string(),
        Err(error) => panic!("refused for another reason: {error}"),
        Ok(_) => panic!("opened"),
    }
}

#[tokio::test]
async fn a_forged_approval_unlock_or_pass_stops_the_start_and_is_named() {
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let cases = [
        (
            "no signature at all",
            approved(&key, "AAAA".to_owned()),
            "event 3 is a decision with an invalid signature",
        ),
        (
            "a hand-written unlock",
            unlocked(),
            "event 3 is an order without its administrator's signature",
        ),
        (
            "a pass",
            EventKind::Issued(Box::new(passes::issued())),
            "event 3 ",
        ),
        (
            "a request",
            requested(),
            "event 3 (`requested`) is not in the head",
        ),
        (
            "a failed signature of no pass",
            EventKind::SigningFailed {
                serial: 1,
                cause: "x".to_owned(),
            },
            "event 3 names a serial that no earlier certificate has",
        ),
    ];
    for (case, event, expected) in cases {
        let folder = waiting().await;
        folder.forge(vec![event]).await;
        let said = refusal(&folder).await;
        assert!(said.contains(expected), "{case}: {said}");
        assert!(said.contains("nothing is issued"), "{case}: {said}");
    }
}

/// A signature by the forger's own key is valid: only the signed head shows the forgery.
#[tokio::test]
async fn an_approval_signed_with_the_forgers_own_key_stops_the_start() {
    let folder = waiting().await;
    let store = folder.open().await.unwrap();
    let leaf = store.entries(1, 1).await.unwrap().remove(0).1;
    store.close().await;
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let digest = leaf_hash(&leaf);
    let message = approval::Message {
        verb: Verb::Approve,
        server_name: SERVER,
        issuer: &who("lead").issuer,
        subject: &who("lead").subject,
        digest: &digest,
        comment: "",
    };
    let message = message.to_bytes();
    let signature = key
        .sign(Namespace::Approve.as_str(), HashAlg::Sha512, &message)
        .unwrap();
    let signature = sshsig::compact(&signature.to_pem(LineEnding::LF).unwrap());
    assert!(STANDARD.decode(&signature).is_ok());
    folder.forge(vec![approved(&key, signature)]).await;
    let said = refusal(&folder).await;
    assert!(
        said.contains("event 4 (`approved`) is not in the head"),
        "{said}"
    );
}

/// All that grants or refuses a pass. The starts of a ledger are counted too, forged or not: they
/// can only widen what an accepted restore revokes.
fn granted(state: &LedgerState) -> String {
    let passes: Vec<_> = state.passes().collect();
    let requests: Vec<_> = state.requests().collect();
    let locks: Vec<_> = state.locks().collect();
    let waits = state.waits_for_acceptance();
    format!(
        "{passes:?} {requests:?} {locks:?} {waits} {:?}",
        state.policy()
    )
}

#[tokio::test]
async fn forged_events_that_change_nothing_are_named_in_started() {
    let folder = waiting().await;
    let before = folder.open().await.unwrap();
    let state = before.state(granted);
    before.close().await;
    folder.forge(vec![denied(), started(), staged(9)]).await;
    let store = folder.open().await.unwrap();
    let last = store.entries(7, 1).await.unwrap().remove(0).1;
    let EventKind::Started { unsigned, .. } = Event::parse(&last).unwrap().what else {
        panic!("not `started`");
    };
    assert_eq!(unsigned, [4, 5, 6]);
    assert_eq!(store.state(granted), state);
    store.close().await;
    let store = folder.open().await.unwrap();
    let last = store.entries(8, 1).await.unwrap().remove(0).1;
    let EventKind::Started { unsigned, .. } = Event::parse(&last).unwrap().what else {
        panic!("not `started`");
    };
    assert_eq!(unsigned, [0; 0], "they are signed by now");
}

#[tokio::test]
async fn a_flood_of_forged_events_stops_the_start() {
    let folder = waiting().await;
    folder.forge((0..33).map(|_| denied()).collect()).await;
    let said = refusal(&folder).await;
    assert!(said.contains("more than 32 events"), "{said}");
}

#[tokio::test]
async fn an_older_head_put_back_with_its_rows_is_noticed() {
    let folder = waiting().await;
    let old = folder.head().await;
    let store = folder.open().await.unwrap();
    store.record(staged(1), NOW).await.unwrap();
    store.close().await;
    folder
        .run_sql(&format!("UPDATE head SET note = '{old}'"))
        .await;
    let said = refusal(&folder).await;
    assert!(said.contains("older than the file `checkpoint`"), "{said}");
}

#[tokio::test]
async fn a_checkpoint_is_no_head_and_a_head_no_checkpoint() {
    let folder = waiting().await;
    let checkpoint = fs::read_to_string(folder.file("checkpoint")).unwrap();
    let head = folder.head().await;
    folder
        .run_sql(&format!("UPDATE head SET note = '{checkpoint}'"))
        .await;
    assert!(refusal(&folder).await.contains("is not signed by"));
    folder
        .run_sql(&format!("UPDATE head SET note = '{head}'"))
        .await;
    fs::write(folder.file("checkpoint"), &head).unwrap();
    assert!(refusal(&folder).await.contains("is not a checkpoint"));
}

/// As after kill -9: events that were committed, and no checkpoint over them yet.
#[tokio::test]
async fn what_was_committed_after_the_last_checkpoint_is_taken() {
    let folder = waiting().await;
    let early = fs::read(folder.file("checkpoint")).unwrap();
    let store = folder.open().await.unwrap();
    store.record(denied(), NOW).await.unwrap();
    let unlock = order::signed(unlocked(), SERVER, 1, 3);
    store.record(unlock, NOW).await.unwrap();
    store.close().await;
    fs::write(folder.file("checkpoint"), early).unwrap();
    let store = folder.open().await.unwrap();
    assert_eq!(store.size(), 7);
    let request = store.state(|state| state.request(1).map(|request| request.state(NOW)));
    assert_eq!(request, Some(State::Pending));
}

#[tokio::test]
async fn a_trigger_a_view_or_another_schema_is_refused_by_name() {
    let cases = [
        (
            "CREATE TRIGGER nice AFTER INSERT ON ledger BEGIN DELETE FROM ledger WHERE position = 2; END",
            "trigger \"nice\"",
        ),
        ("CREATE VIEW nice AS SELECT * FROM ledger", "view \"nice\""),
        ("CREATE INDEX nice ON ledger (event)", "index \"nice\""),
        ("CREATE TABLE nice (x INT)", "table \"nice\""),
        ("ALTER TABLE ledger ADD COLUMN nice INT", "table \"ledger\""),
        (
            "ALTER TABLE ledger RENAME TO other; CREATE VIEW ledger AS SELECT * FROM other",
            "daypass does not make",
        ),
        (
            "CREATE TRIGGER nice AFTER UPDATE ON _sqlx_migrations BEGIN DELETE FROM ledger; END",
            "trigger \"nice\"",
        ),
    ];
    for (sql, expected) in cases {
        let folder = waiting().await;
        folder.run_sql(sql).await;
        let said = folder.open().await.unwrap_err().to_string();
        assert!(said.contains(expected), "{sql}: {said}");
        assert!(said.contains("put back the newest copy"), "{sql}: {said}");
    }
}

/// It was taken for a foreign table, with the advice to drop it.
#[tokio::test]
async fn the_tables_of_a_newer_version_are_left_to_that_version() {
    const NEWER: &str = "CREATE TABLE snapshot (id BIGINT PRIMARY KEY); INSERT INTO _sqlx_migrations \
                         SELECT version + 1, 'snapshot', installed_on, success, checksum, execution_time \
                         FROM _sqlx_migrations ORDER BY version DESC LIMIT 1";
    let folder = waiting().await;
    folder.run_sql(NEWER).await;
    for _ in 0..2 {
        let refused = folder.open().await.unwrap_err();
        assert!(matches!(refused, Error::Start(_)), "{refused:?}");
        let said = refused.to_string();
        assert!(said.contains("start the newer version"), "{said}");
        assert!(!said.contains("DROP"), "{said}");
    }
    folder
        .run_sql("DROP TABLE snapshot; DELETE FROM _sqlx_migrations WHERE version = 6")
        .await;
    assert_eq!(folder.open().await.unwrap().size(), 4, "nothing was lost");
}

/// A database as the version before signed heads left it.
const OLDER: &str = "DROP TABLE head; DELETE FROM _sqlx_migrations WHERE version = 2";

#[tokio::test]
async fn a_database_without_signed_heads_is_taken_if_it_was_stopped_in_order() {
    for (case, unsigned, expected) in [
        ("stopped in order", 0, None),
        ("killed", 2, Some("its last 2 events are in no signed head")),
    ] {
        let folder = Folder::new();
        folder.older(3 + unsigned, 3).await;
        match expected {
            None => {
                let store = folder.open().await.unwrap();
                assert_eq!(store.size(), 4, "{case}");
                store.close().await;
                assert_eq!(folder.open().await.unwrap().size(), 5, "{case}");
            }
            Some(expected) => {
                for _ in 0..2 {
                    let said = refusal(&folder).await;
                    assert!(said.contains(expected), "{case}: {said}");
                }
                assert!(!folder.has_head().await, "left to the older version");
            }
        }
    }
}

impl Folder {
    /// Adds rows as a program does that knows the format and has no key.
    async fn forge(&self, events: Vec<EventKind>) {
        let rows = self.rows().await;
        let mut frontier = Frontier::default();
        for leaf in &rows {
            frontier.push(leaf_hash(leaf));
        }
        for what in events {
            let event = Event {
                index: frontier.size(),
                at: NOW,
                what,
            };
            let leaf = event.to_bytes().unwrap();
            let hashes = frontier.push(leaf_hash(&leaf)).concat();
            self.run_sql(&format!(
                "INSERT INTO ledger VALUES ({}, x'{}', x'{}')",
                event.index,
                base16ct::lower::encode_string(&leaf),
                base16ct::lower::encode_string(&hashes)
            ))
            .await;
        }
    }

    /// A ledger of an older version: `count` events, the first `signed` of them under the
    /// checkpoint.
    async fn older(&self, count: u64, signed: u64) {
        let store = self.open().await.unwrap();
        store.close().await;
        self.run_sql("DELETE FROM ledger").await;
        let mut events = vec![started()];
        events.extend((1..count).map(staged));
        self.forge(events).await;
        let mut frontier = Frontier::default();
        for leaf in self.rows().await.iter().take(signed as usize) {
            frontier.push(leaf_hash(leaf));
        }
        let note = signer().sign(frontier.size(), frontier.root());
        fs::write(self.file("checkpoint"), note).unwrap();
        self.run_sql(OLDER).await;
    }

    async fn head(&self) -> String {
        self.one("SELECT note FROM head").await
    }

    async fn has_head(&self) -> bool {
        let tables = "SELECT group_concat(name) FROM sqlite_master";
        self.one(tables).await.contains("head")
    }

    async fn one(&self, sql: &'static str) -> String {
        let mut connection = self.connection().await;
        let text = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
        text.unwrap()
    }

    async fn rows(&self) -> Vec<Vec<u8>> {
        let mut connection = self.connection().await;
        sqlx::query_scalar("SELECT event FROM ledger ORDER BY position")
            .fetch_all(&mut connection)
            .await
            .unwrap()
    }
}
