//! Durable state, and the only writer of the ledger.
//!
//! Appends go to one writer task (`writer`) and return when they are on disk. Reads have
//! connections of their own and see what is committed. The folder holds `ledger.db`, `checkpoint`
//! (the last signed head), `snapshot` (the state), `search.db` (the search index) and `lock`.
//!
//! The ledger is in SQLite (`ledger.db`, one daemon), or in a PostgreSQL database that replicas
//! share: each has a folder of its own without `ledger.db`, and the same name and keys. Before each
//! append, its writer locks the head and takes over what other replicas appended (`following`).

mod backup;
mod database;
mod error;
mod evidence;
mod examine;
mod finding;
mod handing_over;
mod hosts;
mod inserts;
mod job;
mod ledger;
mod lock;
mod looking;
mod migrations;
mod moving;
mod opening;
mod postgres;
mod proofs;
mod recent;
mod recorded_denials;
mod replay;
mod reports;
mod scrub;
mod search;
mod signed;
mod skipping;
mod snapshots;
mod sqlite;
mod start;
mod tables;
mod tiles;
mod whole_file;
mod writer;

use std::{fs, path::Path, sync::Arc};

use aws_lc_rs::hmac;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    ca::Draft,
    ledger::{
        Event, EventKind, LedgerState, Receipt, checkpoint::Verifier, denials::DenialRate,
        event::Issued, keyring::Keyring, state::Rejection, tree::Frontier,
    },
};
pub(crate) use backup::{Copied, back_up, mark_by_hand, mark_shared_by_hand, restore};
use database::{Connection, Readers};
pub use error::Error;
pub(crate) use examine::{examine, ordered_keys};
use job::Job;
use lock::Lock;
pub(crate) use moving::{Move, expect_here};
pub(crate) use opening::{Beginning, Opening, prepare};
pub use postgres::PostgresAddress;
pub(crate) use postgres::{Held, Kept, LEASE, Mailboxes};
pub(crate) use reports::StoredReport;
pub(crate) use scrub::Scrubbed;
use signed::Signed;
use writer::{Shared, State, closed};

/// The most writes in the queue. More callers wait.
const QUEUE: usize = 1024;
/// The most leaves that one read returns.
const ENTRIES_LIMIT: u32 = 1000;

/// The store over one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None once closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    state: watch::Receiver<State>,
    shared: Shared,
    signed: Arc<Signed>,
    denials: Arc<Mutex<DenialRate>>,
    readers: Readers,
    mailboxes: Option<Mailboxes>,
    scrub: scrub::Running,
    search: search::Search,
}

impl Store {
    /// Opens `folder/ledger.db` (SQLite), takes the lock against a second daemon, checks the whole
    /// ledger against the checkpoint that was signed last (`folder/checkpoint`), starts the writer
    /// and appends `started` as its first event.
    ///
    /// # Errors
    /// Returns [`Error::Locked`] for the second daemon, [`Error::Tampered`] if the ledger is not
    /// the one that was signed, and [`Error::Unavailable`] if the disk or the database fails.
    pub async fn open(
        folder: &Path,
        keys: impl Into<Keyring>,
        started: EventKind,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        Self::open_with(folder, keys, started, now, Opening::default()).await
    }

