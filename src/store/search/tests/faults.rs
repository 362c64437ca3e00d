//! Each error of the index's file: whether it is made again.

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::super::{fault::fault, file};
use crate::store::Error;

/// Reads every posting, as a question does.
async fn read(path: &Path) -> Result<(), sqlx::Error> {
    let readers = file::open_readers(path);
    let read = sqlx::query_scalar::<_, i64>("SELECT position FROM posting WHERE term >= 0")
        .fetch_all(&readers)
        .await;
    readers.close().await;
    read.map(drop)
}

async fn filled(path: &Path) -> SqliteConnection {
    let mut connection = file::open(path).await.unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
         INSERT INTO posting SELECT i % 7, i FROM n";
    sqlx::query(fill).execute(&mut connection).await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

type Change = fn(&Path);

#[tokio::test]
async fn only_real_damage_makes_the_index_again() {
    let changes: [(&str, bool, Change); 5] = [
        ("damaged pages", true, |path| {
            let length = fs::metadata(path).unwrap().len();
            write_at(
                path,
                4096,
                &vec![0xa5; usize::try_from(length).unwrap() - 4096],
            );
        }),
        ("no database", true, |path| write_at(path, 0, &[0xa5; 100])),
        ("cut in the middle", true, |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(8192).unwrap();
        }),
        ("removed", false, |path| fs::remove_file(path).unwrap()),
        ("a folder in its place", false, |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (case, is_damage, change) in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file::NAME);
        filled(&path).await.close().await.unwrap();
        read(&path).await.unwrap();
        change(&path);
        let found = fault(read(&path).await.unwrap_err());
        let is_made_again = matches!(found, Error::Tampered(_));
        assert_eq!(is_made_again, is_damage, "{case}: {found}");
    }
}

#[tokio::test]
async fn another_form_makes_the_index_again() {
    for (case, statement) in [
        ("a missing table", "DROP TABLE posting"),
        (
            "a missing column",
            "ALTER TABLE posting RENAME COLUMN term TO word",
        ),
        (
            "a value of another type",
            "INSERT INTO posting VALUES (1, 'x')",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file::NAME);
        let mut connection = filled(&path).await;
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        let found = fault(read(&path).await.unwrap_err());
        assert!(matches!(found, Error::Tampered(_)), "{case}: {found}");
    }
}

#[tokio::test]
async fn a_busy_file_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file::NAME);
    let mut connection = filled(&path).await;
    // Out of WAL mode, a writer keeps every reader out.
    for statement in ["PRAGMA journal_mode = DELETE", "BEGIN EXCLUSIVE"] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    let options = options.busy_timeout(std::time::Duration::ZERO);
    let mut reader = options.connect().await.unwrap();
    let read = sqlx::query_scalar::<_, i64>("SELECT position FROM posting")
        .fetch_all(&mut reader)
        .await;
    let found = fault(read.unwrap_err());
    assert!(matches!(found, Error::Unavailable(_)), "{found}");
    assert!(matches!(
        fault(sqlx::Error::PoolTimedOut),
        Error::Unavailable(_)
    ));
}
