//! The search index behind a real daemon: it is derived from the ledger, so no damage to its file
//! changes an answer.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use daypass::{
    ledger::{
        EventKind,
        checkpoint::Signer,
        event::{Actor, RequestDetails},
    },
    proto::v1::{self, ledger_client::LedgerClient},
    store::Store,
};
use sqlx::{ConnectOptions, Connection};
use ssh_key::PrivateKey;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{
    api::{Api, Caller, with_token},
    env::TestEnv,
    https,
    server::{Process, ServerFiles},
};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than one transaction of the index.
const EVENTS: usize = 6000;

const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["debug"]
[audit]
allow = '"security" in claims.groups'
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["debug"]
ttl = "1h"
"#;

fn denial(number: usize) -> EventKind {
    let subject = format!("user-{}", number % 10);
    EventKind::Denied {
        who: Actor {
            issuer: "https://id.example.com".to_owned(),
            label: format!("{subject}@example.com"),
            subject,
            claims: serde_json::json!({}).into(),
        },
        ask: RequestDetails {
            role: format!("role-{}", number % 7),
            ..RequestDetails::default()
        },
        key: None,
        reason: "NOT_ALLOWED".to_owned(),
        detail: String::new(),
        policy: "ab".to_owned(),
        cut: false,
        unbound: false,
        by: None,
    }
}

/// Appends denials to the daemon's ledger, which does not run yet.
async fn fill(files: &ServerFiles) {
    let key = PrivateKey::read_openssh_file(&files.path("ledger_key")).unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let signer = Signer::new("localhost/ledger", &seed).unwrap();
    let now = time::OffsetDateTime::now_utc();
    let started = EventKind::started("0.1.0", "localhost");
    let store = Store::open(&files.path("state"), signer, started, now).await;
    let store = Arc::new(store.unwrap());
    let mut records = JoinSet::new();
    for number in 0..EVENTS {
        let store = Arc::clone(&store);
        records.spawn(async move { store.record(denial(number), now).await.unwrap() });
    }
    records.join_all().await;
    Arc::into_inner(store).unwrap().close().await;
}

/// A daemon over an old ledger.
struct Site {
    files: ServerFiles,
    daemon: Option<(Process, Api)>,
}

impl Site {
    async fn new() -> Self {
        let files = TestEnv::new().policy(POLICY).prepare().await;
        fill(&files).await;
        Self {
            files,
            daemon: None,
        }
    }

    fn index(&self) -> std::path::PathBuf {
        self.files.path("state").join("search.db")
    }

    async fn start(&mut self) {
        let mut process = self.files.spawn(&[]);
        let api = self.files.expect_api(&mut process).await;
        self.daemon = Some((process, api));
    }

    async fn stop(&mut self) {
        self.daemon.take().unwrap().0.stop().await;
    }

    fn kill(&mut self) {
        self.daemon.take().unwrap().0.kill();
    }

    fn api(&self) -> &Api {
        &self.daemon.as_ref().unwrap().1
    }

    async fn get(&self, path: &str) -> String {
        let client = https::client(self.files.tls_ca());
        let url = format!("{}{path}", self.files.url());
        client.get(url).send().await.unwrap().text().await.unwrap()
    }