    /// [`Store::open`] on a PostgreSQL database, which other replicas may share. The folder holds
    /// only `checkpoint` and `lock`, and belongs to this replica alone.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_on(
        folder: &Path,
        address: &PostgresAddress,
        keys: impl Into<Keyring>,
        started: EventKind,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let opening = Opening {
            postgres: Some(address),
            ..Opening::default()
        };
        Self::open_with(folder, keys, started, now, opening).await
    }

    /// [`Store::open`], with the operator's choices for this start.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::Start`] if the ledger is lost or the clock is behind it.
    pub(crate) async fn open_with(
        folder: &Path,
        keys: impl Into<Keyring>,
        started: EventKind,
        now: OffsetDateTime,
        opening: Opening<'_>,
    ) -> Result<Self, Error> {
        opening.expect_ledger(folder)?;
        fs::create_dir_all(folder)
            .map_err(|error| Error::Unavailable(format!("{}: {error}", folder.display())))?;
        let lock = Lock::take(folder)?;
        let database = opening.database(folder);
        let (store, unsigned) = Self::start(folder, lock, keys.into(), now, opening)
            .await
            .map_err(|error| database.advise(error, folder))?;
        let mark = backup::mark(folder)?;
        store
            .record(opening::filled_in(started, unsigned, mark), now)
            .await?;
        backup::forget_restored(folder)?;
        store.skip(now).await?;
        store.checkpoint().await?;
        Ok(store)
    }

    /// Records the pass that `draft` will be. The event is durable when this returns, and is kept
    /// even if the caller is gone by then.
    ///
    /// # Errors
    /// On an error there is no receipt, so no pass. Returns [`Error::Rejection`] if the ledger's
    /// state forbids the pass; the event is the refusal then.
    pub async fn issue(
        &self,
        draft: Draft,
        issued: impl Into<Box<Issued>>,
        now: OffsetDateTime,
    ) -> Result<(Draft, Receipt), Error> {
        self.submit(|answer| Job::Issue {
            draft,
            issued: issued.into(),
            at: now,
            answer,
        })
        .await
    }

    /// Records any other event, and returns its index when it is durable.
    ///
    /// # Errors
    /// On an error the event may or may not be in the ledger. Returns [`Error::Rejection`] if the
    /// ledger's state forbids it.
    pub async fn record(&self, what: EventKind, now: OffsetDateTime) -> Result<u64, Error> {
        let event = self.compose(|_| Ok(what), now).await?;
        Ok(event.index)
    }

    /// Records the event that `compose` makes from the ledger's state just before it, and returns
    /// it when it is durable.
    ///
    /// # Errors
    /// As [`Store::record`]. If `compose` refuses, returns [`Error::Rejection`] and records no
    /// event.
    pub async fn compose(
        &self,
        compose: impl FnOnce(&LedgerState) -> Result<EventKind, Rejection> + Send + 'static,
        now: OffsetDateTime,
    ) -> Result<Event, Error> {
        self.compose_at(|_, state| compose(state), now).await
    }

    /// [`Store::compose`] of an event that depends on its index too.
    async fn compose_at(
        &self,
        compose: impl FnOnce(u64, &LedgerState) -> Result<EventKind, Rejection> + Send + 'static,
        now: OffsetDateTime,
    ) -> Result<Event, Error> {
        let compose = Box::new(compose);
        self.submit(|answer| Job::Record {
            compose,
            at: now,
            answer,
        })
        .await
    }

    /// Takes over every event that another server of this ledger has committed before the call. To
    /// be called before an answer that must not be older than another server's.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer.
    pub(crate) async fn follow(&self) -> Result<(), Error> {
        match self.is_shared() {
            true => self.submit(|answer| Job::Follow { answer }).await,
            false => Ok(()),
        }
    }

    /// Calls `look` with the state after the last commit. The writer checks again.
    pub fn state<T>(&self, look: impl FnOnce(&LedgerState) -> T) -> T {
        look(self.0.shared.read().state())
    }

    async fn submit<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Job,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.0.jobs.lock().clone().ok_or_else(closed)?;
        jobs.send(job(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// A signed checkpoint that covers at least what is committed now, by any server of the ledger.
    /// It is on disk before this returns.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the file cannot be written, or a shared database does not
    /// answer.
    pub(crate) async fn checkpoint(&self) -> Result<String, Error> {
        self.follow().await?;
        self.0.signed.sign(|| (self.head(), self.handovers())).await
    }

    fn head(&self) -> Frontier {
        self.0.state.borrow().head.clone()
    }

    /// The number of committed events.
    pub fn size(&self) -> u64 {
        self.0.state.borrow().head.size()
    }

    /// The leaves `[from, from + limit)` in order, as (index, stored bytes); fewer at the end. At
    /// most 1000 at once.
    ///
    /// # Errors
    /// Returns [`Error::Range`] if `from` is over the size.
    pub async fn entries(&self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let size = self.size();
        if from > size {
            return Err(Error::Range { size });
        }
        let to = size.min(from.saturating_add(limit.min(ENTRIES_LIMIT).into()));
        self.read(|| async move { ledger::entries(&mut self.reader().await?, from, to).await })
            .await
    }

    /// A connection for one attempt of [`Store::read`].
    async fn reader(&self) -> Result<Connection, Error> {
        self.0.readers.acquire().await
    }

    /// Waits until `holds` after some commit; false if the store was closed before.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) -> bool {
        let mut state = self.0.state.clone();
        while !holds() {
            if state.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// True if other servers may append to this ledger.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.readers.are_shared()
    }

    /// The mailboxes of webhooks, if servers share them.
    pub(crate) fn mailboxes(&self) -> Option<Mailboxes> {
        self.0.mailboxes.clone()
    }

    /// A secret that every server of this ledger has, and no other, for each label.
    pub(crate) fn secret(&self, label: &str) -> hmac::Tag {
        self.0.signed.secret(label)
    }

    /// The key that verifies this ledger's newest checkpoint.
    pub fn verifier(&self) -> Verifier {
        self.0.signed.verifier(&self.handovers())
    }

    /// True if appends can work now and the scrub found no damage (readiness).
    pub(crate) fn is_ready(&self) -> bool {
        let writer_lives = self.0.state.has_changed().is_ok();
        writer_lives && self.0.state.borrow().fault.is_none() && self.scrubbed().damage.is_none()
    }

    /// The progress of the scrub, and the damage that it or the check of the search index found.
    pub(crate) fn scrubbed(&self) -> Scrubbed {
        let mut scrubbed = self.0.scrub.scrubbed();
        let of_index = || self.0.search.damage();
        scrubbed.damage = scrubbed.damage.or_else(of_index);
        scrubbed
    }

    /// Resolves when the writer has ended, by [`Store::close`] or by a bug: nothing can be appended
    /// from then on.
    pub(crate) async fn ended(&self) {
        let mut state = self.0.state.clone();
        while state.changed().await.is_ok() {}
    }

    /// Ends the writer as a bug in it would, for tests.
    #[cfg(test)]
    pub(crate) fn lose_writer(&self) {
        if let Some(writer) = self.0.writer.lock().as_ref() {
            writer.abort();
        }
    }

    /// Closes the store in order: records the denials that were only counted so far, refuses new
    /// writes, commits those in the queue, signs the head, moves the log into the database and
    /// releases the lock.
    pub async fn close(&self) {
        self.record_last_denials().await;
        self.0.scrub.stop();
        self.0.search.stop();
        drop(self.0.jobs.lock().take());
        self.0.readers.close().await;
        if let Some(mailboxes) = &self.0.mailboxes {
            mailboxes.close().await;
        }
        let writer = self.0.writer.lock().take();
        if let Some(Err(error)) = match writer {
            Some(writer) => Some(writer.await),
            None => None,
        } {
            tracing::error!(%error, "the ledger's writer ended badly");
        }
    }
}

#[cfg(test)]
mod tests;
