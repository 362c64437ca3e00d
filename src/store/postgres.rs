//! PostgreSQL, the engine for replicas: its connections and their settings. SQL that only
//! PostgreSQL knows is here.
//!
//! Several daemons append to one database. Each append locks the head row first, so appends follow
//! one another, and a daemon knows every earlier event before it adds its own.

mod address;
mod append;
mod explained;
mod look;
mod mailboxes;
mod pool;
mod rights;
mod session;
mod warnings;

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    migrate::{Migrate, MigrateError},
    postgres::PgListener,
};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

pub use address::PostgresAddress;
pub(super) use append::{Columns, End, begin_locked, commit, commit_again, insert};
pub(super) use explained::{explained, is_damaged, said};
pub(super) use look::look;
pub(super) use mailboxes::put as put_mailbox;
pub(crate) use mailboxes::{Held, Kept, LEASE, Mailboxes};
pub(super) use pool::Pool;
pub(super) use rights::expect_rights;
use session::run;
pub(super) use session::{APPEND, connect, within};

use super::{
    Error,
    migrations::{MIGRATIONS, changed, undone},
    tables::Tables,
};

/// Deadline for closing a connection in order.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// The number of reads that run at once.
const READERS: u32 = 4;

/// Delay before a lost subscription is made again. The writer also looks without it.
const AGAIN: Duration = Duration::from_secs(1);

/// A subscription that heard nothing for this long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(60);

/// The channel on which each append is announced. It belongs to one database.
const CHANNEL: &str = "daypass_ledger";

/// Opens the one connection that writes again, to tables of this version.
///
/// # Errors
/// Returns [`Error::Unavailable`] with the cause and what to do, or with the name of a table that
/// another program changed.
pub(super) async fn open_writer(address: &PostgresAddress) -> Result<PgConnection, Error> {
    let mut connection = connect(address).await?;
    let unchanged = within(APPEND, look::expect_own_tables(&mut connection)).await;
    unchanged.map_err(|error| address.named(error))?;
    Ok(connection)
}

/// Opens connections that only read.
pub(super) fn open_readers(address: &PostgresAddress) -> Pool {
    Pool::new(address, READERS, &[("default_transaction_read_only", "on")])
}

/// Brings the tables up to date, in one transaction. Replicas that start together do it one after
/// the other.
///
/// # Errors
/// Returns an error if the database is another program's by now, or if the user has no right to
/// make tables. Nothing was changed then.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    address: &PostgresAddress,
) -> Result<(), Error> {
    // Until the commit: a step holds it only until its own end.
    connection.lock().await.map_err(failed)?;
    let mut transaction = connection.begin().await?;
    if look(&mut transaction, address).await? != Tables::Current {
        let migrated = MIGRATIONS.run_direct(None, &mut *transaction, false).await;
        migrated.map_err(failed)?;
    }
    transaction.commit().await?;
    connection.unlock().await.map_err(failed)
}

fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        MigrateError::VersionMismatch(step) => changed(step),
        MigrateError::Dirty(step) => undone(step),
        other => Error::Unavailable(other.to_string()),
    }
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
        // A subscription that the network forgot ends without a word.
        loop {
            match timeout(QUIET, listener.recv()).await {
                Ok(announced) => break drop(announced?),
                Err(_) => drop(pool::answers(sqlx::Acquire::acquire(&mut listener).await?).await?),
            }
        }
    }
}
