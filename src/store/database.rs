//! The database of a ledger, behind one interface for every engine. The SQL text of the ledger is
//! the same on all engines (`ledger`); statements that only one engine knows are in its own file.

use std::path::{Path, PathBuf};

use sqlx::{
    Connection as _, PgConnection, Postgres, Sqlite, SqliteConnection, SqlitePool,
    pool::PoolConnection,
};

use super::{
    Error,
    postgres::{self, Announcements, End, Mailboxes, Pool, PostgresAddress},
    sqlite::{self, Flush},
    tables::Tables,
};

/// The place of a ledger.
#[derive(Clone, Debug)]
pub(super) enum Database {
    /// A file of this process's own.
    Sqlite(PathBuf),
    /// A database that replicas share.
    Postgres(PostgresAddress),
}

impl Database {
    /// The embedded database of a store's folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::Sqlite(folder.join(sqlite::FILE))
    }

    /// Opens a connection that can write, before anything of the database is known
    /// ([`Database::look`]).
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database cannot be opened. A file of another program
    /// has the errors of [`Database::look`].
    pub(super) async fn open(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite(file) => Ok(Connection::Sqlite(sqlite::open_writer(file).await?)),
            Self::Postgres(address) => {
                let connection = postgres::connect(address).await?;
                Ok(Connection::Postgres(connection))
            }
        }
    }

    /// Opens the one connection that writes again, after a failure. The tables are those of this
    /// version.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database cannot be opened, or with the name of a thing
    /// in it that Daypass did not make.
    pub(super) async fn open_writer(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite(file) => Ok(Connection::Sqlite(sqlite::open_writer(file).await?)),
            Self::Postgres(address) => {
                let connection = postgres::open_writer(address).await?;
                Ok(Connection::Postgres(connection))
            }
        }
    }

    /// The error with the address before it, if a shared database is unavailable.
    pub(super) fn named(&self, error: Error) -> Error {
        match self {
            Self::Sqlite(_) => error,
            Self::Postgres(address) => address.named(error),
        }
    }

    /// Opens connections that can only read.
    pub(super) fn open_readers(&self) -> Readers {
        match self {
            Self::Sqlite(file) => Readers::Sqlite(sqlite::open_readers(file)),
            Self::Postgres(address) => Readers::Postgres(postgres::open_readers(address)),
        }
    }

    /// The mailboxes of webhooks that servers share; none in an embedded database.
    pub(super) fn mailboxes(&self) -> Option<Mailboxes> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(address) => Some(Mailboxes::new(address)),
        }
    }

    /// Brings the tables up to date.
    ///
    /// # Errors
    /// As [`Database::look`], and if a table cannot be made.
    pub(super) async fn migrate(&self, connection: &mut Connection) -> Result<(), Error> {
        match (self, connection.session()) {
            (Self::Sqlite(file), Session::Sqlite(connection)) => {
                sqlite::migrate(connection, file).await
            }
            (Self::Postgres(address), Session::Postgres(connection)) => {
                let migrated = postgres::migrate(connection, address);
                postgres::within(postgres::APPEND, migrated).await
            }
            (Self::Sqlite(_), Session::Postgres(_)) | (Self::Postgres(_), Session::Sqlite(_)) => {
                Err(other_engine())
            }
        }
    }

    /// A sentence for each setting by which an acknowledged commit can be lost.
    pub(super) async fn weaknesses(
        &self,
        connection: &mut Connection,
    ) -> Result<Vec<String>, Error> {
        match (self, connection.session()) {
            (Self::Postgres(address), Session::Postgres(connection)) => {
                let found = postgres::weaknesses(connection, address);
                postgres::within(postgres::APPEND, found).await
            }
            (Self::Sqlite(_) | Self::Postgres(_), Session::Sqlite(_))
            | (Self::Sqlite(_), Session::Postgres(_)) => Ok(Vec::new()),
        }
    }

    /// The announcements of other replicas' appends; none if there are no replicas.
    pub(super) fn announcements(&self) -> Option<Announcements> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(address) => Some(Announcements::listen(address)),
        }
    }

    /// The error of a start, with what the operator can do.
    pub(super) fn advise(&self, error: Error, folder: &Path) -> Error {
        match (self, error) {
            (Self::Sqlite(_), error) => error.with_advice(folder),
            (Self::Postgres(address), Error::Tampered(what)) => Error::Tampered(format!(
                "{what}. Nothing was changed in the {address}, and nothing is issued. Correct the address if it is of another \
                 database. Else restore the database up to its last commit. If commits are lost, run daypass restore --by-hand on one server (`daypass help server`, \
                 Several servers). Keep {folder} as evidence",
                folder = folder.display()
            )),
            (Self::Postgres(_), error) => error,
        }
    }
}

/// The error of a connection that is not to this database.
pub(super) fn other_engine() -> Error {
    Error::Unavailable("the connection is to another engine".to_owned())
}

/// A connection to one of the engines.
#[derive(Debug)]
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    /// A reader that goes back to its pool.
    SqliteReader(PoolConnection<Sqlite>),
    Postgres(PgConnection),
    PostgresReader(PoolConnection<Postgres>),
}

/// A connection as its engine has it.
pub(super) enum Session<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// Does the same on the connection of either engine: `on_engine!(connection, c => expression)`.
macro_rules! on_engine {
    ($connection:expr, $engine:ident => $do:expr) => {
        match $connection.session() {
            $crate::store::database::Session::Sqlite($engine) => $do,
            $crate::store::database::Session::Postgres($engine) => $do,
        }
    };
}
pub(super) use on_engine;

