//! The statements of an append, in three round trips: begin and lock, insert, commit. The ledger is
//! locked for all replicas from the first to the last, so each round trip holds them up too.

use sqlx::{Column, PgConnection, Row as _};

use super::{session::run, warnings};
use crate::store::Error;

/// Key of the advisory lock for the append to an empty ledger, which has no head row to lock.
const FIRST: i64 = 0x0064_6179_7061_7373;

/// The statements that lock the head and read the end of the ledger. The second one is a statement
/// of its own: in READ COMMITTED it sees what was committed while the first one waited.
macro_rules! lock_and_read {
    () => {
        "SELECT note FROM head WHERE id = 0 FOR UPDATE; \
         SELECT position, hashes FROM ledger ORDER BY position DESC LIMIT 1"
    };
}

/// The end of a ledger, as the database has it.
#[derive(Debug, Default)]
pub(in crate::store) struct End {
    /// The note that signs the head; none before the first append.
    pub(in crate::store) note: Option<String>,
    /// Position and hashes of the last row; none in an empty ledger.
    pub(in crate::store) last: Option<(i64, Vec<u8>)>,
}

/// Begins a transaction that appends, and locks the head until its end, so that no other replica
/// appends. Every event that any replica committed before is visible afterwards.
pub(in crate::store) async fn begin_locked(connection: &mut PgConnection) -> Result<End, Error> {
    let end = read_end(connection, concat!("BEGIN; ", lock_and_read!())).await?;
    if end.note.is_some() {
        return Ok(end);
    }
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(FIRST)
        .execute(&mut *connection)
        .await?;
    // Another replica may have made the row in between, and appends after it lock the row alone.
    read_end(connection, lock_and_read!()).await
}

async fn read_end(connection: &mut PgConnection, statements: &'static str) -> Result<End, Error> {
    let mut end = End::default();
    for row in sqlx::raw_sql(statements).fetch_all(connection).await? {
        match row.columns().first().map(Column::name) {
            Some("note") => end.note = Some(row.try_get(0)?),
            _ => end.last = Some((row.try_get(0)?, row.try_get(1)?)),
        }
    }
    Ok(end)
}

/// Rows to insert, by column.
#[derive(Debug, Default)]
pub(in crate::store) struct Columns {
    pub(in crate::store) positions: Vec<i64>,
    pub(in crate::store) events: Vec<Vec<u8>>,
    pub(in crate::store) hashes: Vec<Vec<u8>>,
}

/// Inserts rows, and keeps the note of the head that they lead to, if there is one. Returns the
/// number of rows that were written, with that of the head.
pub(in crate::store) async fn insert(
    connection: &mut PgConnection,
    columns: Columns,
    note: Option<String>,
) -> Result<u64, Error> {
    let written: i64 = sqlx::query_scalar(
        "WITH added AS ( \
           INSERT INTO ledger (position, event, hashes) \
           SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) RETURNING 1), \
         kept AS ( \
           INSERT INTO head (id, note) SELECT 0, $4::text WHERE $4::text IS NOT NULL \
           ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING 1) \
         SELECT (SELECT count(*) FROM added) + (SELECT count(*) FROM kept)",
    )
    .bind(columns.positions)
    .bind(columns.events)
    .bind(columns.hashes)
    .bind(note)
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(written).unwrap_or_default())
}

/// Changes nothing. Its commit waits for the disk and the standby, which then have all earlier
/// commits.
const TOUCH: &str = "UPDATE head SET note = note WHERE id = 0";

/// Commits a transaction that wrote nothing. All that was visible in it is durable then, also if
/// the wait of its own commit was cut off.
///
/// # Errors
/// As [`commit`].
pub(in crate::store) async fn commit_again(connection: &mut PgConnection) -> Result<(), Error> {
    run(connection, TOUCH).await?;
    commit(connection).await
}

/// Commits the append, and announces it to the other replicas in the same step.
///
/// A commit whose wait for a synchronous standby was cancelled (`pg_cancel_backend`) succeeds with
/// a warning, as a commit with a lesser problem does. A later commit that waits to the end shows
/// that the standby has both.
pub(in crate::store) async fn commit(connection: &mut PgConnection) -> Result<(), Error> {
    for statement in ["NOTIFY daypass_ledger; COMMIT", TOUCH] {
        let (done, has_warned) = warnings::watched(run(&mut *connection, statement)).await;
        done?;
        if !has_warned {
            return Ok(());
        }
    }
    Err(Error::Unavailable(
        "PostgreSQL does not say that the commit is durable: the wait for the standby was cancelled"
            .to_owned(),
    ))
}
