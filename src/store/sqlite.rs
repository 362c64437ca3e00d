//! SQLite, the embedded engine: its connections and their settings. SQL that only SQLite knows is
//! here and in `schema`.

mod schema;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use tokio::time::{sleep, timeout};

use super::{
    Error,
    migrations::{MIGRATIONS, changed, undone},
    tables::Tables,
};
use crate::modes;

/// The name of the database file in a store's folder.
pub(super) const FILE: &str = "ledger.db";

/// Deadline for another connection's lock on the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Delay before a busy database is asked again.
const RETRY: Duration = Duration::from_millis(20);

/// The number of reads that run at once.
const READERS: u32 = 4;

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(PATIENCE)
        .disable_statement_logging()
}

/// Opens the one connection that writes. The tables are those of this version, or of an older one
/// and not yet brought up to date ([`migrate`]).
///
/// A commit waits for the disk (`synchronous=FULL`). The log is moved into the file when the writer
/// says so ([`flush`]), never inside a commit.
///
/// # Errors
/// Returns [`Error::Unavailable`] with the name of a thing in the database that Daypass did not
/// make.
pub(super) async fn open_writer(file: &Path) -> Result<SqliteConnection, Error> {
    expect_ours(file).await?;
    make_private(file)?;
    let mut connection = options(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "0")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .connect()
        .await?;
    look(&mut connection, file).await?;
    flush(&mut connection, Flush::Whole).await?;
    Ok(connection)
}

/// Says what the database holds.
///
/// # Errors
/// Returns an error if it is not Daypass', or if another program changed it.
pub(super) async fn look(connection: &mut SqliteConnection, file: &Path) -> Result<Tables, Error> {
    schema::look(connection, file).await
}

/// Looks at a file that is there already and changes nothing of it, neither its mode nor its
/// journal: it may be another program's.
async fn expect_ours(file: &Path) -> Result<(), Error> {
    if is_empty(file) {
        return Ok(());
    }
    let looked = match open_to_look(file).await {
        Ok(mut connection) => {
            let looked = look(&mut connection, file).await;
            connection.close().await.ok();
            looked
        }
        Err(error) => Err(error),
    };
    match looked {
        Err(error @ (Error::Start(_) | Error::Tampered(_))) => Err(error),
        // A file that cannot be looked at so, such as one with a journal to roll back, has its
        // error when it is opened to write.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// True if the file has no content, or is not there.
pub(super) fn is_empty(file: &Path) -> bool {
    file.metadata().map_or(true, |it| it.len() == 0)
}

/// Makes the file first, because SQLite would make it by the umask. The log and its index take the
/// database's mode.
pub(super) fn make_private(file: &Path) -> Result<(), Error> {
    let beside = ["-wal", "-shm"].map(|suffix| {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    });
    let beside = beside.iter().map(PathBuf::as_path);
    for path in std::iter::once(file).chain(beside.filter(|path| path.exists())) {
        modes::make_own(path)
            .map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// Brings the tables up to date.
pub(super) async fn migrate(connection: &mut SqliteConnection, file: &Path) -> Result<(), Error> {
    let migrated = MIGRATIONS.run_direct(None, connection, false).await;
    migrated.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error)
        | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            // The statements are valid, so the database is not.
            match is_of_other_form(&error) {
                true => {
                    Error::Tampered(format!("its tables are of no version of daypass ({error})"))
                }
                false => error.into(),
            }
        }
        sqlx::migrate::MigrateError::VersionMismatch(step) => changed(step),
        sqlx::migrate::MigrateError::Dirty(step) => undone(step),
        other => Error::Unavailable(format!("{}: {other}", file.display())),
    })
}

/// Opens one connection that can only read.
///
/// # Errors
/// Returns [`Error::Unavailable`] if the file cannot be opened.
pub(super) async fn open_reader(file: &Path) -> Result<SqliteConnection, Error> {
    Ok(options(file).read_only(true).connect().await?)
}

/// As [`open_reader`], and makes no file beside a database that is not in use.
///
/// # Errors
/// Returns [`Error::Unavailable`] if the file cannot be opened.
pub(super) async fn open_to_look(file: &Path) -> Result<SqliteConnection, Error> {
    // Without a log, the file is all of it.
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let is_whole = !Path::new(&log).exists();
    let options = options(file).read_only(true).immutable(is_whole);
    Ok(options.connect().await?)
}

/// Opens connections that can only read.
pub(super) fn open_readers(file: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options(file).read_only(true))
}

/// Part of the write-ahead log to move into the database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    /// The part that no reader still needs. Never waits.
    Some,
    /// All of it, or an error. Writes and syncs every page of the log again, so that pages of an
    /// earlier failed sync are on disk afterwards.
    Whole,
}

/// Moves the write-ahead log into the database file.
///
/// SQLite does not wait for a checkpoint of another connection (one that closes makes one), so this
/// does.
pub(super) async fn flush(connection: &mut SqliteConnection, flush: Flush) -> Result<(), Error> {
    match flush {
        Flush::Some => {
            checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
            Ok(())
        }
        Flush::Whole => timeout(PATIENCE, flush_whole(connection))
            .await
            .unwrap_or_else(|_| {
                Err(Error::Unavailable(
                    "another process holds the database".to_owned(),
                ))
            }),
    }
}

async fn flush_whole(connection: &mut SqliteConnection) -> Result<(), Error> {
    while !checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await? {
        sleep(RETRY).await;
    }
    Ok(())
}

/// True if the checkpoint is complete.
async fn checkpoint(
    connection: &mut SqliteConnection,
    pragma: &'static str,
) -> Result<bool, Error> {
    let (busy, _, _): (i64, i64, i64) = sqlx::query_as(pragma).fetch_one(connection).await?;
    Ok(busy == 0)
}

/// Commits the transaction, and waits for the disk.
pub(super) async fn commit(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}

/// `SQLITE_CORRUPT` (11) and `SQLITE_NOTADB` (26): the file is not what was written.
pub(super) fn is_damaged(error: &sqlx::Error) -> bool {
    let code = code(error).and_then(|code| code.parse::<u32>().ok());
    // The low byte is the kind: SQLITE_CORRUPT or SQLITE_NOTADB. SQLITE_IOERR_SHORT_READ is a file
    // that ends too early.
    code.is_some_and(|code| matches!(code & 0xff, 11 | 26) || code == 522)
}

/// `SQLITE_ERROR`: for a valid statement, a table or column that it names is missing.
pub(super) fn is_of_other_form(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("1")
}

/// SQLite's result code.
fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}