    async fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<f64>().unwrap() as u64
    }

    /// Waits until the index has every event. The gauges are measured once in a second, so those of
    /// the last one may be of another file.
    async fn filled(&self) {
        sleep(Duration::from_millis(1100)).await;
        let filled = async {
            loop {
                let indexed = self.metric("daypass_search_indexed_events ").await;
                if indexed == self.metric("daypass_ledger_size ").await {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let filled = timeout(PATIENCE, filled).await;
        assert!(filled.is_ok(), "{}", self.files.log());
    }

    /// One answer, with the index from which on it is complete.
    async fn page(&self, from: u64, filter: v1::Filter) -> (Vec<u64>, u64) {
        let auditor = self.files.token(&Caller::new(), "carol", &["security"]);
        let request = v1::ListRequest {
            from,
            limit: 1000,
            newest_first: true,
            filter: Some(filter),
        };
        let mut ledger = LedgerClient::new(self.api().channel());
        let page = ledger.list(with_token(request, &auditor)).await;
        let page = page.unwrap().into_inner();
        let index = |leaf: &Vec<u8>| {
            let event: serde_json::Value = serde_json::from_slice(leaf).unwrap();
            event["index"].as_u64().unwrap()
        };
        let found = page.events.iter().map(index).collect();
        (found, page.searched_from.unwrap())
    }

    /// Demands the whole answer to one question, page by page, while the index is in any state.
    async fn expect_answer(&self, case: &str) {
        let filter = v1::Filter {
            who: "user-3".to_owned(),
            role: "role-5".to_owned(),
            ..v1::Filter::default()
        };
        let (mut all, mut from) = (Vec::new(), u64::MAX - 1);
        loop {
            let (found, searched_from) = self.page(from, filter.clone()).await;
            assert!(searched_from <= from, "{case}: a search goes on");
            assert!(found.iter().all(|at| *at >= searched_from), "{case}");
            all.extend(found);
            match searched_from.checked_sub(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        // Denials may come in any order, so they are counted: those that are 5 mod 7 and 3 mod 10.
        let expected = (0..EVENTS).filter(|n| n % 10 == 3 && n % 7 == 5).count();
        assert_eq!(all.len(), expected, "{case}: {all:?}");
        assert!(all.is_sorted_by(|one, next| one > next), "{case}: {all:?}");
    }
}

impl Site {
    /// A file that is missing or empty is made without a word.
    fn expect_made_again(&self, times: usize) {
        let log = self.files.log();
        let said = log.matches("the search index is made again").count();
        assert!(said >= times, "{said} times:\n{log}");
    }
}

fn write_at(path: &Path, at: u64, length: usize) {
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&vec![0xa5; length]).unwrap();
}

fn cut(path: &Path, length: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(length).unwrap();
}

/// Moves what SQLite keeps beside the file into it, so that damage to the file is damage to the
/// index.
async fn settle(path: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(busy, 0, "the index is in use");
    connection.close().await.unwrap();
}

/// Bytes of a page of SQLite.
const PAGE: u64 = 4096;

/// A fault of the file, by name.
type Damage = (&'static str, fn(&Path));

const DAMAGE: [Damage; 5] = [
    ("removed", |path| fs::remove_file(path).unwrap()),
    ("cut to nothing", |path| cut(path, 0)),
    ("cut in the middle", |path| {
        cut(path, fs::metadata(path).unwrap().len() / 2)
    }),
    ("another beginning", |path| write_at(path, 0, 200)),
    ("another middle", |path| {
        // Whole pages: a changed row is found by the check in the background.
        let pages = fs::metadata(path).unwrap().len() / PAGE;
        for page in pages / 2..pages {
            write_at(path, page * PAGE, 4096);
        }
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_damaged_while_the_daemon_was_down_is_made_again() {
    let mut site = Site::new().await;
    site.start().await;
    site.filled().await;
    site.expect_answer("a whole index").await;
    for (case, damage) in DAMAGE {
        site.stop().await;
        settle(&site.index()).await;
        damage(&site.index());
        site.start().await;
        site.expect_answer(case).await;
        site.filled().await;
        site.expect_answer(&format!("{case}: filled")).await;
        assert!(site.get("/readyz").await.starts_with("ready\n"), "{case}");
    }
    site.expect_made_again(3);
    // The index of another ledger of the same length.
    let mut other = Site::new().await;
    other.start().await;
    other.filled().await;
    other.kill();
    site.kill();
    for name in ["search.db", "search.db-wal"] {
        fs::copy(
            other.files.path("state").join(name),
            site.files.path("state").join(name),
        )
        .unwrap();
    }
    site.start().await;
    site.filled().await;
    site.expect_answer("of another ledger").await;
    assert!(site.files.log().contains("it is of another ledger"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_damaged_while_the_daemon_runs_is_made_again() {
    let mut site = Site::new().await;
    site.start().await;
    let alice = Caller::new();
    for (case, damage) in DAMAGE {
        site.filled().await;
        settle(&site.index()).await;
        damage(&site.index());
        // The daemon notices at a question or at the next event.
        site.expect_answer(case).await;
        let token = site.files.token(&alice, "alice", &["sre"]);
        let ask = crate::support::api::ask("shell");
        let pass = alice.attempt("localhost", &token, ask);
        site.api().issue(&pass).await.unwrap();
        site.expect_answer(&format!("{case}: after an event")).await;
        site.filled().await;
        site.expect_answer(&format!("{case}: filled")).await;
    }
    site.expect_made_again(3);
    site.kill();
    site.start().await;
    site.filled().await;
    site.expect_answer("after a restart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_the_index_is_filled_loses_nothing() {
    let mut site = Site::new().await;
    fs::remove_file(site.index()).ok();
    for round in 0..3 {
        site.start().await;
        site.expect_answer(&format!("start {round}")).await;
        site.kill();
    }
    site.start().await;
    site.filled().await;
    site.expect_answer("at the end").await;
}

/// An index that cannot be made: the daemon is ready, says so, and reads the ledger itself.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_index_a_search_reads_the_ledger_and_says_how_far() {
    let mut site = Site::new().await;
    for name in ["search.db", "search.db-wal", "search.db-shm"] {
        fs::remove_file(site.files.path("state").join(name)).ok();
    }
    fs::create_dir(site.index()).unwrap();
    site.start().await;
    site.expect_answer("no index").await;
    let ready = site.get("/readyz").await;
    assert!(ready.starts_with("ready\n"), "{ready}");
    let says = format!(
        "search index: it has 0 of {} events",
        site.metric("daypass_ledger_size ").await
    );
    assert!(ready.contains(&says), "{ready}");
    assert_eq!(site.metric("daypass_search_indexed_events ").await, 0);
    // More events than one call reads in its time, unless it is quick: it says how far it was.
    let (found, searched_from) = site.page(u64::MAX - 1, v1::Filter::default()).await;
    assert!(found.iter().all(|at| *at >= searched_from));
}
