//! A copy of the ledger while the daemon runs, and its way back into an empty folder.
//!
//! The copy is one consistent state of the database (`VACUUM INTO`) and a checkpoint that it
//! contains. Both are checked as a start checks them, when the copy is made and before it is put
//! back.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use sqlx::Connection as _;

use super::{
    Error,
    database::{Connection, Database},
    ledger,
    lock::Lock,
    postgres::PostgresAddress,
    replay::{self, Replayed},
    signed::Signed,
    snapshots, sqlite,
    tables::Tables,
    whole_file::{failed, has, sync, write},
};
use crate::{
    ledger::{
        handover::Handover,
        judge::Judge,
        keyring::{Keyring, SignedHead},
        tree::{Frontier, Hash},
    },
    modes::{self, IfThere},
};

/// The database while it is put back.
const PART: &str = "ledger.db.restoring";

/// The files of a copy.
const DATABASE: &str = sqlite::FILE;
const CHECKPOINT: &str = "checkpoint";

/// Says to the next start that the folder holds a restored copy.
const RESTORED: &str = "restored";

/// Content of that file if an older copy was put back by hand.
const BY_HAND: &[u8] = b"by hand\n";

/// The ledger in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    /// The number of its events.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The handovers of its key.
    pub handovers: Vec<Handover>,
}

impl From<Replayed> for Copied {
    fn from(read: Replayed) -> Self {
        Self {
            size: read.head.size(),
            root: read.head.root(),
            handovers: read.judge.state().handovers().to_vec(),
        }
    }
}

/// Copies the ledger of `folder` into the folder `to`, which has neither file yet. The daemon may
/// run.
///
/// # Errors
/// Returns [`Error::Unavailable`] if a file cannot be read or written, and [`Error::Tampered`] if
/// the ledger is not the one that was signed. What was written is removed then.
pub(crate) async fn back_up(folder: &Path, to: &Path, keys: Keyring) -> Result<Copied, Error> {
    let copied = copy(folder, to, keys).await;
    if copied.is_err() {
        for name in [DATABASE, CHECKPOINT] {
            let _ = fs::remove_file(to.join(name));
        }
    }
    copied
}

async fn copy(folder: &Path, to: &Path, keys: Keyring) -> Result<Copied, Error> {
    // First the checkpoint: the database that is copied after it contains it.
    let checkpoint = fs::read(folder.join(CHECKPOINT)).map_err(failed(&folder.join(CHECKPOINT)))?;
    let (database, copy) = (folder.join(DATABASE), to.join(DATABASE));
    let mut connection = sqlite::open_reader(&database).await?;
    modes::make_own(&copy).map_err(failed(&copy))?;
    let copied = sqlx::query("VACUUM INTO ?")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await;
    connection.close().await?;
    copied?;
    sync(&copy)?;
    write(&to.join(CHECKPOINT), &checkpoint)?;
    sync(to)?;
    check(to, keys).await
}

/// Puts a copy back into `folder`, which has no ledger and no daemon, and marks it as restored. A
/// restore that was interrupted is done again.
///
/// # Errors
/// Returns [`Error::Locked`] if a daemon runs, [`Error::Start`] if there is a ledger already,
/// [`Error::Tampered`] if the copy is not the one that was signed by this key, and
/// [`Error::Unavailable`] if a file cannot be read or written.
pub(crate) async fn restore(from: &Path, folder: &Path, keys: Keyring) -> Result<Copied, Error> {
    let lock = Lock::take(folder)?;
    let has_ledger = has(folder, DATABASE) || has(folder, CHECKPOINT);
    if has_ledger && !is_interrupted(folder) {
        return Err(Error::Start(format!(
            "there is a ledger in {} already: move the folder away first, and keep it",
            folder.display()
        )));
    }
    let copied = check(from, keys).await?;
    if let Err(error) = put_back(from, folder) {
        for name in [CHECKPOINT, PART, DATABASE, RESTORED] {
            let _ = fs::remove_file(folder.join(name));
        }
        return Err(error);
    }
    drop(lock);
    Ok(copied)
}

/// Marks the ledger in `folder`, which has no daemon, as an older copy that was put back by hand.
///
/// # Errors
/// Returns [`Error::Locked`] if a daemon runs, [`Error::Start`] if there is no ledger, and
/// [`Error::Tampered`] if it is not the one that was signed by this key.
pub(crate) async fn mark_by_hand(folder: &Path, keys: Keyring) -> Result<Copied, Error> {
    let _lock = Lock::take(folder)?;
    if folder.join(DATABASE).symlink_metadata().is_err() {
        return Err(Error::Start(format!(
            "there is no ledger in {}: put back ledger.db and checkpoint first",
            folder.display()
        )));
    }
    let copied = check(folder, keys).await?;
    write(&folder.join(RESTORED), BY_HAND)?;
    sync(folder)?;
    Ok(copied)
}

