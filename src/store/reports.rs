//! The reports of hosts: the last one of each, which is state and no part of the ledger.
//!
//! Every server of the ledger sees them. They are written by the ledger's writer, in the same
//! transaction as the events of that moment, so that a report costs no commit of its own under
//! load.

use super::{
    Error,
    database::{Connection, on_engine},
};
use crate::unix_seconds::UnixSeconds;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredReport {
    /// The host's name.
    pub host: String,
    /// The index of the event by which it joined.
    pub joined: u64,
    /// When the host made it, in milliseconds.
    pub made: u64,
    /// When a server received it.
    pub received: UnixSeconds,
    /// What it says, as JSON.
    pub content: Vec<u8>,
}

/// How far the time of a report may be ahead of the server's clock, in milliseconds.
const LARGEST_LEAD: u64 = 5 * 60 * 1000;

/// A change of the table.
#[derive(Clone, Debug)]
pub(super) enum ReportChange {
    Put(StoredReport),
    Remove(String),
}

/// Makes the change in the transaction that the connection is in. Returns whether there was one.
pub(super) async fn apply(
    connection: &mut Connection,
    change: &ReportChange,
) -> Result<bool, Error> {
    let rows = match change {
        ReportChange::Put(report) => put(connection, report).await?,
        ReportChange::Remove(host) => {
            let host = host.as_bytes().to_vec();
            on_engine!(connection, engine => {
                let query = sqlx::query("DELETE FROM report WHERE host = $1").bind(host);
                query.execute(engine).await?.rows_affected()
            })
        }
    };
    Ok(rows > 0)
}

async fn put(connection: &mut Connection, report: &StoredReport) -> Result<u64, Error> {
    let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
    // A kept report of a later time is by clocks that were ahead, and were put back. No report of
    // now would ever take its place.
    let latest = report
        .received
        .get()
        .saturating_mul(1000)
        .saturating_add(LARGEST_LEAD);
    let statement = "INSERT INTO report (host, joined, made, received, content) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (host) DO UPDATE SET \
                     joined = excluded.joined, made = excluded.made, \
                     received = excluded.received, content = excluded.content \
                     WHERE excluded.joined > report.joined \
                     OR (excluded.joined = report.joined AND (excluded.made > report.made \
                     OR report.made > $6))";
    Ok(on_engine!(connection, engine => {
        let query = sqlx::query(statement)
            .bind(report.host.as_bytes().to_vec())
            .bind(number(report.joined))
            .bind(number(report.made))
            .bind(number(report.received.get()))
            .bind(report.content.clone())
            .bind(number(latest));
        query.execute(engine).await?.rows_affected()
    }))
}
