//! PostgreSQL, the engine for replicas: its connections and their settings. SQL that only
//! PostgreSQL knows is here.
//!
//! Several daemons append to one database. Each append locks the head row first, so appends follow
//! one another, and a daemon knows every earlier event before it adds its own.

mod address;
mod append;
mod explained;
mod mailboxes;
mod pool;
mod rights;
mod session;
mod warnings;

use std::{sync::Arc, time::Duration};

use sqlx::{Connection as _, PgConnection, PgPool, migrate::MigrateError, postgres::PgListener};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};

pub use address::PostgresAddress;
pub(super) use append::{Columns, End, begin_locked, commit, commit_again, insert};
pub(super) use explained::{explained, is_damaged, said};
pub(super) use mailboxes::put as put_mailbox;
pub(crate) use mailboxes::{Held, Kept, LEASE, Mailboxes};
pub(super) use pool::Pool;
pub(super) use rights::expect_rights;
pub(super) use session::{APPEND, within};
use session::{connect, run};

use super::{
    Error,
    migrations::{MIGRATIONS, changed},
};

/// Deadline for closing a connection in order.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// The number of reads that run at once.
const READERS: u32 = 4;

/// Delay before a lost subscription is made again. The writer also looks without it.
const AGAIN: Duration = Duration::from_secs(1);

/// The channel on which each append is announced. It belongs to one database.
const CHANNEL: &str = "daypass_ledger";

/// Opens the one connection that writes. The tables are those of this version, or of an older one
/// and not yet brought up to date.
///
/// # Errors
/// Returns [`Error::Unavailable`] with the cause and what to do, or with the name of a table that
/// another program changed.
pub(super) async fn open_writer(address: &PostgresAddress) -> Result<PgConnection, Error> {
    let mut connection = connect(address).await?;
    within(APPEND, expect_own_tables(&mut connection, address)).await?;
    Ok(connection)
}

/// Opens connections that only read.
pub(super) fn open_readers(address: &PostgresAddress) -> Pool {
    Pool::new(address, READERS, &[("default_transaction_read_only", "on")])
}

/// Brings the tables up to date. Replicas that start together do it one after the other.
///
/// # Errors
/// Returns [`Error::Unavailable`] if the tables are of a newer version, or if the user has no right
/// to make them.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    address: &PostgresAddress,
) -> Result<(), Error> {
    let migrated = MIGRATIONS.run_direct(None, connection, false).await;
    migrated.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            address.named(error.into())
        }
        MigrateError::VersionMissing(_) => newer(address),
        MigrateError::VersionMismatch(step) => address.named(changed(step)),
        other => Error::Unavailable(format!("{address}: {other}")),
    })
}

/// The refusal of tables of a newer version.
pub(super) fn newer(address: &PostgresAddress) -> Error {
    Error::Start(format!(
        "the {address} has the tables of a newer version of daypass: start that version, or a newer one"
    ))
}

/// True if there is a ledger without the table of its signed head.
pub(super) async fn is_older(connection: &mut PgConnection) -> Result<bool, Error> {
    let statement = "SELECT to_regclass('ledger') IS NOT NULL AND to_regclass('head') IS NULL";
    Ok(sqlx::query_scalar(statement).fetch_one(connection).await?)
}

/// Refuses tables on which another program put a trigger, a rule or a row policy, or which are
/// views: they would change what statements do, below all checks.
async fn expect_own_tables(
    connection: &mut PgConnection,
    address: &PostgresAddress,
) -> Result<(), Error> {
    let changed: Option<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class c \
         WHERE c.oid IN (to_regclass('ledger'), to_regclass('head'), to_regclass('mailbox'), to_regclass('report')) \
         AND (c.relkind <> 'r' OR c.relhasrules OR c.relrowsecurity \
              OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
              OR EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))) \
         LIMIT 1",
    )
    .fetch_optional(connection)
    .await?;
    match changed {
        None => Ok(()),
        Some(table) => Err(Error::Unavailable(format!(
            "{address} holds the table {table:?} with a trigger, a rule, a row policy or another kind than daypass gives \
             it: another program changed the database. Find out which; then remove it, or restore the database"
        ))),
    }
}

