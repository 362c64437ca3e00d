//! Moves the ledger of a state folder into a database that servers share, with the daemon stopped.
//!
//! All events arrive in one transaction, which ends only if the database gives back the ledger that
//! was signed. A mark in the folder forbids every start over the old file from before the commit
//! on: two ledgers that continue one history are a fork. A move that was interrupted is done again.

use std::{fs, path::Path};

use super::{
    Error,
    backup::{self, Copied},
    database::{Connection, Database},
    inserts::{Inserts, Row},
    ledger,
    lock::Lock,
    postgres::PostgresAddress,
    signed::Signed,
    sqlite,
    tables::Tables,
    whole_file::{failed, has, sync, write},
};
use crate::ledger::{
    keyring::Keyring,
    tree::{Frontier, Hash},
};

/// The mark in the folder, with the name of the database.
const MARK: &str = "moved";

/// The old database afterwards. No version of Daypass opens a file of this name.
const KEPT: &str = "ledger.db.moved";

/// The number of events that are read at once.
const PAGE: u64 = 1000;

/// The ledger to move, and what goes with it.
pub(crate) struct Move<'a> {
    /// The state folder.
    pub folder: &'a Path,
    /// The empty database.
    pub address: &'a PostgresAddress,
    /// The mailboxes of webhooks: name and content.
    pub mailboxes: Vec<(String, String)>,
    /// Called now and then with the number of events copied.
    pub progress: &'a (dyn Fn(u64) + Send + Sync),
}

impl Move<'_> {
    /// Moves the ledger. If an earlier move was interrupted, ends it.
    ///
    /// # Errors
    /// Returns [`Error::Locked`] if a daemon runs, [`Error::Start`] if there is no ledger to move
    /// or the database is not empty, [`Error::Tampered`] if the ledger is not the one that was
    /// signed, and [`Error::Unavailable`] if a file or the database fails. The ledger is where it
    /// was then; if the last commit got no answer, the mark stays, and the next call decides.
    pub(crate) async fn run(self, keys: Keyring) -> Result<Copied, Error> {
        let _lock = Lock::take(self.folder)?;
        self.expect_a_ledger()?;
        let (signed, checkpoint) = Signed::open(self.folder, keys)?;
        let old = Database::in_folder(self.folder);
        old.expect_content(checkpoint.as_ref())?;
        let mut from = old.open().await?;
        let tables = old.look(&mut from).await?;
        if tables == Tables::None {
            old.expect_known_ledger(checkpoint.as_ref())?;
            old.migrate(&mut from).await?;
        }
        if tables.lack_head() {
            return Err(Error::Start(
                "the ledger is of an older version of daypass: start this version once without [store], and stop it"
                    .to_owned(),
            ));
        }
        let source = backup::read(&mut from, checkpoint, &signed).await?;
        if let Some(event) = source.unsigned.first() {
            return Err(event.tampered());
        }
        let target = Database::Postgres(self.address.clone());
        let mut to = target.open().await?;
        let moved = self.move_to((&target, &mut to), &mut from, (&signed, &source.head));
        moved.await?;
        to.close().await.ok();
        from.close().await?;
        self.retire()?;
        Ok(source.into())
    }

    /// Copies the ledger, if an earlier call has not. A database with another one stays as it is.
    async fn move_to(
        &self,
        (target, to): (&Database, &mut Connection),
        from: &mut Connection,
        (signed, source): (&Signed, &Frontier),
    ) -> Result<(), Error> {
        let ready = self.make_ready((target, to), (signed, source)).await;
        let is_moved = ready.map_err(|error| target.named(error))?;
        match is_moved {
            true => Ok(()),
            false => self.copy(from, to, signed, source).await,
        }
    }

    /// Makes the tables of an empty database. True if it has this ledger from an earlier move.
    async fn make_ready(
        &self,
        (target, to): (&Database, &mut Connection),
        (signed, source): (&Signed, &Frontier),
    ) -> Result<bool, Error> {
        let tables = target.look(to).await?;
        let is_moved = match tables {
            Tables::None => false,
            Tables::Older { .. } | Tables::Current => {
                self.is_moved((to, tables), signed, source).await?
            }
        };
        to.expect_rights(tables).await?;
        if tables != Tables::Current {
            target.migrate(to).await?;
        }
        Ok(is_moved)
    }

    fn expect_a_ledger(&self) -> Result<(), Error> {
        let (folder, has) = (self.folder.display(), |name| has(self.folder, name));
        if backup::is_interrupted(self.folder) {
            return Err(Error::Start(format!(
                "a restore into {folder} was interrupted: run the same daypass restore again, then this"
            )));
        }
        match (has(sqlite::FILE), has(KEPT)) {
            (true, false) => Ok(()),
            (true, true) => Err(Error::Start(format!(
                "{folder} has both {} and {KEPT}: move the one away that is not this server's ledger, and keep it",
                sqlite::FILE
            ))),
            (false, true) => Err(Error::Start(format!(
                "the ledger of {folder} was moved to the {}: start the server",
                moved_to(self.folder)?
            ))),
            (false, false) => Err(Error::Start(format!(
                "there is no ledger in {folder}: a new server with [store] needs no move, start it"
            ))),
        }
    }

    /// True if the database has this ledger from an earlier move, and false if it is empty.
    async fn is_moved(
        &self,
        (to, tables): (&mut Connection, Tables),
        signed: &Signed,
        source: &Frontier,
    ) -> Result<bool, Error> {
        let not_empty = |what: &str| {
            Error::Start(format!(
                "the {} is not empty: {what}. Nothing was changed. Name an empty database, or to add this server to that \
                 ledger, give it a new state folder (`daypass help server`, Several servers)",
                self.address
            ))
        };
        let head = match tables.lack_head() {
            true => None,
            false => match ledger::signed_head(to, &signed.verifiers()).await {
                Err(Error::Tampered(what)) => return Err(not_empty(&what)),
                head => head?,
            },
        };
        let Some(head) = head else {
            return match ledger::count(to).await? {
                0 => Ok(false),
                count => Err(not_empty(&format!("it has {count} events"))),
            };
        };
        let stored = ledger::stored_frontier(to, source.size()).await?;
        let is_ours = stored.is_some_and(|stored| stored.root() == source.root());
        match has(self.folder, MARK) && head.size >= source.size() && is_ours {
            true => Ok(true),
            false => Err(not_empty(&format!(
                "it has a ledger of {} events",
                head.size
            ))),
        }
    }

    async fn copy(
        &self,
        from: &mut Connection,
        to: &mut Connection,
        signed: &Signed,
        source: &Frontier,
    ) -> Result<(), Error> {
        let note = ledger::head_note(from).await?;
        let was_marked = has(self.folder, MARK);
        write(
            &self.folder.join(MARK),
            format!("{}\n", self.address).as_bytes(),
        )?;
        sync(self.folder)?;
        let filled = self.fill(from, to, (signed, source), note).await;
        if let Err(error) = filled {
            // Nothing was committed. Only a commit of an earlier call may be under way.
            if !was_marked {
                remove(self.folder)?;
            }
            return Err(error);
        }
        to.commit().await.map_err(|error| match error {
            Error::Unavailable(what) => Error::Unavailable(format!(
                "{what}. Whether the ledger has arrived is not known: run this command again"
            )),
            other => other,
        })
    }

    /// Fills the database in a transaction that stays open, and reads it back, event by event.
    async fn fill(
        &self,
        from: &mut Connection,
        to: &mut Connection,
        (signed, source): (&Signed, &Frontier),
        note: String,
    ) -> Result<(), Error> {
        to.begin_locked().await?;
        to.lift_deadlines().await?;
        if ledger::count(to).await? > 0 {
            return Err(Error::Unavailable(
                "another program has just written to the database: run this command again"
                    .to_owned(),
            ));
        }
        let inserts = Inserts::new();
        let mut at = 0;
        while at < source.size() {
            let next = source.size().min(at + PAGE);
            let page = ledger::page(from, at, next).await?;
            let rows = page.into_iter().map(row).collect();
            inserts.append(to, None, rows, None).await?;
            at = next;
            (self.progress)(at);
        }
        inserts.append(to, None, Vec::new(), Some(note)).await?;
        for (name, content) in &self.mailboxes {
            to.put_mailbox(name, content).await?;
        }
        // Every event is judged again, as the database gives it back.
        let arrived = backup::read(to, None, signed).await?;
        match arrived.head == *source && arrived.judged == source.size() {
            true => Ok(()),
            false => Err(Error::Unavailable(
                "the database gives back another ledger than it got".to_owned(),
            )),
        }
    }

    /// Puts the old database aside.
    fn retire(&self) -> Result<(), Error> {
        let (old, kept) = (self.folder.join(sqlite::FILE), self.folder.join(KEPT));
        fs::rename(&old, &kept).map_err(failed(&old))?;
        sync(self.folder)
    }
}

