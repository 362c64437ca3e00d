//! A ledger that another program changed, shortened or replaced does not open, and the message says
//! what to do.

use super::*;

/// Opens after `damage`, which must be noticed. Returns the message.
async fn refusal(folder: &Folder) -> String {
    match folder.open().await {
        Err(error @ Error::Tampered(_)) => error.to_string(),
        Err(error) => panic!("not noticed as tampering: {error}"),
        Ok(store) => panic!("opened with {} events", store.size()),
    }
}

#[tokio::test]
async fn every_change_to_the_rows_is_noticed() {
    let cases = [
        (
            "a changed event",
            "UPDATE ledger SET event = CAST(replace(CAST(event AS TEXT), 'SHA256:5', 'SHA256:6') AS BLOB) WHERE position = 5",
            "event 5 was changed",
        ),
        (
            "an emptied event",
            "UPDATE ledger SET event = x'' WHERE position = 5",
            "event 5 was changed",
        ),
        (
            "an event that is a number",
            "UPDATE ledger SET event = 7 WHERE position = 5",
            "damaged",
        ),
        (
            "a changed hash",
            "UPDATE ledger SET hashes = zeroblob(length(hashes)) WHERE position = 5",
            "event 5 was changed",
        ),
        (
            "the first event missing",
            "DELETE FROM ledger WHERE position = 0",
            "event 0 is missing",
        ),
        (
            "an event missing",
            "DELETE FROM ledger WHERE position = 5",
            "event 5 is missing",
        ),
        (
            "the last event missing",
            "DELETE FROM ledger WHERE position = 9",
            "it has 9 events, and 10 were signed",
        ),
        (
            "no event left",
            "DELETE FROM ledger",
            "it has 0 events, and 10 were signed",
        ),
        (
            "two events swapped",
            "UPDATE ledger SET position = 99 WHERE position = 3; UPDATE ledger SET position = 3 WHERE position = 4; \
             UPDATE ledger SET position = 4 WHERE position = 99",
            "event 3 was changed",
        ),
        (
            "an event twice",
            "INSERT INTO ledger SELECT 10, event, hashes FROM ledger WHERE position = 9",
            "event 10 was changed",
        ),
        (
            "a gap at the end",
            "UPDATE ledger SET position = 10 WHERE position = 9",
            "event 9 is missing",
        ),
        (
            "all tables dropped",
            "DROP TABLE ledger; DROP TABLE head; DROP TABLE mailbox; DROP TABLE report; DROP TABLE _sqlx_migrations",
            "it has 0 events, and 10 were signed",
        ),
        (
            "the ledger's table dropped",
            "DROP TABLE ledger; DROP TABLE _sqlx_migrations",
            "its tables are of no version of daypass",
        ),
        (
            "no signed head",
            "DELETE FROM head",
            "the head that the last commit signed is missing",
        ),
        (
            "a database made to look older",
            "DROP TABLE head; DELETE FROM _sqlx_migrations WHERE version = 2",
            "the head that the last commit signed is missing",
        ),
        (
            "a head that is no note",
            "UPDATE head SET note = 'x'",
            "is not signed by the configured ledger key",
        ),
    ];
    for (case, sql, expected) in cases {
        let folder = Folder::with_events(10).await;
        folder.run_sql(sql).await;
        let found = refusal(&folder).await;
        assert!(found.contains(expected), "{case}: {found}");
        assert!(
            found.contains("Put back the newest copy"),
            "{case}: {found}"
        );
    }
}

#[tokio::test]
async fn a_ledger_that_was_rewritten_with_good_hashes_is_noticed() {
    let folder = Folder::with_events(10).await;
    let other = Folder::new();
    let store = other.open().await.unwrap();
    for number in 0..20 {
        store.record(staged(100 + number), NOW).await.unwrap();
    }
    store.close().await;
    fs::copy(other.file("ledger.db"), folder.file("ledger.db")).unwrap();
    let found = refusal(&folder).await;
    assert!(
        found.contains("its first 10 events are not the ones"),
        "{found}"
    );
}

#[tokio::test]
async fn an_old_backup_is_noticed() {
    let folder = Folder::with_events(10).await;
    let backup = fs::read(folder.file("ledger.db")).unwrap();
    let store = folder.open().await.unwrap();
    store.record(staged(11), NOW).await.unwrap();
    store.close().await;
    fs::write(folder.file("ledger.db"), backup).unwrap();
    let found = refusal(&folder).await;
    assert!(
        found.contains("it has 10 events, and 12 were signed"),
        "{found}"
    );
}

