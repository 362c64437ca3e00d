//! Settings and deadlines of every connection to PostgreSQL.

use std::{future::Future, time::Duration};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;

use super::address::{PostgresAddress, host};
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

/// A connection to the primary, which new connections of pools go to from now on.
///
/// # Errors
/// Returns [`Error::Unavailable`] with the cause, or if there are several hosts, of each.
pub(in crate::store) async fn connect(address: &PostgresAddress) -> Result<PgConnection, Error> {
    let mut causes = Vec::new();
    for (at, options) in address.hosts() {
        let name = host(&options);
        let tried = within(CONNECT, async {
            let mut connection = configured(options).connect().await?;
            if address.has_several() {
                expect_primary(&mut connection).await?;
            }
            Ok(connection)
        });
        match tried.await {
            Ok(connection) => {
                address.set_current(at);
                return Ok(connection);
            }
            Err(error) if !address.has_several() => return Err(address.named(error)),
            Err(error) => causes.push(format!("{name}: {error}")),
        }
    }
    Err(Error::Unavailable(format!(
        "{address}: no host is the primary ({})",
        causes.join("; ")
    )))
}

/// Refuses a standby: what it shows may be older than what was acknowledged.
pub(super) async fn expect_primary(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()")
        .fetch_one(connection)
        .await?;
    match is_standby {
        false => Ok(()),
        true => Err(sqlx::Error::Configuration("it is a standby".into())),
    }
}

/// The settings of every connection.
pub(super) fn configured(options: PgConnectOptions) -> PgConnectOptions {
    let options = options.application_name("daypass").options(SETTINGS);
    options.disable_statement_logging()
}

/// Runs statements without parameters, in one round trip.
pub(super) async fn run(
    connection: &mut PgConnection,
    statements: &'static str,
) -> Result<(), Error> {
    sqlx::raw_sql(statements).execute(connection).await?;
    Ok(())
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
