//! Snapshots of the ledger state, and the scrub behind a start that used one.

use std::time::Duration;

use super::{passes::issued, *};
use crate::ledger::snapshot::Snapshot;

const EVERY: u64 = 50;

impl Folder {
    async fn open_often(&self) -> Result<Store, Error> {
        let opening = Opening {
            snapshot_every: EVERY,
            ..Opening::default()
        };
        Store::open_with(self.0.path(), signer(), started(), NOW, opening).await
    }

    /// A ledger of passes and other events with a snapshot, closed.
    async fn with_snapshot(count: u64) -> Self {
        let folder = Self::new();
        let store = folder.open_often().await.unwrap();
        fill(&store, count).await;
        store.close().await;
        folder
    }

    fn snapshot(&self) -> Option<Snapshot> {
        crate::store::snapshots::newest(self.0.path(), &Keyring::from(signer()).verifiers())
            .map(|(snapshot, _)| snapshot)
    }
}

async fn fill(store: &Store, count: u64) {
    while store.size() < count {
        let number = store.size();
        let what = match number % 2 {
            0 => EventKind::Issued(Box::new(issued())),
            _ => staged(number),
        };
        store.record(what, NOW).await.unwrap();
    }
}

fn serials(store: &Store) -> Vec<u64> {
    store.state(|state| state.passes().map(|pass| pass.serial).collect())
}

/// Waits until the scrub has come to an end: all read, or damage.
async fn scrubbed(store: &Store) -> Scrubbed {
    tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let now = store.scrubbed();
            if now.damage.is_some() || (now.of > 0 && now.read == now.of) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_small_ledger_has_no_snapshot_and_is_read_whole() {
    let folder = Folder::with_snapshot(EVERY - 1).await;
    assert!(folder.snapshot().is_none());
    assert!(!folder.file("snapshot").exists());
}

#[tokio::test]
async fn a_start_reads_only_what_follows_the_snapshot() {
    let folder = Folder::with_snapshot(120).await;
    let snapshot = folder.snapshot().unwrap();
    assert_eq!(snapshot.head.size(), 120);
    let before = folder.open_often().await.unwrap();
    let known = serials(&before);
    assert!(known.len() > 50);
    before.close().await;

    // A start that read this event would refuse it; the scrub does, a little later.
    folder
        .run_sql("UPDATE ledger SET event = x'7b7d' WHERE position = 11")
        .await;
    let store = folder.open_often().await.unwrap();
    assert_eq!(serials(&store), known);
    let scrubbed = scrubbed(&store).await;
    assert_eq!(
        scrubbed.damage.as_deref(),
        Some("event 11 was changed after it was written")
    );
    assert!(!store.is_ready());
    store.close().await;

    std::fs::remove_file(folder.file("snapshot")).unwrap();
    let refused = folder.open_often().await.unwrap_err().to_string();
    assert!(refused.contains("event 11"), "{refused}");
}

#[tokio::test]
async fn the_scrub_of_an_intact_ledger_finds_the_same_state() {
    let folder = Folder::with_snapshot(150).await;
    let store = folder.open_often().await.unwrap();
    let scrubbed = scrubbed(&store).await;
    assert_eq!(scrubbed.damage, None);
    assert_eq!(scrubbed.of, 150);
    assert!(store.is_ready());
    store.close().await;
}

/// The signed state is the oracle: rows with valid hashes that lead to another state.
#[tokio::test]
async fn the_scrub_finds_hashes_that_do_not_belong_to_the_tree() {
    let folder = Folder::with_snapshot(100).await;
    folder
        .run_sql("UPDATE ledger SET hashes = zeroblob(32) WHERE position = 20")
        .await;
    let store = folder.open_often().await.unwrap();
    let damage = scrubbed(&store).await.damage;
    assert_eq!(
        damage.as_deref(),
        Some("event 20 was changed after it was written")
    );
    store.close().await;
}

#[tokio::test]
async fn a_snapshot_is_written_while_the_ledger_grows() {
    let folder = Folder::new();
    let store = folder.open_often().await.unwrap();
    fill(&store, EVERY + 10).await;
    let written = async {
        while folder.snapshot().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written)
        .await
        .unwrap();
    let size = folder.snapshot().unwrap().head.size();
    assert!((EVERY..=EVERY + 10).contains(&size), "{size}");
    store.close().await;
    assert_eq!(folder.snapshot().unwrap().head.size(), EVERY + 10);
}

/// Each costs time only: the state is the same.
#[tokio::test]
async fn a_missing_cut_foreign_or_stale_snapshot_is_no_harm() {
    let other = Folder::with_snapshot(110).await;
    let folder = Folder::with_snapshot(70).await;
    let stale = fs::read(folder.file("snapshot")).unwrap();
    let store = folder.open_often().await.unwrap();
    fill(&store, 130).await;
    let known = serials(&store);
    store.close().await;
    let good = fs::read(folder.file("snapshot")).unwrap();
    let others = fs::read(other.file("snapshot")).unwrap();
    let by_other_key = {
        let signer = Signer::new(ORIGIN, &[8; 32]).unwrap();
        folder.snapshot().unwrap().to_bytes(&signer).unwrap()
    };
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    for (case, bytes) in [
        ("good", Some(good.clone())),
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("cut", Some(good[..good.len() / 2].to_vec())),
        ("flipped", Some(flipped)),
        ("by another key", Some(by_other_key)),
        ("of another ledger", Some(others)),
        ("stale", Some(stale)),
    ] {
        let path = folder.file("snapshot");
        match bytes {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let store = folder.open_often().await.unwrap();
        assert_eq!(serials(&store), known, "{case}");
        store.close().await;
        assert_eq!(
            folder.snapshot().unwrap().head.size(),
            store.size(),
            "{case}"
        );
    }
}

#[tokio::test]
async fn events_after_the_snapshot_are_judged_as_ever() {
    let folder = Folder::with_snapshot(60).await;
    let snapshot = fs::read(folder.file("snapshot")).unwrap();
    let store = folder.open_often().await.unwrap();
    fill(&store, 90).await;
    store.close().await;
    fs::write(folder.file("snapshot"), snapshot).unwrap();
    folder
        .run_sql("UPDATE ledger SET event = x'7b7d' WHERE position = 75")
        .await;
    let refused = folder.open_often().await.unwrap_err().to_string();
    assert!(refused.contains("event 75"), "{refused}");
}

#[tokio::test]
async fn an_older_database_beside_a_newer_snapshot_is_noticed() {
    let folder = Folder::with_snapshot(60).await;
    let old = fs::read(folder.file("ledger.db")).unwrap();
    let store = folder.open_often().await.unwrap();
    fill(&store, 120).await;
    store.close().await;
    fs::write(folder.file("ledger.db"), old).unwrap();
    let refused = folder.open_often().await.unwrap_err().to_string();
    assert!(refused.contains("were signed"), "{refused}");
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_stops_nothing() {
    let folder = Folder::with_snapshot(60).await;
    fs::remove_file(folder.file("snapshot")).unwrap();
    fs::create_dir(folder.file("snapshot.new")).unwrap();
    let store = folder.open_often().await.unwrap();
    fill(&store, 200).await;
    assert!(store.is_ready());
    store.close().await;
    let store = folder.open_often().await.unwrap();
    assert!(store.size() >= 200);
    store.close().await;
}
