//! The file of the search index: its tables, and appending to them.
//!
//! `posting` has a row for each term of each event, and for those that other events lend it: an
//! approval is found by the person, the key and the hosts of the request. `span` has the bounds of
//! time and validity of each block of events, in two sizes ([`super::rows::BLOCKS`]), so that a
//! question about a time skips all other blocks although clocks can go back.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Sqlite, SqliteConnection, SqlitePool,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};
use tokio::task::spawn_blocking;

use super::{fault::fault, rows::Rows};
use crate::{
    ledger::{
        search::Term,
        tree::{Hash, leaf_hash},
    },
    store::{Error, ledger, sqlite},
};

/// The name of the file in a store's folder.
pub(super) const NAME: &str = "search.db";

/// Rows of postings that one statement inserts.
const INSERTED: usize = 512;

/// The version of tables and terms. A file of another version is made again.
const VERSION: i64 = 3;

/// Questions that run at once. More wait.
const READERS: u32 = 2;

/// The longest that a question waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE posting (
        term INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (term, position)
    ) WITHOUT ROWID;
    CREATE TABLE span (
        level INTEGER NOT NULL,
        block INTEGER NOT NULL,
        low INTEGER NOT NULL,
        high INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (level, block)
    ) WITHOUT ROWID;
    CREATE TABLE progress (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, edge BLOB NOT NULL);
    INSERT INTO progress VALUES (0, 0, x'');
    PRAGMA user_version = 3;";

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// Opens the file, and makes its tables if it is new. A crash can lose the last commits; they are
/// indexed again.
///
/// # Errors
/// Returns [`Error::Tampered`] if the file must be made again.
pub(super) async fn open(path: &Path) -> Result<SqliteConnection, Error> {
    sqlite::make_private(path)?;
    let mut connection = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .connect()
        .await
        .map_err(fault)?;
    let unfit = match made(&mut connection).await.map_err(fault) {
        Ok(VERSION) => return Ok(connection),
        Ok(version) => Error::Tampered(format!("its version is {version}")),
        Err(error) => error,
    };
    close(connection).await;
    Err(unfit)
}

/// Room for pages in memory: 64 MB while an old ledger is indexed, since the pages of a batch lie
/// all over the tables, and 8 MB after that. SQLite frees what is above it; the allocator may keep
/// it until the next start.
pub(super) async fn make_room(
    connection: &mut SqliteConnection,
    is_behind: bool,
) -> Result<(), Error> {
    let statement = match is_behind {
        true => "PRAGMA cache_size = -65536",
        false => "PRAGMA cache_size = -8192",
    };
    let set = sqlx::query(statement).execute(connection).await;
    set.map_err(fault).map(|_| ())
}

/// Closes the connection before another file may have this name: at its end, SQLite removes the
/// `-wal` file by name, which would be that of the new one.
pub(super) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the search index was not closed in order");
    }
}

/// The version of the tables. Makes them in a new file.
async fn made(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await?;
    if (version, tables) != (0, 0) {
        return Ok(version);
    }
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(VERSION)
}

/// Opens connections for questions.
pub(super) fn open_readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options(path).read_only(true))
}

/// The file of this path, to notice another one in its place; none if there is none.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Removes the file, and what SQLite keeps beside it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => (),
        }
    }
    Ok(())
}

/// The number of indexed events, and the leaf hash of the last one.
///
/// # Errors
/// Returns [`Error::Tampered`] if the file has none.
pub(super) async fn progress(connection: &mut SqliteConnection) -> Result<(u64, Vec<u8>), Error> {
    let progress: Option<(i64, Vec<u8>)> = sqlx::query_as("SELECT size, edge FROM progress")
        .fetch_optional(connection)
        .await
        .map_err(fault)?;
    let (size, edge) = progress.ok_or_else(|| Error::Tampered("it is incomplete".to_owned()))?;
    Ok((u64::try_from(size).unwrap_or(0), edge))
}

/// Appends the rows of these events. `leaves` reads those that they are about. Returns the new
/// size.
pub(super) async fn append<F>(
    connection: &mut SqliteConnection,
    entries: Vec<(u64, Vec<u8>)>,
    leaves: impl Fn(Vec<u64>) -> F,
) -> Result<u64, Error>
where
    F: Future<Output = Result<Vec<(u64, Vec<u8>)>, Error>>,
{
    let Some((last, leaf)) = entries.last() else {
        return Err(Error::Unavailable("no events".to_owned()));
    };
    let (size, edge) = (last + 1, leaf_hash(leaf));
    // Thousands of events are parsed, which takes tens of milliseconds.
    let rows = spawn_blocking(move || Rows::of(&entries)).await;
    let mut rows = rows.map_err(|error| Error::Unavailable(error.to_string()))?;
    rows.complete(leaves).await?;
    let appended = append_rows(connection, &rows, (size, edge)).await;
    appended.map_err(fault)?;
    Ok(size)
}

/// Appends these rows. The index then has `size` events, and `edge` is the hash of the last leaf.
pub(super) async fn append_rows(
    connection: &mut SqliteConnection,
    rows: &Rows,
    (size, edge): (u64, Hash),
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for postings in rows.postings.chunks(INSERTED) {
        let query = match postings.len() {
            INSERTED => sqlx::query(AssertSqlSafe(INSERT.clone())),
            // The last ones of a batch.
            count => sqlx::query(AssertSqlSafe(insert(count))).persistent(false),
        };
        let bind = |query: Insert, (term, position): &(i64, u64)| {
            query.bind(*term).bind(ledger::position(*position))
        };
        let query = postings.iter().fold(query, bind);
        query.execute(&mut *transaction).await?;
    }
    for ((level, block), span) in &rows.spans {
        sqlx::query(
            "INSERT INTO span (level, block, low, high, first, last) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (level, block) DO UPDATE SET low = min(low, excluded.low), \
             high = max(high, excluded.high), first = min(first, excluded.first), last = max(last, excluded.last)",
        )
        .bind(level)
        .bind(ledger::position(*block))
        .bind(span.low)
        .bind(span.high)
        .bind(span.first)
        .bind(span.last)
        .execute(&mut *transaction)
        .await?;
    }
    for position in &rows.closed {
        sqlx::query("DELETE FROM posting WHERE term = $1 AND position = $2")
            .bind(Term::unreviewed().0)
            .bind(ledger::position(*position))
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query("UPDATE progress SET size = $1, edge = $2")
        .bind(ledger::position(size))
        .bind(edge.to_vec())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

type Insert = Query<'static, Sqlite, SqliteArguments>;

/// The statement that inserts [`INSERTED`] postings.
static INSERT: LazyLock<Arc<str>> = LazyLock::new(|| insert(INSERTED));

fn insert(count: usize) -> Arc<str> {
    let rows = vec!["(?, ?)"; count].join(", ");
    format!("INSERT OR IGNORE INTO posting (term, position) VALUES {rows}").into()
}
