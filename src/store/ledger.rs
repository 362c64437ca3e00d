//! The tables: appending and reading events, and the signed head.

use std::{collections::HashMap, sync::Arc};

use sqlx::AssertSqlSafe;
use tokio_stream::{Stream, StreamExt};

use super::{
    Error,
    database::{Connection, on_engine},
};
use crate::ledger::{
    checkpoint::{Checkpoint, Verifier},
    tree::{Frontier, Hash, Node, Plan},
};

/// A row to insert: its place, the leaf, and the hashes of the subtrees that it closes.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) index: u64,
    pub(super) event: Vec<u8>,
    pub(super) hashes: Vec<Hash>,
}

/// The statements that insert 1, 2, 4 ... rows: any batch is a few of them, and each is prepared
/// once.
#[derive(Debug)]
pub(super) struct Inserts(Vec<Insert>);

/// Statements that insert a number of rows.
#[derive(Debug)]
struct Insert {
    alone: Arc<str>,
    /// With the statement of the head behind it, for SQLite: each message to its thread costs two
    /// changes of threads.
    with_head: Arc<str>,
}

/// The largest statement inserts 2^7 rows (384 parameters).
const LARGEST: u32 = 7;

impl Inserts {
    pub(super) fn new() -> Self {
        let all = (0..=LARGEST).map(|power| {
            let alone = insert_rows(1 << power);
            let with_head = format!("{alone}; {}", put_head(3 * (1 << power) + 1)).into();
            Insert { alone, with_head }
        });
        Self(all.collect())
    }

    /// Appends these rows, in order, and keeps the note that signs the head which they lead to; no
    /// note before the last of several calls.
    pub(super) async fn append(
        &self,
        connection: &mut Connection,
        mut rows: Vec<Row>,
        mut note: Option<String>,
    ) -> Result<(), Error> {
        for (power, statements) in self.0.iter().enumerate().rev() {
            while rows.len() >= 1 << power {
                let rest = rows.split_off(1 << power);
                let head = match rest.is_empty() && !connection.is_shared() {
                    true => note.take(),
                    false => None,
                };
                let statement = match head {
                    Some(_) => statements.with_head.clone(),
                    None => statements.alone.clone(),
                };
                insert(connection, statement, rows, head).await?;
                rows = rest;
            }
        }
        match note {
            Some(note) => insert(connection, put_head(1).into(), Vec::new(), Some(note)).await,
            None => Ok(()),
        }
    }
}

/// The statement that keeps the signed head, its parameter `$at`.
fn put_head(at: usize) -> String {
    format!(
        "INSERT INTO head (id, note) VALUES (0, ${at}) ON CONFLICT (id) DO UPDATE SET note = excluded.note"
    )
}

fn insert_rows(count: usize) -> Arc<str> {
    let rows: Vec<_> = (0..count)
        .map(|row| format!("(${}, ${}, ${})", row * 3 + 1, row * 3 + 2, row * 3 + 3))
        .collect();
    format!(
        "INSERT INTO ledger (position, event, hashes) VALUES {}",
        rows.join(", ")
    )
    .into()
}

async fn insert(
    connection: &mut Connection,
    statement: Arc<str>,
    rows: Vec<Row>,
    head: Option<String>,
) -> Result<(), Error> {
    let count = rows.len() as u64 + u64::from(head.is_some());
    let written = on_engine!(connection, engine => {
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
        query.execute(engine).await?.rows_affected()
    });
    expect_written(written, count)
}

/// The statement that reads the last row.
macro_rules! last_row {
    () => {
        "SELECT position, hashes FROM ledger ORDER BY position DESC LIMIT 1"
    };
}

/// Begins a transaction of an embedded database with the right to write, and does what
/// [`expect_head`] does, in one message to SQLite's thread.
pub(super) async fn begin_at(connection: &mut Connection, head: &Frontier) -> Result<(), Error> {
    expect_last(connection, concat!("BEGIN IMMEDIATE; ", last_row!()), head).await
}

/// Refuses unless the last row is the one that `head` ends in: no other program has written or
/// removed rows.
pub(super) async fn expect_head(connection: &mut Connection, head: &Frontier) -> Result<(), Error> {
    expect_last(connection, last_row!(), head).await
}

