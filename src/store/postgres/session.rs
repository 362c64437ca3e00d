//! Settings and deadlines of every connection to PostgreSQL.

use std::{future::Future, time::Duration};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::address::PostgresAddress;
use crate::store::Error;

/// Deadline for a connection, with its handshake.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// Deadline for a whole append, with the wait for other replicas. The database's own deadlines are
/// shorter, so that the cause is usually its answer.
pub(in crate::store) const APPEND: Duration = Duration::from_secs(10);

/// Settings of every connection. A commit waits for the disk. A replica that stops in the middle of
/// an append loses its locks soon, so that the others go on.
const SETTINGS: [(&str, &str); 5] = [
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "8s"),
    ("lock_timeout", "6s"),
    ("idle_in_transaction_session_timeout", "5s"),
];

/// The settings of a connection.
pub(super) fn options(address: &PostgresAddress) -> PgConnectOptions {
    let options = address.options().application_name("daypass");
    options.options(SETTINGS).disable_statement_logging()
}

/// Returns an error if the work takes longer.
pub(in crate::store) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| {
        let seconds = limit.as_secs();
        let text = format!("PostgreSQL gave no answer within {seconds} s");
        Err(Error::Unavailable(text))
    };
    timeout(limit, work).await.unwrap_or_else(late)
}
