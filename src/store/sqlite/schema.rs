//! Checks that the database holds what the migrations make, and nothing else. SQL that only SQLite
//! knows.
//!
//! A trigger, a view or another shape of a table would change what statements do, below all checks.

use std::{collections::BTreeMap, path::Path};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::store::{Error, migrations::MIGRATIONS};

/// sqlx's own table. Its text is sqlx's, so only its kind is checked.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// Type and name of a thing in the schema.
type Name = (String, String);

/// The table that it belongs to, and the statement that made it.
type Made = (String, Option<String>);

/// Refuses a thing that the migrations do not make. A new or older database has fewer things, which
/// is valid.
///
/// # Errors
/// Returns [`Error::Unavailable`] with its name and what to do.
pub(super) async fn expect_nothing_foreign(
    connection: &mut SqliteConnection,
    file: &Path,
) -> Result<(), Error> {
    let expected = ours().await?;
    let found = read(connection).await?;
    if found.keys().any(|(_, name)| name == MIGRATIONS_TABLE) {
        expect_no_newer(connection, file).await?;
    }
    for ((kind, name), made) in &found {
        let known = expected.get(&(kind.clone(), name.clone()));
        let problem = match known {
            None => "which daypass does not make",
            Some(known) if known != made && name != MIGRATIONS_TABLE => {
                "in another form than daypass makes it"
            }
            Some(_) => continue,
        };
        return Err(Error::Unavailable(format!(
            "{} holds the {kind} {name:?}, {problem}: another program changed the database. Find out which; then remove \
             it (sqlite3: DROP {} {name:?}), or put back the newest copy of the file",
            file.display(),
            kind.to_uppercase()
        )));
    }
    Ok(())
}

/// Refuses the tables of a newer version, which are no foreign ones: that version must read them.
async fn expect_no_newer(connection: &mut SqliteConnection, file: &Path) -> Result<(), Error> {
    let last: Result<Option<i64>, _> =
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(connection)
            .await;
    // A table that cannot be read so is not sqlx's. The migrations refuse it.
    let last = last.ok().flatten().unwrap_or_default();
    let known = MIGRATIONS.iter().map(|step| step.version).max();
    match known.is_some_and(|known| last > known) {
        false => Ok(()),
        true => Err(Error::Start(format!(
            "{} was written by a newer version of daypass, and this one cannot read it: start the newer version. To go \
             back to this one, restore a backup that this one made (`daypass help server`)",
            file.display()
        ))),
    }
}

/// True if there is a ledger without the table of its signed head.
pub(super) async fn is_older(connection: &mut SqliteConnection) -> Result<bool, Error> {
    let found = read(connection).await?;
    let has = |name: &str| found.contains_key(&("table".to_owned(), name.to_owned()));
    Ok(has("ledger") && !has("head"))
}

/// The things that the migrations make in an empty database.
async fn ours() -> Result<BTreeMap<Name, Made>, Error> {
    let memory = SqliteConnectOptions::new().in_memory(true);
    let mut connection = memory.disable_statement_logging().connect().await?;
    let migrated = MIGRATIONS.run_direct(None, &mut connection, false).await;
    migrated.map_err(|error| Error::Unavailable(error.to_string()))?;
    let ours = read(&mut connection).await?;
    connection.close().await?;
    Ok(ours)
}

async fn read(connection: &mut SqliteConnection) -> Result<BTreeMap<Name, Made>, Error> {
    let rows: Vec<(String, String, String, Option<String>)> =
        sqlx::query_as("SELECT type, name, tbl_name, sql FROM sqlite_master")
            .fetch_all(connection)
            .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(kind, name, table, sql)| ((kind, name), (table, sql)))
        .collect())
}
