//! The store on real files: appends under load, restarts, a second daemon, faults that go and
//! faults that stay.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

mod faults;
mod forged;
mod handing_over;
mod passes;
mod snapshots;
mod tampering;

use std::path::PathBuf;

use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::*;
use crate::ledger::{
    Event,
    checkpoint::{Checkpoint, Signer},
    tree::{leaf_hash, verify_consistency, verify_inclusion},
};

const ORIGIN: &str = "daypass.example.com/ledger";
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn signer() -> Signer {
    Signer::new(ORIGIN, &[7; 32]).unwrap()
}

fn started() -> EventKind {
    EventKind::started("0.1.0", "daypass.example.com")
}

fn staged(number: u64) -> EventKind {
    EventKind::KeyStaged {
        key: format!("SHA256:{number}"),
    }
}

/// A folder for one ledger.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn open(&self) -> Result<Store, Error> {
        Store::open(self.0.path(), signer(), started(), NOW).await
    }

    /// A ledger of this many events, closed.
    async fn with_events(count: u64) -> Self {
        let folder = Self::new();
        let store = folder.open().await.unwrap();
        for number in 1..count {
            store.record(staged(number), NOW).await.unwrap();
        }
        store.close().await;
        folder
    }

    async fn connection(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.file("ledger.db"))
            .foreign_keys(false)
            .connect()
            .await
            .unwrap()
    }

    /// Changes the database as another process with access to the file would.
    async fn run_sql(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::Connection::close(connection).await.unwrap();
    }
}

async fn head(store: &Store) -> Checkpoint {
    let note = store.checkpoint().await.unwrap();
    store.verifier().verify(&note).unwrap()
}

/// Records many events at once, so that they share commits.
async fn record_together(store: &Store, count: u64) -> Vec<u64> {
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.record(staged(number), NOW).await.unwrap() })
        })
        .collect();
    let mut indices = Vec::new();
    for task in tasks {
        indices.push(task.await.unwrap());
    }
    indices
}

#[tokio::test]
async fn the_first_event_is_started_and_the_next_follow_it() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    assert_eq!(store.record(staged(1), NOW).await.unwrap(), 1);
    assert_eq!(store.record(staged(2), NOW).await.unwrap(), 2);
    let entries = store.entries(0, 10).await.unwrap();
    let events: Vec<_> = entries
        .iter()
        .map(|(_, leaf)| Event::parse(leaf).unwrap())
        .collect();
    let EventKind::Started {
        signed_heads: true,
        unsigned,
        ..
    } = &events[0].what
    else {
        panic!("{:?}", events[0]);
    };
    assert!(unsigned.is_empty());
    assert_eq!(events[2].what, staged(2));
    for ((at, event), index) in entries.iter().zip(&events).map(|(e, v)| (e.0, v)).zip(0..) {
        assert_eq!((at, event.index), (index, index));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_at_once_get_an_index_each() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let mut indices = record_together(&store, 200).await;
    indices.sort_unstable();
    assert_eq!(indices, (1..=200).collect::<Vec<_>>());
    assert_eq!(store.size(), 201);
    let mut frontier = Frontier::default();
    for (_, leaf) in store.entries(0, 1000).await.unwrap() {
        frontier.push(leaf_hash(&leaf));
    }
    assert_eq!(head(&store).await.root, frontier.root());
}