impl Connection {
    /// The engine's own connection.
    pub(super) fn session(&mut self) -> Session<'_> {
        match self {
            Self::Sqlite(connection) => Session::Sqlite(connection),
            Self::SqliteReader(connection) => Session::Sqlite(connection),
            Self::Postgres(connection) => Session::Postgres(connection),
            Self::PostgresReader(connection) => Session::Postgres(connection),
        }
    }

    /// True if other daemons append to the same database.
    pub(super) fn is_shared(&self) -> bool {
        match self {
            Self::Sqlite(_) | Self::SqliteReader(_) => false,
            Self::Postgres(_) | Self::PostgresReader(_) => true,
        }
    }

    /// Checks the rights in a shared database: to append, and if tables are missing, to make them.
    pub(super) async fn expect_rights(&mut self, has: Tables) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(_) => Ok(()),
            Session::Postgres(connection) => {
                let rights = postgres::expect_rights(connection, has);
                postgres::within(postgres::APPEND, rights).await
            }
        }
    }

    /// Begins a transaction of a shared database, and locks the ledger until its end. Returns the
    /// end of the ledger, which has all earlier events; none if the database is embedded: nothing
    /// has begun then. A connection on which a statement of the transaction fails must be closed
    /// ([`Connection::close_hard`]).
    pub(super) async fn begin_locked(&mut self) -> Result<Option<End>, Error> {
        match self.session() {
            Session::Sqlite(_) => Ok(None),
            Session::Postgres(connection) => Ok(Some(postgres::begin_locked(connection).await?)),
        }
    }

    /// Begins to read one state of the database, for as long as it takes. The lock on the folder
    /// keeps an embedded database as it is.
    pub(super) async fn begin_reading(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(_) => Ok(()),
            Session::Postgres(connection) => postgres::begin_reading(connection).await,
        }
    }

    /// Lets the transaction on a shared database take as long as it needs.
    pub(super) async fn lift_deadlines(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(_) => Ok(()),
            Session::Postgres(connection) => postgres::lift_deadlines(connection).await,
        }
    }

    /// Puts the mailbox of a webhook into a shared database, if it has none.
    pub(super) async fn put_mailbox(&mut self, name: &str, content: &str) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(_) => Ok(()),
            Session::Postgres(connection) => postgres::put_mailbox(connection, name, content).await,
        }
    }

    /// Ends what [`Connection::begin_reading`] began.
    pub(super) async fn end_reading(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(_) => Ok(()),
            Session::Postgres(connection) => postgres::end_reading(connection).await,
        }
    }

    /// Commits the transaction. It is durable when this returns. After an error it may or may not
    /// be.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::commit(connection).await,
            Session::Postgres(connection) => postgres::commit(connection).await,
        }
    }

    /// Commits a transaction that wrote nothing, as [`Connection::commit`] does: all that a shared
    /// database showed in it is durable when this returns.
    pub(super) async fn commit_again(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::commit(connection).await,
            Session::Postgres(connection) => postgres::commit_again(connection).await,
        }
    }

    /// Ends a transaction that wrote nothing.
    pub(super) async fn end_unchanged(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::commit(connection).await,
            Session::Postgres(connection) => postgres::end_reading(connection).await,
        }
    }

    /// Moves what the engine has only logged to its place.
    pub(super) async fn flush(&mut self, flush: Flush) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::flush(connection, flush).await,
            // The server does it itself.
            Session::Postgres(_) => Ok(()),
        }
    }

    /// Closes the connection in order.
    pub(super) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => Ok(connection.close().await?),
            Self::SqliteReader(connection) => Ok(connection.close().await?),
            Self::Postgres(connection) => postgres::close(connection).await,
            Self::PostgresReader(connection) => postgres::close(connection.detach()).await,
        }
    }

    /// Drops the connection, with a transaction that it may be in.
    pub(super) async fn close_hard(self) {
        match self {
            Self::Sqlite(connection) => drop(connection.close_hard().await),
            Self::SqliteReader(connection) => drop(connection.detach().close_hard().await),
            // Closing its socket ends the transaction, and never waits for the server.
            Self::Postgres(connection) => drop(connection),
            Self::PostgresReader(connection) => drop(connection.detach()),
        }
    }
}

/// Connections that can only read. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Readers {
    Sqlite(SqlitePool),
    Postgres(Pool),
}

impl Readers {
    /// Waits for a free connection, for a bounded time.
    pub(super) async fn acquire(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite(pool) => Ok(Connection::SqliteReader(pool.acquire().await?)),
            Self::Postgres(pool) => Ok(Connection::PostgresReader(pool.now().acquire().await?)),
        }
    }

    /// True if other daemons append to the same database.
    pub(super) fn are_shared(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(_) => true,
        }
    }

    /// Closes all connections, and refuses new ones.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.now().close().await,
        }
    }
}

impl From<sqlx::Error> for Error {
    /// An engine's own code, or a value of a wrong type, may say that the database is not what was
    /// written.
    fn from(error: sqlx::Error) -> Self {
        let damaged = match &error {
            sqlx::Error::ColumnDecode { .. } => true,
            _ => sqlite::is_damaged(&error) || postgres::is_damaged(&error),
        };
        if damaged {
            Self::Tampered(format!(
                "the database file is damaged ({error}). Restore it from a backup"
            ))
        } else {
            Self::Unavailable(postgres::explained(&error).unwrap_or_else(|| postgres::said(&error)))
        }
    }
}
