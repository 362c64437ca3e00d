//! The tables: reading events and the signed head. `inserts` fills them.

use std::collections::{BTreeSet, HashMap};

use sqlx::AssertSqlSafe;
use tokio_stream::{Stream, StreamExt};

use super::{
    Error,
    database::{Connection, Session, on_engine},
};
use crate::ledger::{
    keyring::{SignedHead, Verifiers},
    tree::{Frontier, Hash, Node, Plan},
};

/// The statements that begin a transaction of an embedded database with the right to write, and
/// read its last row, and their number.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE; \
                                SELECT position, hashes FROM ledger ORDER BY position DESC LIMIT 1";
pub(super) const BEGIN_STATEMENTS: usize = 2;

/// Begins a transaction of an embedded database with the right to write, and does what
/// [`expect_last`] does, in one message to SQLite's thread.
pub(super) async fn begin_at(connection: &mut Connection, head: &Frontier) -> Result<(), Error> {
    let last: Option<(i64, Vec<u8>)> = on_engine!(connection, engine => {
        sqlx::query_as(BEGIN).fetch_optional(engine).await?
    });
    expect_last(last.as_ref(), head)
}

/// Refuses unless the last row, its position and hashes, is the one that `head` ends in: no other
/// program has written or removed rows.
pub(super) fn expect_last(last: Option<&(i64, Vec<u8>)>, head: &Frontier) -> Result<(), Error> {
    let (size, edge) = match last {
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
/// Returns [`Error::Tampered`] if it is by none of these keys.
pub(super) async fn signed_head(
    connection: &mut Connection,
    verifiers: &Verifiers,
) -> Result<Option<SignedHead>, Error> {
    let note: Option<String> = on_engine!(connection, engine => {
        sqlx::query_scalar("SELECT note FROM head").fetch_optional(engine).await?
    });
    verified(note, verifiers)
}

/// As [`signed_head`], from the note in its table.
pub(super) fn verified(
    note: Option<String>,
    verifiers: &Verifiers,
) -> Result<Option<SignedHead>, Error> {
    let verify = |note: String| {
        verifiers.verify_head(&note).map_err(|error| {
            let origin = note.lines().next().unwrap_or_default();
            let origin = origin.trim_end_matches("#head").escape_debug().take(100);
            let signers = match Verifiers::unverified_hashes(&note).join(", ") {
                none if none.is_empty() => "signed by no key".to_owned(),
                hashes => format!("signed by the key {hashes}"),
            };
            Error::Tampered(format!(
                "the head in its table `head` is not signed by the configured ledger key ({error}); it is of the \
                 ledger \"{}\", {signers}, and this server's is {:?}, whose key signs as {}. If the ledger was handed over to \
                 another key, give this server the newest one ([ledger] `key`)",
                origin.collect::<String>(),
                verifiers.origin(),
                verifiers.head_hashes().join(", ")
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

/// The leaves from `from` on that have this text anywhere, in order. Reads them all. SQLite's
/// alone.
pub(super) async fn with_text(
    connection: &mut Connection,
    from: u64,
    text: &str,
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let statement = "SELECT position, event FROM ledger WHERE position >= $1 AND instr(event, $2) > 0 ORDER BY position";
    let rows: Vec<(i64, Vec<u8>)> = match connection.session() {
        Session::Sqlite(engine) => {
            let query = sqlx::query_as(statement).bind(position(from));
            query.bind(text.as_bytes()).fetch_all(engine).await?
        }
        Session::Postgres(_) => Vec::new(),
    };
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

/// [`proof`] of several plans, in one read.
pub(super) async fn proofs(
    connection: &mut Connection,
    plans: &[Plan],
) -> Result<Vec<Vec<Hash>>, Error> {
    let nodes: BTreeSet<_> = plans.iter().flat_map(Plan::nodes).collect();
    let nodes: Vec<_> = nodes.into_iter().collect();
    let hashes = hashes(connection, &nodes).await?;
    let missing = || Error::Tampered("a hash of the tree is missing".to_owned());
    let proofs = plans.iter();
    proofs
        .map(|plan| {
            plan.proof(|node| hashes.get(&node).copied())
                .ok_or_else(missing)
        })
        .collect()
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
