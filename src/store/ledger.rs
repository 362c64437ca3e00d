//! The ledger table: appending, reading, and replaying it against what it must be.

use std::{collections::HashMap, sync::Arc};

use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection};
use tokio_stream::StreamExt;

use super::Error;
use crate::ledger::{
    Event, Standing,
    checkpoint::Checkpoint,
    event,
    tree::{Frontier, Hash, Node, Plan, leaf_hash},
};

/// A row to be: its place, the leaf, and the hashes of the subtrees that it closes.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) index: u64,
    pub(super) event: Vec<u8>,
    pub(super) hashes: Vec<Hash>,
}

/// The statements that insert 1, 2, 4 ... rows: any batch is a few of them, and each is prepared once.
#[derive(Debug)]
pub(super) struct Inserts(Vec<Arc<str>>);

/// The largest statement inserts 2^7 rows (384 parameters).
const LARGEST: u32 = 7;

impl Inserts {
    pub(super) fn new() -> Self {
        Self((0..=LARGEST).map(|power| insert_rows(1 << power)).collect())
    }

    /// Appends these rows, in order.
    pub(super) async fn append(
        &self,
        connection: &mut SqliteConnection,
        mut rows: Vec<Row>,
    ) -> Result<(), Error> {
        for (power, statement) in self.0.iter().enumerate().rev() {
            while rows.len() >= 1 << power {
                let rest = rows.split_off(1 << power);
                insert(connection, statement.clone(), rows).await?;
                rows = rest;
            }
        }
        Ok(())
    }
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
    connection: &mut SqliteConnection,
    statement: Arc<str>,
    rows: Vec<Row>,
) -> Result<(), Error> {
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for row in rows {
        query = query
            .bind(position(row.index))
            .bind(row.event)
            .bind(row.hashes.concat());
    }
    query.execute(connection).await?;
    Ok(())
}

/// Refuses unless the last row is the one that `head` ends in: nobody else has written or removed anything.
pub(super) async fn expect_head(
    connection: &mut SqliteConnection,
    head: &Frontier,
) -> Result<(), Error> {
    let last: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT position, hashes FROM ledger ORDER BY position DESC LIMIT 1")
            .fetch_optional(connection)
            .await?;
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

/// The edge of the first `size` leaves from the stored hashes alone; `None` where some are missing.
pub(super) async fn stored_frontier(
    connection: &mut SqliteConnection,
    size: u64,
) -> Result<Option<Frontier>, Error> {
    let nodes = Frontier::nodes(size);
    let hashes = hashes(connection, &nodes).await?;
    let peaks: Option<Vec<Hash>> = nodes.iter().map(|node| hashes.get(node).copied()).collect();
    Ok(peaks.and_then(|peaks| Frontier::from_peaks(size, peaks)))
}

/// Reads every leaf after `head` and returns the head that they lead to. Recomputes what is stored beside the leaves, and
/// on passing the size of `signed` its root. `standing` is what stood at `head`, and takes in every leaf.
///
/// # Errors
/// [`Error::Tampered`] where a leaf is missing, was changed, or the ledger ends before `signed`.
pub(super) async fn replay(
    connection: &mut SqliteConnection,
    mut head: Frontier,
    signed: Option<&Checkpoint>,
    standing: &mut Standing,
) -> Result<Frontier, Error> {
    let mut rows = sqlx::query_as::<_, (i64, Vec<u8>, Vec<u8>)>(
        "SELECT position, event, hashes FROM ledger WHERE position >= $1 ORDER BY position",
    )
    .bind(position(head.size()))
    .fetch(connection);
    expect_signed(&head, signed)?;
    while let Some((at, event, hashes)) = rows.try_next().await? {
        if index(at) != head.size() {
            return Err(Error::Tampered(format!("event {} is missing", head.size())));
        }
        if head.push(leaf_hash(&event)).concat() != hashes {
            return Err(Error::Tampered(format!(
                "event {at} was changed after it was written"
            )));
        }
        expect_signed(&head, signed)?;
        standing.apply(&Event::parse(&event).map_err(|error| unknown(at, &error))?);
    }
    match signed {
        Some(signed) if signed.size > head.size() => Err(Error::Tampered(format!(
            "it has {} events, and {} were signed",
            head.size(),
            signed.size
        ))),
        _ => Ok(head),
    }
}

fn unknown(at: i64, error: &event::Error) -> Error {
    Error::Tampered(format!(
        "event {at} is none that this version of daypass knows ({error})"
    ))
}

fn expect_signed(head: &Frontier, signed: Option<&Checkpoint>) -> Result<(), Error> {
    match signed {
        Some(signed) if signed.size == head.size() && signed.root != head.root() => {
            Err(Error::Tampered(format!(
                "its first {} events are not the ones that were signed",
                signed.size
            )))
        }
        _ => Ok(()),
    }
}

/// The leaves `[from, to)`, in order.
pub(super) async fn entries(
    connection: &mut SqliteConnection,
    from: u64,
    to: u64,
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT position, event FROM ledger WHERE position >= $1 AND position < $2 ORDER BY position",
    )
    .bind(position(from))
    .bind(position(to))
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(at, event)| (index(at), event))
        .collect())
}

/// Reads what `plan` asks for and makes the proof: one row for each of O(log n) subtrees.
pub(super) async fn proof(
    connection: &mut SqliteConnection,
    plan: Plan,
) -> Result<Vec<Hash>, Error> {
    let nodes: Vec<_> = plan.nodes().collect();
    let hashes = hashes(connection, &nodes).await?;
    plan.proof(|node| hashes.get(&node).copied())
        .ok_or_else(|| Error::Tampered("a hash of the tree is missing".to_owned()))
}

/// The stored hashes of complete subtrees; those that are not there are left out.
async fn hashes(
    connection: &mut SqliteConnection,
    nodes: &[Node],
) -> Result<HashMap<Node, Hash>, Error> {
    let mut query =
        QueryBuilder::<Sqlite>::new("SELECT position, hashes FROM ledger WHERE position IN (");
    let mut list = query.separated(", ");
    for node in nodes {
        list.push_bind(position(node.closed_by()));
    }
    query.push(")");
    let rows: Vec<(i64, Vec<u8>)> = query.build_query_as().fetch_all(connection).await?;
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
fn position(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// The table has no negative positions.
fn index(position: i64) -> u64 {
    u64::try_from(position).unwrap_or(u64::MAX)
}