#[tokio::test]
async fn a_database_that_is_gone_or_none_is_noticed() {
    let folder = Folder::with_events(10).await;
    fs::write(folder.file("ledger.db"), "x".repeat(5000)).unwrap();
    assert!(refusal(&folder).await.contains("damaged"));
    fs::remove_file(folder.file("ledger.db")).unwrap();
    assert!(
        refusal(&folder)
            .await
            .contains("it has 0 events, and 10 were signed")
    );
}

/// An empty database was made in its place, and the refusal said that nothing was changed.
#[tokio::test]
async fn a_lost_database_is_not_made_anew_where_the_checkpoint_knows_events() {
    let folder = Folder::with_events(10).await;
    let file = folder.file("ledger.db");
    fs::write(&file, "").unwrap();
    let found = refusal(&folder).await;
    assert!(
        found.contains("it has 0 events, and 10 were signed"),
        "{found}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"");
    fs::remove_file(&file).unwrap();
    let found = refusal(&folder).await;
    assert!(
        found.contains("it has 0 events, and 10 were signed"),
        "{found}"
    );
    assert!(!file.exists());
}

/// It was put into WAL mode before it was looked at, and the advice was to drop its tables, or to
/// start a newer version.
#[tokio::test]
async fn the_file_of_another_program_is_named_and_left_alone() {
    let sqlx = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
                installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
                checksum BLOB NOT NULL, execution_time BIGINT NOT NULL); \
                INSERT INTO _sqlx_migrations VALUES (20240101, 'users', 0, true, x'00', 1)";
    for sql in ["CREATE TABLE customers (id BIGINT)", sqlx] {
        let folder = Folder::with_events(2).await;
        let file = folder.file("ledger.db");
        fs::remove_file(&file).unwrap();
        let options = SqliteConnectOptions::new().filename(&file);
        let mut other = options.create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        sqlx::Connection::close(other).await.unwrap();
        let before = fs::read(&file).unwrap();
        let found = folder.open().await.unwrap_err().to_string();
        assert!(
            found.contains("is the database of another program"),
            "{found}"
        );
        assert!(
            !found.contains("DROP") && !found.contains("newer version"),
            "{found}"
        );
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_gone_or_another_is_noticed() {
    let folder = Folder::with_events(10).await;
    let checkpoint = folder.file("checkpoint");
    let good = fs::read_to_string(&checkpoint).unwrap();
    let other_key = Signer::new(ORIGIN, &[8; 32]).unwrap();
    let cases = [
        (
            "garbage",
            "x".to_owned(),
            "is not a checkpoint by the configured ledger key",
        ),
        (
            "empty",
            String::new(),
            "is not a checkpoint by the configured ledger key",
        ),
        (
            "another key's",
            other_key.sign(10, [1; 32]),
            "is not a checkpoint by the configured ledger key",
        ),
        (
            "a longer one",
            signer().sign(11, [1; 32]),
            "it has 10 events, and 11 were signed",
        ),
        (
            "another root",
            signer().sign(10, [1; 32]),
            "its first 10 events are not the ones",
        ),
        (
            "another root in between",
            signer().sign(4, [1; 32]),
            "its first 4 events are not the ones",
        ),
    ];
    for (case, text, expected) in cases {
        fs::write(&checkpoint, text).unwrap();
        let found = refusal(&folder).await;
        assert!(found.contains(expected), "{case}: {found}");
    }
    fs::remove_file(&checkpoint).unwrap();
    assert!(refusal(&folder).await.contains("`checkpoint` is missing"));
    fs::write(&checkpoint, good).unwrap();
    assert_eq!(folder.open().await.unwrap().size(), 11);
}

#[tokio::test]
async fn a_flipped_bit_in_the_database_file_never_passes_for_the_ledger() {
    let folder = Folder::with_events(60).await;
    let good = fs::read(folder.file("ledger.db")).unwrap();
    let needle = b"SHA256:30\"";
    let at = good
        .windows(needle.len())
        .position(|bytes| bytes == needle)
        .unwrap();
    let mut flipped = good;
    flipped[at] ^= 1;
    fs::write(folder.file("ledger.db"), flipped).unwrap();
    assert!(refusal(&folder).await.contains("event 30 was changed"));
}