/// [`mark_by_hand`] for a database that servers share, which was put back to an older state. Puts
/// aside what this folder knows of the lost ledger.
///
/// # Errors
/// As [`mark_by_hand`].
pub(crate) async fn mark_shared_by_hand(
    folder: &Path,
    address: &PostgresAddress,
    keys: Keyring,
) -> Result<Copied, Error> {
    let _lock = Lock::take(folder)?;
    let (signed, _) = Signed::open(folder, keys)?;
    let copied = read_shared(address, &signed).await?;
    for name in [CHECKPOINT, snapshots::FILE] {
        let (path, aside) = (folder.join(name), folder.join(format!("{name}.lost")));
        if has(folder, name) {
            fs::rename(&path, aside).map_err(failed(&path))?;
        }
    }
    write(&folder.join(RESTORED), BY_HAND)?;
    sync(folder)?;
    Ok(copied)
}

/// Reads the ledger that was put back.
async fn read_shared(address: &PostgresAddress, signed: &Signed) -> Result<Copied, Error> {
    let database = Database::Postgres(address.clone());
    let mut connection = database.open().await?;
    let read = async {
        let none = || {
            Error::Start(format!(
                "there is no ledger in the {address}: correct the address, or put the database back first. Nothing was \
                 changed"
            ))
        };
        match database.look(&mut connection).await? {
            Tables::None => return Err(none()),
            Tables::Older { .. } | Tables::Current => {}
        }
        connection.begin_reading().await?;
        let copied = Copied::from(read(&mut connection, None, signed).await?);
        match copied.size {
            0 => Err(none()),
            _ => Ok(copied),
        }
    };
    let read = read.await.map_err(|error| address.named(error));
    connection.close().await.ok();
    read
}

/// Mark of a restored copy that no daemon has started on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The next start is the first one on it.
    Restored,
    /// A start on it may be in it already.
    ByHand,
}

/// The mark in the folder; `None` if there is none.
///
/// # Errors
/// Returns [`Error::Unavailable`] if it cannot be read.
pub(super) fn mark(folder: &Path) -> Result<Option<Mark>, Error> {
    let path = folder.join(RESTORED);
    match fs::read(&path) {
        Ok(bytes) if bytes.is_empty() => Ok(Some(Mark::Restored)),
        Ok(_) => Ok(Some(Mark::ByHand)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path)(error)),
    }
}

/// Puts the mark first and the database last, so that no start takes a part for the whole.
fn put_back(from: &Path, folder: &Path) -> Result<(), Error> {
    write(&folder.join(RESTORED), b"")?;
    put(&from.join(CHECKPOINT), &folder.join(CHECKPOINT))?;
    put(&from.join(DATABASE), &folder.join(PART))?;
    sync(folder)?;
    let database = folder.join(DATABASE);
    fs::rename(folder.join(PART), &database).map_err(failed(&database))?;
    sync(folder)
}

/// Whether a restore into the folder was interrupted.
pub(super) fn is_interrupted(folder: &Path) -> bool {
    has(folder, RESTORED) && !has(folder, DATABASE)
}

/// Takes the mark away: the ledger says it from now on.
///
/// # Errors
/// Returns [`Error::Unavailable`] if the folder cannot be written.
pub(super) fn forget_restored(folder: &Path) -> Result<(), Error> {
    let path = folder.join(RESTORED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads a whole copy and compares it with what was signed.
async fn check(folder: &Path, keys: Keyring) -> Result<Copied, Error> {
    let (signed, checkpoint) = Signed::open(folder, keys)?;
    let database = Database::in_folder(folder);
    database.expect_content(checkpoint.as_ref())?;
    let mut connection = Connection::Sqlite(sqlite::open_reader(&folder.join(DATABASE)).await?);
    let read = async {
        if database.look(&mut connection).await? == Tables::None {
            database.expect_known_ledger(checkpoint.as_ref())?;
        }
        read(&mut connection, checkpoint, &signed).await
    };
    let read = read.await;
    connection.close().await?;
    Ok(read?.into())
}

/// Reads the whole ledger and checks it as a start does.
pub(super) async fn read(
    connection: &mut Connection,
    checkpoint: Option<SignedHead>,
    signed: &Signed,
) -> Result<Replayed, Error> {
    let heads = replay::Signed {
        head: ledger::signed_head(connection, &signed.verifiers()).await?,
        checkpoint,
    };
    let (start, judge) = (Frontier::default(), Judge::default());
    let replayed = replay::replay(connection, start, judge, &heads, &|_| ()).await?;
    signed.expect_keys(replayed.judge.state(), &heads.heads())?;
    Ok(replayed)
}

fn put(from: &Path, to: &Path) -> Result<(), Error> {
    let mut source = File::open(from).map_err(failed(from))?;
    let mut file = modes::create_own(to, IfThere::Empty).map_err(failed(to))?;
    io::copy(&mut source, &mut file).map_err(failed(to))?;
    file.sync_all().map_err(failed(to))
}