#[tokio::test]
async fn what_a_caller_gets_is_the_event_that_it_asked_for() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let indices = record_together(&store, 50).await;
    for (number, index) in (0..).zip(indices) {
        let entries = store.entries(index, 1).await.unwrap();
        assert_eq!(Event::parse(&entries[0].1).unwrap().what, staged(number));
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_changes_nothing() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    tokio::select! {
        biased;
        _ = store.record(staged(1), NOW) => panic!("it was to be left"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(store.record(staged(2), NOW).await.unwrap(), 2);
    let entries = store.entries(1, 1).await.unwrap();
    assert_eq!(Event::parse(&entries[0].1).unwrap().what, staged(1));
}

#[tokio::test]
async fn a_restart_continues_the_same_ledger() {
    let folder = Folder::new();
    let mut heads = Vec::new();
    for round in 1..=4 {
        let store = folder.open().await.unwrap();
        record_together(&store, 30).await;
        assert_eq!(store.size(), round * 31);
        heads.push(head(&store).await);
        store.close().await;
    }
    let store = folder.open().await.unwrap();
    let now = head(&store).await;
    for old in &heads {
        let proof = store.consistency_proof(old.size, now.size).await.unwrap();
        assert!(verify_consistency(
            old.size, &old.root, now.size, &now.root, &proof
        ));
    }
}

#[tokio::test]
async fn every_leaf_of_every_size_can_be_proven() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    for size in 1..20 {
        let head = head(&store).await;
        assert_eq!(head.size, size);
        for (index, leaf) in store.entries(0, 100).await.unwrap() {
            let proof = store.inclusion_proof(index, size).await.unwrap();
            assert!(verify_inclusion(
                &leaf_hash(&leaf),
                index,
                size,
                &proof,
                &head.root
            ));
        }
        store.record(staged(size), NOW).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_there_is_out_of_range() {
    let folder = Folder::with_events(3).await;
    let store = folder.open().await.unwrap();
    assert_eq!(store.entries(4, 10).await.unwrap(), []);
    assert_eq!(store.entries(2, 10).await.unwrap().len(), 2);
    assert_eq!(store.entries(0, 0).await.unwrap(), []);
    assert_eq!(
        store.consistency_proof(0, 4).await.unwrap(),
        Vec::<crate::ledger::tree::Hash>::new()
    );
    let big = u64::MAX;
    let refusals = [
        store.entries(5, 1).await.map(drop),
        store.entries(big, u32::MAX).await.map(drop),
        store.inclusion_proof(4, 4).await.map(drop),
        store.inclusion_proof(0, 5).await.map(drop),
        store.inclusion_proof(big - 1, big).await.map(drop),
        store.consistency_proof(4, 3).await.map(drop),
        store.consistency_proof(1, big).await.map(drop),
    ];
    for refusal in refusals {
        assert!(
            matches!(refusal, Err(Error::Range { size: 4 })),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn one_read_returns_at_most_a_thousand_leaves() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    record_together(&store, 1100).await;
    assert_eq!(store.entries(0, u32::MAX).await.unwrap().len(), 1000);
    assert_eq!(store.entries(1000, u32::MAX).await.unwrap().len(), 101);
}

#[tokio::test]
async fn a_checkpoint_is_on_disk_before_it_is_shown_and_stays_while_nothing_changes() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let first = store.checkpoint().await.unwrap();
    assert_eq!(
        fs::read_to_string(folder.file("checkpoint")).unwrap(),
        first
    );
    assert_eq!(store.checkpoint().await.unwrap(), first);
    store.record(staged(1), NOW).await.unwrap();
    let second = store.checkpoint().await.unwrap();
    assert_ne!(first, second);
    assert_eq!(
        fs::read_to_string(folder.file("checkpoint")).unwrap(),
        second
    );
}

#[tokio::test]
async fn a_second_daemon_is_refused_until_the_first_is_closed() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let refusal = folder.open().await.unwrap_err();
    assert!(matches!(refusal, Error::Locked(_)));
    let process = format!("(process {})", std::process::id());
    assert!(refusal.to_string().contains(&process), "{refusal}");
    store.record(staged(1), NOW).await.unwrap();
    store.close().await;
    assert_eq!(folder.open().await.unwrap().size(), 3);
}

#[tokio::test]
async fn a_closed_store_takes_nothing_and_loses_nothing() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let waiting: Vec<_> = (0..100)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.record(staged(number), NOW).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    store.close().await;
    assert!(!store.is_ready());
    let late = store.record(staged(0), NOW).await;
    assert!(matches!(late, Err(Error::Unavailable(_))));
    let mut acknowledged = Vec::new();
    for task in waiting {
        acknowledged.extend(task.await.unwrap().ok());
    }
    let signed = fs::read_to_string(folder.file("checkpoint")).unwrap();
    let signed = signer().verifier().verify(&signed).unwrap();
    assert_eq!(signed.size, 1 + acknowledged.len() as u64);
    assert_eq!(folder.open().await.unwrap().size(), signed.size + 1);
}

#[test]
fn a_daemon_that_is_gone_without_a_word_loses_nothing_that_it_acknowledged() {
    let folder = Folder::new();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    let mut acknowledged = 0;
    for round in 0..5 {
        let first = runtime();
        let store = first.block_on(folder.open()).unwrap();
        for number in 0..40 {
            let store = store.clone();
            first.spawn(async move { store.record(staged(number), NOW).await });
        }
        let index = first.block_on(store.record(staged(round), NOW)).unwrap();
        assert!(index > acknowledged);
        acknowledged = index;
        drop(store);
        first.shutdown_background();
        wait_for_lock(&folder);
    }
    let last = runtime();
    let store = last.block_on(folder.open()).unwrap();
    assert!(store.size() > acknowledged);
}

/// The runtime is dropped in the background: its lock goes when its writer does.
fn wait_for_lock(folder: &Folder) {
    let lock = fs::File::open(folder.file("lock")).unwrap();
    lock.lock().unwrap();
}