/// The number of the newest step of the tables; none in an empty database.
pub(super) async fn version(connection: &mut PgConnection) -> Result<Option<i64>, Error> {
    let has_any: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !has_any {
        return Ok(None);
    }
    let statement = "SELECT MAX(version) FROM _sqlx_migrations";
    Ok(sqlx::query_scalar(statement).fetch_one(connection).await?)
}

/// A sentence for each setting by which an acknowledged commit can be lost, or the server be
/// another one.
pub(super) async fn weaknesses(
    connection: &mut PgConnection,
    address: &PostgresAddress,
) -> Result<Vec<String>, Error> {
    let mut weaknesses = Vec::new();
    if !address.is_protected() {
        weaknesses.push(format!(
            "the {address} is over the network and need not prove that it is the right one: add \
             sslmode=verify-full to its address, and sslrootcert=FILE if the system does not know its CA"
        ));
    }
    let (fsync, full_page_writes, standbys): (String, String, bool) = sqlx::query_as(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'), \
         current_setting('synchronous_standby_names') = '' \
         AND EXISTS (SELECT FROM pg_stat_replication)",
    )
    .fetch_one(connection)
    .await?;
    if standbys {
        weaknesses.push(
            "PostgreSQL has standbys and synchronous_standby_names is empty: a failover can lose passes that were issued, \
             and this server stops then. Set synchronous_standby_names"
                .to_owned(),
        );
    }
    for (name, value) in [("fsync", fsync), ("full_page_writes", full_page_writes)] {
        if value != "on" {
            weaknesses.push(format!(
                "PostgreSQL has {name} = {value}, so it can lose or damage the ledger in a crash: set it to on"
            ));
        }
    }
    Ok(weaknesses)
}

/// Begins a transaction that reads one state of the database, for as long as it takes.
pub(super) async fn begin_reading(connection: &mut PgConnection) -> Result<(), Error> {
    let statement = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
                     SET LOCAL idle_in_transaction_session_timeout = 0";
    within(APPEND, run(connection, statement)).await
}

/// Lets the transaction take as long as it needs.
pub(super) async fn lift_deadlines(connection: &mut PgConnection) -> Result<(), Error> {
    let statement =
        "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
    run(connection, statement).await
}

/// Ends what [`begin_reading`] began.
pub(super) async fn end_reading(connection: &mut PgConnection) -> Result<(), Error> {
    within(APPEND, run(connection, "COMMIT")).await
}

/// Says good-bye to the server, and does not wait for long.
pub(super) async fn close(connection: PgConnection) -> Result<(), Error> {
    within(GOOD_BYE, async { Ok(connection.close().await?) }).await
}

/// A subscription to the appends of all replicas.
#[derive(Debug)]
pub(super) struct Announcements {
    heard: Arc<Notify>,
    listener: JoinHandle<()>,
}

impl Announcements {
    pub(super) fn listen(address: &PostgresAddress) -> Self {
        let pool = Pool::new(address, 1, &[]);
        let heard = Arc::new(Notify::new());
        let listener = tokio::spawn(listen(pool, heard.clone()));
        Self { heard, listener }
    }

    /// Resolves when an append was announced since the last call.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }
}

impl Drop for Announcements {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(pool: Pool, heard: Arc<Notify>) {
    loop {
        if let Err(error) = announce(pool.now(), &heard).await {
            tracing::debug!(%error, "no announcements from PostgreSQL for now");
        }
        sleep(AGAIN).await;
    }
}

async fn announce(pool: &PgPool, heard: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Appends may have been missed before the subscription.
        heard.notify_one();
        listener.recv().await?;
    }
}
