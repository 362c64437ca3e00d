//! Looks at a database before anything is written to it: it may be another program's, or not the
//! one that the folder knows.

use super::{
    Error,
    database::{Connection, Database, Session, other_engine},
    postgres, sqlite,
    tables::Tables,
};
use crate::ledger::keyring::SignedHead;

impl Database {
    /// Says what the database holds, before anything is written to it.
    ///
    /// # Errors
    /// Returns an error if it is not Daypass', is a newer version's, or if another program changed
    /// its tables.
    pub(super) async fn look(&self, connection: &mut Connection) -> Result<Tables, Error> {
        connection.begin_reading().await?;
        let tables = match (self, connection.session()) {
            (Self::Sqlite(file), Session::Sqlite(connection)) => {
                sqlite::look(connection, file).await?
            }
            (Self::Postgres(address), Session::Postgres(connection)) => {
                postgres::within(postgres::APPEND, postgres::look(connection, address)).await?
            }
            (Self::Sqlite(_), Session::Postgres(_)) | (Self::Postgres(_), Session::Sqlite(_)) => {
                return Err(other_engine());
            }
        };
        connection.end_reading().await?;
        Ok(tables)
    }

    /// Refuses to begin anew where the folder knows a ledger that is not there. To be called before
    /// [`Database::open`], which makes a file that is missing.
    ///
    /// # Errors
    /// Returns [`Error::Tampered`] if the file is missing or empty.
    pub(super) fn expect_content(&self, checkpoint: Option<&SignedHead>) -> Result<(), Error> {
        match self {
            Self::Sqlite(file) if sqlite::is_empty(file) => self.expect_known_ledger(checkpoint),
            Self::Sqlite(_) | Self::Postgres(_) => Ok(()),
        }
    }

    /// The refusal of a database without a ledger, if the folder knows one of some events.
    ///
    /// # Errors
    /// Returns it.
    pub(super) fn expect_known_ledger(&self, checkpoint: Option<&SignedHead>) -> Result<(), Error> {
        let known = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        match self {
            _ if known == 0 => Ok(()),
            Self::Sqlite(_) => Err(Error::Tampered(format!(
                "it has 0 events, and {known} were signed"
            ))),
            Self::Postgres(address) => Err(Error::Start(format!(
                "this server knows a ledger of {known} events (the file `checkpoint` in its state folder), and the {address} \
                 has none. Nothing was written to it. Correct the address if it is of another database. If it is right, \
                 the database has lost the ledger: restore it up to its last commit (`daypass help server`, Several \
                 servers)"
            ))),
        }
    }
}
