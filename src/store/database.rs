//! The database of a ledger, behind one interface for every engine. The SQL text of the ledger is
//! the same on all engines (`ledger`); statements that only one engine knows are in its own file.

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool, pool::PoolConnection};

use super::{
    Error,
    sqlite::{self, Flush},
};

/// The place of a ledger.
#[derive(Clone, Debug)]
pub(super) enum Database {
    /// A file of this process's own.
    Sqlite(PathBuf),
}

impl Database {
    /// The embedded database of a store's folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::Sqlite(folder.join(sqlite::FILE))
    }

    /// Opens the one connection that writes. The tables are those of this version, or of an older
    /// one and not yet brought up to date ([`Connection::migrate`]).
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database cannot be opened, or with the name of a thing
    /// in it that Daypass did not make.
    pub(super) async fn open_writer(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite(file) => Ok(Connection::Sqlite(sqlite::open_writer(file).await?)),
        }
    }

    /// Opens connections that can only read.
    pub(super) fn open_readers(&self) -> Readers {
        match self {
            Self::Sqlite(file) => Readers::Sqlite(sqlite::open_readers(file)),
        }
    }

    /// Brings the tables up to date.
    ///
    /// # Errors
    /// Returns [`Error::Tampered`] if the tables are of no version of Daypass, and
    /// [`Error::Unavailable`] if they are of a newer one.
    pub(super) async fn migrate(&self, connection: &mut Connection) -> Result<(), Error> {
        match (self, connection.session()) {
            (Self::Sqlite(file), Session::Sqlite(connection)) => {
                sqlite::migrate(connection, file).await
            }
        }
    }
}

/// A connection to one of the engines.
#[derive(Debug)]
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    /// A reader that goes back to its pool.
    SqliteReader(PoolConnection<Sqlite>),
}

/// A connection as its engine has it.
pub(super) enum Session<'c> {
    Sqlite(&'c mut SqliteConnection),
}

/// Does the same on the connection of either engine: `on_engine!(connection, c => expression)`.
macro_rules! on_engine {
    ($connection:expr, $engine:ident => $do:expr) => {
        match $connection.session() {
            $crate::store::database::Session::Sqlite($engine) => $do,
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
        }
    }

    /// True if the database is of an older version, without the head that commits sign.
    pub(super) async fn is_older(&mut self) -> Result<bool, Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::is_older(connection).await,
        }
    }

    /// Begins a transaction that has the right to write from its first statement on. A connection
    /// on which a statement of the transaction fails must be closed ([`Connection::close_hard`]).
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::begin(connection).await,
        }
    }

    /// Commits the transaction. It is durable when this returns. After an error it may or may not
    /// be.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::commit(connection).await,
        }
    }

    /// Moves what the engine has only logged to its place.
    pub(super) async fn flush(&mut self, flush: Flush) -> Result<(), Error> {
        match self.session() {
            Session::Sqlite(connection) => sqlite::flush(connection, flush).await,
        }
    }

    /// Closes the connection in order.
    pub(super) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => Ok(connection.close().await?),
            Self::SqliteReader(connection) => Ok(connection.close().await?),
        }
    }

    /// Drops the connection, with a transaction that it may be in.
    pub(super) async fn close_hard(self) {
        let closed = match self {
            Self::Sqlite(connection) => connection.close_hard().await,
            Self::SqliteReader(connection) => connection.detach().close_hard().await,
        };
        closed.ok();
    }
}

/// Connections that can only read. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Readers {
    Sqlite(SqlitePool),
}

impl Readers {
    /// Waits for a free connection, for a bounded time.
    pub(super) async fn acquire(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite(pool) => Ok(Connection::SqliteReader(pool.acquire().await?)),
        }
    }

    /// Closes all connections, and refuses new ones.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

impl From<sqlx::Error> for Error {
    /// An engine's own code, or a value of a wrong type, may say that the database is not what was
    /// written.
    fn from(error: sqlx::Error) -> Self {
        let damaged = match &error {
            sqlx::Error::ColumnDecode { .. } => true,
            _ => sqlite::is_damaged(&error),
        };
        if damaged {
            Self::Tampered(format!(
                "the database file is damaged ({error}). Restore it from a backup"
            ))
        } else {
            Self::Unavailable(error.to_string())
        }
    }
}