/// Refuses a folder whose ledger was moved to a shared database, or is on its way there.
///
/// # Errors
/// Returns [`Error::Start`] with what to do.
pub(crate) fn expect_here(folder: &Path) -> Result<(), Error> {
    if !has(folder, MARK) {
        return Ok(());
    }
    Err(Error::Start(format!(
        "the ledger of {folder} was moved to the {database}: put [store] with its address back into the configuration. A \
         start over the old file would fork the ledger, and clients and hosts would raise the alarm. If `daypass migrate` \
         did not end, run it again first",
        folder = folder.display(),
        database = moved_to(folder)?
    )))
}

/// Refuses to use a shared database beside a ledger that was not moved to it, or not to the end.
///
/// # Errors
/// Returns [`Error::Start`] with what to do.
pub(super) fn expect_moved(folder: &Path) -> Result<(), Error> {
    match has(folder, sqlite::FILE) {
        false => Ok(()),
        true => Err(Error::Start(format!(
            "the ledger of this server is in {folder}, and [store] names a shared database: move it there with `daypass \
             migrate`. If this server is a new one of a ledger that is there already, give it an empty state folder",
            folder = folder.display()
        ))),
    }
}

fn row((index, event, hashes): (u64, Vec<u8>, Vec<u8>)) -> Row {
    let (hashes, _): (&[Hash], _) = hashes.as_chunks::<32>();
    let hashes = hashes.to_vec();
    Row {
        index,
        event,
        hashes,
    }
}

/// The database in the mark, for people.
fn moved_to(folder: &Path) -> Result<String, Error> {
    let path = folder.join(MARK);
    let text = fs::read(&path).map_err(failed(&path))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text
        .trim()
        .chars()
        .take(400)
        .filter(|it| !it.is_control())
        .collect())
}

fn remove(folder: &Path) -> Result<(), Error> {
    let path = folder.join(MARK);
    fs::remove_file(&path).map_err(failed(&path))?;
    sync(folder)
}
