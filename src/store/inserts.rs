//! Appending to the tables: rows, and the signed head that they lead to.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, Either, Executor, Row as _, SqliteConnection,
    sqlite::{SqliteQueryResult, SqliteRow},
};
use tokio_stream::{Stream, StreamExt};

use super::{
    Error,
    database::{Connection, Session},
    ledger::{self, position},
    postgres::{self, Columns},
};
use crate::ledger::tree::{Frontier, Hash};

/// A row to insert: its place, the leaf, and the hashes of the subtrees that it closes.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) index: u64,
    pub(super) event: Vec<u8>,
    pub(super) hashes: Vec<Hash>,
}

/// The statements that insert 1, 2, 4 ... rows into an embedded database: any batch is a few of
/// them, and each is prepared once. PostgreSQL has one for any number of rows.
#[derive(Debug)]
pub(super) struct Inserts(Vec<Insert>);

/// Statements that insert a number of rows. What begins a transaction may stand before them, and
/// the statement of the head behind them: each message to SQLite's thread costs two changes of
/// threads.
#[derive(Debug)]
struct Insert {
    alone: Arc<str>,
    with_head: Arc<str>,
    first: Arc<str>,
    first_with_head: Arc<str>,
}

impl Insert {
    fn new(count: usize) -> Self {
        let rows = insert_rows(count);
        let with_head = format!("{rows}; {}", put_head(3 * count + 1));
        Self {
            first: format!("{}; {rows}", ledger::BEGIN).into(),
            first_with_head: format!("{}; {with_head}", ledger::BEGIN).into(),
            alone: rows.into(),
            with_head: with_head.into(),
        }
    }

    fn text(&self, is_first: bool, has_head: bool) -> Arc<str> {
        let text = match (is_first, has_head) {
            (false, false) => &self.alone,
            (false, true) => &self.with_head,
            (true, false) => &self.first,
            (true, true) => &self.first_with_head,
        };
        text.clone()
    }
}

/// The largest statement inserts 2^7 rows (384 parameters).
const LARGEST: u32 = 7;

impl Inserts {
    pub(super) fn new() -> Self {
        Self((0..=LARGEST).map(|power| Insert::new(1 << power)).collect())
    }

    /// Appends these rows, in order, and keeps the note that signs the head which they lead to; no
    /// note before the last of several calls. `begin_at`: first does what [`ledger::begin_at`]
    /// does, in an embedded database, if there are rows.
    pub(super) async fn append(
        &self,
        connection: &mut Connection,
        begin_at: Option<&Frontier>,
        rows: Vec<Row>,
        note: Option<String>,
    ) -> Result<(), Error> {
        let count = rows.len() as u64 + u64::from(note.is_some());
        let written = match connection.session() {
            Session::Sqlite(connection) => {
                self.append_embedded(connection, begin_at, rows, note)
                    .await?
            }
            Session::Postgres(connection) => {
                postgres::insert(connection, columns(rows), note).await?
            }
        };
        expect_written(written, count)
    }

    async fn append_embedded(
        &self,
        connection: &mut SqliteConnection,
        mut begin_at: Option<&Frontier>,
        mut rows: Vec<Row>,
        mut note: Option<String>,
    ) -> Result<u64, Error> {
        let mut written = 0;
        for (power, statements) in self.0.iter().enumerate().rev() {
            while rows.len() >= 1 << power {
                let rest = rows.split_off(1 << power);
                let head = match rest.is_empty() {
                    true => note.take(),
                    false => None,
                };
                let at = begin_at.take();
                let statement = statements.text(at.is_some(), head.is_some());
                written += insert(connection, statement, at, rows, head).await?;
                rows = rest;
            }
        }
        if let Some(note) = note {
            written += insert(connection, put_head(1).into(), None, Vec::new(), Some(note)).await?;
        }
        Ok(written)
    }
}

fn columns(rows: Vec<Row>) -> Columns {
    let mut columns = Columns::default();
    for row in rows {
        columns.positions.push(position(row.index));
        columns.events.push(row.event);
        columns.hashes.push(row.hashes.concat());
    }
    columns
}

/// The statement that keeps the signed head, its parameter `$at`.
fn put_head(at: usize) -> String {
    format!(
        "INSERT INTO head (id, note) VALUES (0, ${at}) ON CONFLICT (id) DO UPDATE SET note = excluded.note"
    )
}

fn insert_rows(count: usize) -> String {
    let rows: Vec<_> = (0..count)
        .map(|row| format!("(${}, ${}, ${})", row * 3 + 1, row * 3 + 2, row * 3 + 3))
        .collect();
    format!(
        "INSERT INTO ledger (position, event, hashes) VALUES {}",
        rows.join(", ")
    )
}

/// Runs a statement of [`Insert`]. Returns the number of written rows.
async fn insert(
    connection: &mut SqliteConnection,
    statement: Arc<str>,
    begin_at: Option<&Frontier>,
    rows: Vec<Row>,
    head: Option<String>,
) -> Result<u64, Error> {
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for row in rows {
        query = query
            .bind(position(row.index))
            .bind(row.event)
            .bind(row.hashes.concat());
    }
    if let Some(note) = head {
        query = query.bind(note);
    }
    let mut results = connection.fetch_many(query);
    if let Some(head) = begin_at {
        expect_begun(&mut results, head).await?;
    }
    let mut written = 0;
    while let Some(result) = results.try_next().await? {
        if let Either::Left(done) = result {
            written += done.rows_affected();
        }
    }
    Ok(written)
}

/// Reads the results of [`ledger::BEGIN`], and refuses as [`ledger::expect_last`] does.
async fn expect_begun(
    results: &mut (impl Stream<Item = sqlx::Result<Either<SqliteQueryResult, SqliteRow>>> + Unpin),
    head: &Frontier,
) -> Result<(), Error> {
    let (mut ended, mut last) = (0, None);
    while ended < ledger::BEGIN_STATEMENTS
        && let Some(result) = results.try_next().await?
    {
        match result {
            Either::Left(_) => ended += 1,
            Either::Right(row) => last = Some((row.try_get(0)?, row.try_get(1)?)),
        }
    }
    ledger::expect_last(last.as_ref(), head)
}

/// Checks the number of written rows, because a trigger can make a statement write fewer.
fn expect_written(written: u64, expected: u64) -> Result<(), Error> {
    match written == expected {
        true => Ok(()),
        false => Err(Error::Unavailable(format!(
            "the database wrote {written} rows instead of {expected}"
        ))),
    }
}
