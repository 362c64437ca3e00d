//! Checks that the database holds what the migrations make, and nothing else. SQL that only SQLite
//! knows.
//!
//! A trigger, a view or another shape of a table would change what statements do, below all checks.
//! The text of sqlx's own table is sqlx's, so only its kind is checked.

use std::{collections::BTreeMap, path::Path};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::store::{
    Error,
    migrations::{MIGRATIONS, changed, undone},
    tables::{MADE, STEPS, Seen, Step, Tables, Unfit},
};

/// Type and name of a thing in the schema.
type Name = (String, String);

/// The table that it belongs to, and the statement that made it.
type Made = (String, Option<String>);

/// Says what the database holds. Refuses a thing that the migrations do not make. A new or older
/// database has fewer things, which is valid.
///
/// # Errors
/// Returns [`Error::Start`] if the database is another program's or a newer version's,
/// [`Error::Unavailable`] with the name of a thing that another program made and what to do, and
/// [`Error::Tampered`] if the tables are of no version of Daypass.
pub(super) async fn look(connection: &mut SqliteConnection, file: &Path) -> Result<Tables, Error> {
    let expected = ours().await?;
    let found = read(connection).await?;
    let judged = seen(connection, &expected, &found).await.judge();
    if let Err(unfit @ (Unfit::Foreign(_) | Unfit::Newer)) = judged {
        return Err(refusal(unfit, file));
    }
    expect_nothing_foreign(&expected, &found, file)?;
    judged.map_err(|unfit| refusal(unfit, file))
}

async fn seen(
    connection: &mut SqliteConnection,
    expected: &BTreeMap<Name, Made>,
    found: &BTreeMap<Name, Made>,
) -> Seen {
    let mut seen = Seen::default();
    for ((_, name), (table, _)) in found {
        let ours = MADE.iter().find(|(_, made, _)| made == table);
        match ours {
            Some((_, _, columns)) => {
                let key = ("table".to_owned(), table.clone());
                let is_same = found.get(&key) == expected.get(&key);
                let columns: &[&str] = if is_same { columns } else { &[] };
                let columns = columns.iter().map(|&it| it.to_owned()).collect();
                seen.tables.insert(table.clone(), columns);
            }
            None if table == STEPS => {}
            None => seen.other = Some(name.clone()),
        }
    }
    if found.keys().any(|(_, name)| name == STEPS) {
        let statement = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";
        let rows: Result<Vec<(i64, Vec<u8>, bool)>, _> =
            sqlx::query_as(statement).fetch_all(connection).await;
        match rows {
            Ok(rows) => seen.steps = Some(rows.into_iter().map(step).collect()),
            // A table that cannot be read so is not sqlx's.
            Err(_) => seen.other = Some(STEPS.to_owned()),
        }
    }
    seen
}

fn step((version, checksum, is_done): (i64, Vec<u8>, bool)) -> Step {
    Step {
        version,
        checksum,
        is_done,
    }
}

fn expect_nothing_foreign(
    expected: &BTreeMap<Name, Made>,
    found: &BTreeMap<Name, Made>,
    file: &Path,
) -> Result<(), Error> {
    for ((kind, name), made) in found {
        let known = expected.get(&(kind.clone(), name.clone()));
        let problem = match known {
            None => "which daypass does not make",
            Some(known) if known != made && name != STEPS => {
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

fn refusal(unfit: Unfit, file: &Path) -> Error {
    let file = file.display();
    let of_no_version =
        |what: String| Error::Tampered(format!("its tables are of no version of daypass ({what})"));
    match unfit {
        Unfit::Foreign(thing) => Error::Start(format!(
            "{file} is the database of another program: it has {thing:?}, which daypass does not make. Nothing was written \
             to it. Move it away; if this server has run before, put back the newest copy of its own file"
        )),
        Unfit::Newer => Error::Start(format!(
            "{file} was written by a newer version of daypass, and this one cannot read it: start the newer version. To go \
             back to this one, restore a backup that this one made (`daypass help server`)"
        )),
        Unfit::Missing(what) => of_no_version(format!("{what} is missing")),
        Unfit::Taken(table) => of_no_version(format!("its table {table:?} is of no step")),
        Unfit::Changed(step) => changed(step),
        Unfit::Undone(step) => undone(step),
    }
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
