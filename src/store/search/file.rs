//! The file of the search index: its tables, and appending to them.
//!
//! `posting` has a row for each term of each event. `span` has the bounds of time and validity of
//! each block of [`BLOCK`] events, so that a question about a time skips all other blocks although
//! clocks can go back.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use serde_json::json;
use sqlx::{
    ConnectOptions, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    ledger::{
        Event,
        search::{Term, closed_review, terms, validity},
        tree::leaf_hash,
    },
    store::{Error, ledger, sqlite},
};

/// The name of the file in a store's folder.
pub(super) const NAME: &str = "search.db";

/// Events of one row of `span`.
pub(super) const BLOCK: u64 = 256;

/// The version of tables and terms. A file of another version is made again.
const VERSION: i64 = 2;

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
        block INTEGER PRIMARY KEY,
        low INTEGER NOT NULL,
        high INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL
    );
    CREATE TABLE progress (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, edge BLOB NOT NULL);
    INSERT INTO progress VALUES (0, 0, x'');
    PRAGMA user_version = 2;";

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
        // 64 MB: the pages of a batch lie all over the table.
        .pragma("cache_size", "-65536")
        .connect()
        .await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut connection)
        .await?;
    match (version, tables) {
        (VERSION, _) => Ok(connection),
        (0, 0) => {
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(connection)
        }
        (version, _) => Err(Error::Tampered(format!("its version is {version}"))),
    }
}

/// Opens connections for questions.
pub(super) fn open_readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options(path).read_only(true))
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
        .map_err(|error| Error::Tampered(error.to_string()))?;
    let (size, edge) = progress.ok_or_else(|| Error::Tampered("it is incomplete".to_owned()))?;
    Ok((u64::try_from(size).unwrap_or(0), edge))
}

/// Bounds of the events of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The earliest and the latest time.
    pub(super) low: i64,
    pub(super) high: i64,
    /// The earliest start of a pass and the latest end of one.
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    fn of(event: &Event) -> Self {
        let at = event.at.unix_timestamp();
        let (first, last) = validity(event).unwrap_or((u64::MAX, 0));
        Self {
            low: at,
            high: at,
            first: i64::try_from(first).unwrap_or(i64::MAX),
            last: i64::try_from(last).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// The rows of some events.
#[derive(Default)]
pub(super) struct Rows {
    /// Terms and positions.
    pub(super) postings: Vec<(i64, u64)>,
    /// Emergencies of which reviews were closed.
    closed: Vec<u64>,
    pub(super) spans: BTreeMap<u64, Span>,
}

impl Rows {
    pub(super) fn of(entries: &[(u64, Vec<u8>)]) -> Self {
        let mut rows = Self::default();
        for (position, leaf) in entries {
            // Leaves of no known event have no terms: nothing finds them.
            let Ok(event) = Event::parse(leaf) else {
                continue;
            };
            let terms = terms(&event);
            if terms.contains(&Term::emergency()) {
                rows.postings.push((Term::unreviewed().0, *position));
            }
            rows.postings
                .extend(terms.iter().map(|term| (term.0, *position)));
            rows.closed.extend(closed_review(&event));
            let span = Span::of(&event);
            let block = rows.spans.entry(position / BLOCK).or_insert(span);
            *block = block.join(span);
        }
        // In the order of the table.
        rows.postings.sort_unstable();
        rows
    }
}

/// Appends the rows of these events. Returns the new size.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    entries: &[(u64, Vec<u8>)],
) -> Result<u64, Error> {
    let Some((last, leaf)) = entries.last() else {
        return Err(Error::Unavailable("no events".to_owned()));
    };
    let (size, edge) = (last + 1, leaf_hash(leaf));
    let rows = Rows::of(entries);
    let mut transaction = connection.begin().await?;
    sqlx::query(
        "INSERT OR IGNORE INTO posting (term, position) \
         SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each($1)",
    )
    .bind(json!(rows.postings).to_string())
    .execute(&mut *transaction)
    .await?;
    for (block, span) in &rows.spans {
        sqlx::query(
            "INSERT INTO span (block, low, high, first, last) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (block) DO UPDATE SET low = min(low, excluded.low), high = max(high, excluded.high), \
             first = min(first, excluded.first), last = max(last, excluded.last)",
        )
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
    Ok(size)
}