async fn expect_last(
    connection: &mut Connection,
    statement: &'static str,
    head: &Frontier,
) -> Result<(), Error> {
    let last: Option<(i64, Vec<u8>)> = on_engine!(connection, engine => {
        sqlx::query_as(statement).fetch_optional(engine).await?
    });
    let (size, edge) = match &last {
        Some((at, hashes)) => (index(*at) + 1, hashes.last_chunk::<32>()),
        None => (0, None),
    };
    if size == head.size() && edge == head.edge() {
        Ok(())
    } else {
        Err(Error::Tampered(format!(
            "another process changed it under the running daemon: it has {size} events instead of {}. \
             Find out which, then restart",
            head.size()
        )))
    }
}

/// The edge of the first `size` leaves from the stored hashes alone; none if some are missing.
pub(super) async fn stored_frontier(
    connection: &mut Connection,
    size: u64,
) -> Result<Option<Frontier>, Error> {
    let nodes = Frontier::nodes(size);
    let hashes = hashes(connection, &nodes).await?;
    let peaks: Option<Vec<Hash>> = nodes.iter().map(|node| hashes.get(node).copied()).collect();
    Ok(peaks.and_then(|peaks| Frontier::from_peaks(size, peaks)))
}

/// Every row from `from` on, in order: index, leaf, and the hashes beside it.
pub(super) fn rows(
    connection: &mut Connection,
    from: u64,
) -> impl Stream<Item = Result<(u64, Vec<u8>, Vec<u8>), Error>> + '_ {
    let statement =
        "SELECT position, event, hashes FROM ledger WHERE position >= $1 ORDER BY position";
    let rows = on_engine!(connection, engine => {
        let query = sqlx::query_as::<_, (i64, Vec<u8>, Vec<u8>)>(statement);
        query.bind(position(from)).fetch(engine)
    });
    rows.map(|row| {
        let (at, event, hashes) = row?;
        Ok((index(at), event, hashes))
    })
}

/// The rows `[from, to)`, as [`rows`].
pub(super) async fn page(
    connection: &mut Connection,
    from: u64,
    to: u64,
) -> Result<Vec<(u64, Vec<u8>, Vec<u8>)>, Error> {
    let statement = "SELECT position, event, hashes FROM ledger WHERE position >= $1 AND position < $2 ORDER BY position";
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = on_engine!(connection, engine => {
        let query = sqlx::query_as(statement);
        query.bind(position(from)).bind(position(to)).fetch_all(engine).await?
    });
    let rows = rows.into_iter();
    Ok(rows
        .map(|(at, event, hashes)| (index(at), event, hashes))
        .collect())
}

/// The number of rows.
pub(super) async fn count(connection: &mut Connection) -> Result<u64, Error> {
    let statement = "SELECT COUNT(*) FROM ledger";
    let count: i64 = on_engine!(connection, engine => {
        sqlx::query_scalar(statement).fetch_one(engine).await?
    });
    Ok(index(count))
}

/// The text of the head that the last commit signed.
///
/// # Errors
/// Returns [`Error::Unavailable`] if there is none.
pub(super) async fn head_note(connection: &mut Connection) -> Result<String, Error> {
    Ok(on_engine!(connection, engine => {
        sqlx::query_scalar("SELECT note FROM head").fetch_one(engine).await?
    }))
}

/// The head that the last commit signed; none before the first one.
///
/// # Errors
/// Returns [`Error::Tampered`] if it is not by `verifier`.
pub(super) async fn signed_head(
    connection: &mut Connection,
    verifier: &Verifier,
) -> Result<Option<Checkpoint>, Error> {
    let note: Option<String> = on_engine!(connection, engine => {
        sqlx::query_scalar("SELECT note FROM head").fetch_optional(engine).await?
    });
    let verify = |note: String| {
        verifier.verify_head(&note).map_err(|error| {
            let origin = note.lines().next().unwrap_or_default();
            let origin = origin.trim_end_matches("#head").escape_debug().take(100);
            Error::Tampered(format!(
                "the head in its table `head` is not signed by the configured ledger key ({error}); it is of the \
                 ledger \"{}\", and this server's is {:?}",
                origin.collect::<String>(),
                verifier.origin()
            ))
        })
    };
    note.map(verify).transpose()
}

