//! Commits that fail: no caller gets a receipt, and service resumes by itself if it can.

use super::*;

/// Every insert fails as on a full disk, for as long as the trigger is there.
const FAIL: &str =
    "CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'disk is full'); END";
const MEND: &str = "DROP TRIGGER full; DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS parent";

/// Inserts succeed and COMMIT itself fails: a deferred foreign key that nothing satisfies.
const FAIL_AT_COMMIT: &str = "CREATE TABLE parent (id BIGINT PRIMARY KEY); \
    CREATE TABLE child (id BIGINT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED); \
    CREATE TRIGGER full AFTER INSERT ON ledger BEGIN INSERT INTO child VALUES (1); END";

async fn becomes_ready(store: &Store) {
    let mut state = store.0.state.clone();
    state.wait_for(|state| state.fault.is_none()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_acknowledged_while_commits_fail_and_all_is_well_after() {
    for fault in [FAIL, FAIL_AT_COMMIT] {
        let folder = Folder::with_events(3).await;
        let store = folder.open().await.unwrap();
        let before = head(&store).await;
        folder.run_sql(fault).await;
        for _ in 0..3 {
            let refused = store.record(staged(1), NOW).await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
            assert!(!store.is_ready());
        }
        assert_eq!(head(&store).await, before);
        assert_eq!(store.entries(0, 100).await.unwrap().len(), 4);
        folder.run_sql(MEND).await;
        assert_eq!(store.record(staged(2), NOW).await.unwrap(), 4);
        assert!(store.is_ready());
        store.close().await;
        assert_eq!(folder.open().await.unwrap().size(), 6);
    }
}

#[tokio::test]
async fn a_pass_whose_commit_fails_has_no_receipt() {
    for fault in [FAIL, FAIL_AT_COMMIT] {
        let folder = Folder::new();
        let store = folder.open().await.unwrap();
        folder.run_sql(fault).await;
        let refused = store.issue(Draft::sample(1), passes::issued(), NOW).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))));
        folder.run_sql(MEND).await;
        let (_, receipt) = store
            .issue(Draft::sample(1), passes::issued(), NOW)
            .await
            .unwrap();
        assert_eq!(receipt.serial(), 1);
    }
}

#[tokio::test]
async fn a_whole_batch_fails_together() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    folder.run_sql(FAIL_AT_COMMIT).await;
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.record(staged(number), NOW).await })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Err(Error::Unavailable(_))));
    }
    assert_eq!(store.size(), 1);
}

#[tokio::test]
async fn readiness_returns_without_a_caller() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    folder.run_sql(FAIL).await;
    store.record(staged(1), NOW).await.unwrap_err();
    assert!(!store.is_ready());
    folder.run_sql(MEND).await;
    becomes_ready(&store).await;
    assert!(store.is_ready());
}

#[tokio::test]
async fn a_ledger_changed_under_the_running_daemon_stops_it_for_good() {
    let cases = [
        "DELETE FROM ledger WHERE position = 4",
        "INSERT INTO ledger VALUES (5, x'7b7d', x'00')",
        "UPDATE ledger SET hashes = zeroblob(length(hashes)) WHERE position = 4",
    ];
    for sql in cases {
        let folder = Folder::with_events(4).await;
        let store = folder.open().await.unwrap();
        folder.run_sql(sql).await;
        for _ in 0..3 {
            let refused = store.record(staged(1), NOW).await;
            assert!(
                matches!(refused, Err(Error::Tampered(_))),
                "{sql}: {refused:?}"
            );
            assert!(!store.is_ready());
        }
        assert_eq!(head(&store).await.size, 5, "{sql}");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_taken_over() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let other = Folder::new();
    let twin = other.open().await.unwrap();
    twin.record(staged(7), NOW).await.unwrap();
    twin.close().await;
    folder.run_sql(FAIL).await;
    store.record(staged(7), NOW).await.unwrap_err();
    folder.run_sql(MEND).await;
    let adopt = format!(
        "ATTACH '{}' AS twin; INSERT INTO ledger SELECT * FROM twin.ledger WHERE position = 1; \
         INSERT OR REPLACE INTO head SELECT * FROM twin.head",
        other.file("ledger.db").display()
    );
    folder.run_sql(&adopt).await;
    becomes_ready(&store).await;
    assert_eq!(store.size(), 2);
    assert_eq!(store.record(staged(8), NOW).await.unwrap(), 2);
    store.close().await;
    assert_eq!(folder.open().await.unwrap().size(), 4);
}

#[tokio::test]
async fn a_ledger_that_lost_events_in_a_fault_stays_closed() {
    let folder = Folder::with_events(4).await;
    let store = folder.open().await.unwrap();
    folder.run_sql(FAIL).await;
    store.record(staged(7), NOW).await.unwrap_err();
    folder
        .run_sql("DROP TRIGGER full; DELETE FROM ledger WHERE position = 4")
        .await;
    for _ in 0..3 {
        let refused = store.record(staged(7), NOW).await;
        assert!(matches!(refused, Err(Error::Tampered(_))), "{refused:?}");
    }
    assert!(!store.is_ready());
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_saved_is_not_shown() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let first = store.checkpoint().await.unwrap();
    fs::create_dir(folder.file("checkpoint.new")).unwrap();
    store.record(staged(1), NOW).await.unwrap();
    let refused = store.checkpoint().await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(
        fs::read_to_string(folder.file("checkpoint")).unwrap(),
        first
    );
    fs::remove_dir(folder.file("checkpoint.new")).unwrap();
    assert_eq!(head(&store).await.size, 2);
}

#[tokio::test]
async fn a_busy_ledger_is_signed_all_the_same() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let first = fs::read_to_string(folder.file("checkpoint")).unwrap();
    let began = std::time::Instant::now();
    let mut number = 0;
    while fs::read_to_string(folder.file("checkpoint")).unwrap() == first {
        number += 1;
        store.record(staged(number), NOW).await.unwrap();
        assert!(
            began.elapsed().as_secs() < 60,
            "{number} events without a quiet moment, and none signed"
        );
    }
}

#[tokio::test]
async fn a_lost_writer_is_noticed_and_nothing_is_appended_after() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    assert!(store.is_ready());
    store.lose_writer();
    store.ended().await;
    assert!(!store.is_ready());
    let refused = store.record(staged(1), NOW).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}