/// The advice about events that no head covers, in a database of a version that signed none.
pub(super) fn unsigned_tail(count: u64) -> String {
    format!(
        "its last {count} events are in no signed head: the database is of a version of daypass that signed only \
         checkpoints, and was not stopped in order. Start and stop that version once, then this one"
    )
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

/// The leaves `[from, to)`, in order.
pub(super) async fn entries(
    connection: &mut Connection,
    from: u64,
    to: u64,
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let statement = "SELECT position, event FROM ledger WHERE position >= $1 AND position < $2 ORDER BY position";
    let rows: Vec<(i64, Vec<u8>)> = on_engine!(connection, engine => {
        let query = sqlx::query_as(statement);
        query.bind(position(from)).bind(position(to)).fetch_all(engine).await?
    });
    Ok(rows
        .into_iter()
        .map(|(at, event)| (index(at), event))
        .collect())
}

/// The leaves at these indices, in the order asked for. Missing ones are left out.
pub(super) async fn leaves(
    connection: &mut Connection,
    indices: &[u64],
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    if indices.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<_> = (1..=indices.len())
        .map(|place| format!("${place}"))
        .collect();
    let statement = format!(
        "SELECT position, event FROM ledger WHERE position IN ({})",
        places.join(", ")
    );
    let rows: Vec<(i64, Vec<u8>)> = on_engine!(connection, engine => {
        let mut query = sqlx::query_as(AssertSqlSafe(statement));
        for index in indices {
            query = query.bind(position(*index));
        }
        query.fetch_all(engine).await?
    });
    let mut rows: HashMap<_, _> = rows
        .into_iter()
        .map(|(at, event)| (index(at), event))
        .collect();
    let found = indices.iter().filter_map(|at| rows.remove_entry(at));
    Ok(found.collect())
}

/// Reads what `plan` asks for and makes the proof: one row for each of O(log n) subtrees.
pub(super) async fn proof(connection: &mut Connection, plan: Plan) -> Result<Vec<Hash>, Error> {
    let nodes: Vec<_> = plan.nodes().collect();
    let hashes = hashes(connection, &nodes).await?;
    plan.proof(|node| hashes.get(&node).copied())
        .ok_or_else(|| Error::Tampered("a hash of the tree is missing".to_owned()))
}

/// The stored hashes of these complete subtrees, one behind the other; none if one is missing.
pub(super) async fn hashes_of(
    connection: &mut Connection,
    nodes: &[Node],
) -> Result<Option<Vec<u8>>, Error> {
    let hashes = hashes(connection, nodes).await?;
    let found: Option<Vec<Hash>> = nodes.iter().map(|node| hashes.get(node).copied()).collect();
    Ok(found.map(|found| found.concat()))
}

/// The stored hashes of complete subtrees. Missing ones are left out.
async fn hashes(connection: &mut Connection, nodes: &[Node]) -> Result<HashMap<Node, Hash>, Error> {
    if nodes.is_empty() {
        return Ok(HashMap::new());
    }
    let places: Vec<_> = (1..=nodes.len()).map(|place| format!("${place}")).collect();
    let statement = format!(
        "SELECT position, hashes FROM ledger WHERE position IN ({})",
        places.join(", ")
    );
    let rows: Vec<(i64, Vec<u8>)> = on_engine!(connection, engine => {
        let mut query = sqlx::query_as(AssertSqlSafe(statement));
        for node in nodes {
            query = query.bind(position(node.closed_by()));
        }
        query.fetch_all(engine).await?
    });
    let rows: HashMap<_, _> = rows
        .into_iter()
        .map(|(at, hashes)| (index(at), hashes))
        .collect();
    Ok(nodes
        .iter()
        .filter_map(|node| Some((*node, hash_of(rows.get(&node.closed_by())?, *node)?)))
        .collect())
}

fn hash_of(hashes: &[u8], node: Node) -> Option<Hash> {
    let (chunks, _) = hashes.as_chunks::<32>();
    chunks.get(usize::try_from(node.level).ok()?).copied()
}

/// An index as the database has it. Indices over 2^63 do not occur: they find nothing.
pub(super) fn position(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// The table has no negative positions.
fn index(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(u64::MAX)
}
