//! The search index: a SQLite file beside the ledger (`search.db`), filled from committed leaves by
//! a task in the background, so that appends pay nothing for it.
//!
//! It is derived data. A file that is missing, damaged or of another version is made again, it is
//! in no backup, and each replica has its own. What it finds is read from the ledger and checked
//! there; a second task finds what it hides (`checking`).

mod checking;
mod fault;
mod file;
mod lenders;
mod progress;
mod question;
mod rows;
mod stretches;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{Error, database::Readers, ledger, recent::Recent, sqlite, writer::State};
use crate::ledger::{
    search::{Question, Term},
    tree::leaf_hash,
};
use fault::fault;
use lenders::lenders;
pub(crate) use progress::Found;
use progress::Progress;
use rows::Rows;

/// Events that are indexed in one transaction. Their rows are sorted, so that a large batch writes
/// each page of the index less often.
const BATCH: u64 = 4096;

/// Delay after the ledger has grown, so that a busy ledger is indexed in large batches and not once
/// per commit. A question ends it.
const BREATH: Duration = Duration::from_millis(250);

/// The time after which a failed index is opened again.
const RETRY: Duration = Duration::from_secs(10);

/// The longest that a question waits for the index to reach the head, if it is near.
const PATIENCE: Duration = Duration::from_secs(1);

/// Events that are indexed in a moment.
pub(super) const NEAR: u64 = 2048;

/// Events that the index lacks, proposed at once.
const UNINDEXED: u64 = 1000;

/// Terms of a group that are looked up for each of many events. With more, reading the events is
/// faster.
const FEW: usize = 8;

/// The index of one ledger. Its tasks end when this is dropped.
#[derive(Debug)]
pub(super) struct Search {
    progress: watch::Receiver<Progress>,
    damage: Arc<Mutex<Option<String>>>,
    asked: Arc<Notify>,
    /// Told of a file that must be made again.
    failed: Arc<Notify>,
    path: PathBuf,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Search {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Search {
    /// Begins to fill the index.
    pub(super) fn begin(
        folder: &Path,
        ledger: Readers,
        (head, recent): (watch::Receiver<State>, Recent),
    ) -> Self {
        let (sender, progress) = watch::channel(Progress::default());
        let damage: Arc<Mutex<Option<String>>> = Arc::default();
        let path = folder.join(file::NAME);
        // Before the first question. The follower meets an error again, and tells it.
        sqlite::make_private(&path).ok();
        let (asked, failed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let check = checking::Check {
            ledger: ledger.clone(),
            progress: progress.clone(),
            damage: Arc::clone(&damage),
            failed: Arc::clone(&failed),
        };
        let follower = Follower {
            asked: Arc::clone(&asked),
            failed: Arc::clone(&failed),
            path: path.clone(),
            ledger,
            head,
            recent,
            progress: sender,
        };
        Self {
            progress,
            damage,
            asked,
            failed,
            path,
            tasks: [tokio::spawn(follower.run()), tokio::spawn(check.run())],
        }
    }

    /// The difference from the ledger that the check found.
    pub(super) fn damage(&self) -> Option<String> {
        self.damage.lock().clone()
    }

    /// The number of events that the index has; none while there is no file to ask.
    pub(super) fn indexed(&self) -> Option<u64> {
        let progress = self.progress.borrow();
        progress.readers.as_ref().map(|_| progress.size)
    }

    pub(super) fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Searches from index `from` down, below `size`. Ends before the last event if there are
    /// `limit`, or if it took too long. Proposes each event that the index lacks, so that it may be
    /// read instead: while the index is filled, and after its file was damaged.
    pub(super) async fn find(
        &self,
        question: &Question,
        (from, size): (u64, u64),
        limit: usize,
    ) -> Found {
        let Some(from) = size.checked_sub(1).map(|last| from.min(last)) else {
            return Found::default();
        };
        let Progress {
            size: indexed,
            readers,
            file,
        } = self.filled(size).await;
        let Some(readers) = readers.filter(|_| from < indexed) else {
            return unindexed(from, indexed, limit);
        };
        match asked(&readers, question, from, limit).await.map_err(fault) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the search index does not answer");
                let is_damaged = matches!(error, Error::Tampered(_));
                let is_gone = file::identity(&self.path) != file;
                if (is_damaged || is_gone) && !readers.is_closed() {
                    self.failed.notify_one();
                }
                unindexed(from, 0, limit)
            }
        }
    }

    /// Of these indices, those that may have a term of each group. All if the index cannot tell.
    pub(super) async fn having(&self, groups: &[&[Term]], indices: Vec<u64>) -> Vec<u64> {
        let Progress { size, readers, .. } = self.progress.borrow().clone();
        let groups: Vec<_> = groups
            .iter()
            .filter(|it| it.len() <= FEW)
            .copied()
            .collect();
        let is_indexed = indices.iter().all(|at| *at < size);
        let Some(readers) = readers.filter(|_| is_indexed && !groups.is_empty()) else {
            return indices;
        };
        let having = async {
            let mut connection = readers.acquire().await?;
            question::having(&mut connection, &groups, &indices).await
        };
        // A question meets the error again, and tells it.
        having.await.unwrap_or(indices)
    }

    /// The state of the index, after a wait if it is near `size`.
    async fn filled(&self, size: u64) -> Progress {
        self.asked.notify_one();
        let mut progress = self.progress.clone();
        let reached = |progress: &Progress| {
            let missing = size.saturating_sub(progress.size);
            missing == 0 && progress.readers.is_some() || missing > NEAR
        };
        timeout(PATIENCE, progress.wait_for(reached)).await.ok();
        self.progress.borrow().clone()
    }
}

async fn asked(
    readers: &SqlitePool,
    question: &Question,
    from: u64,
    limit: usize,
) -> Result<Found, sqlx::Error> {
    let mut connection = readers.acquire().await?;
    question::find(&mut connection, question, from, limit).await
}

/// Every index from `from` down to the indexed ones, in bounded parts.
fn unindexed(from: u64, indexed: u64, limit: usize) -> Found {
    let count = UNINDEXED.min(limit as u64).max(1);
    let bottom = from.saturating_add(1).saturating_sub(count).max(indexed);
    Found {
        positions: (bottom..=from).rev().collect(),
        next: bottom.checked_sub(1),
    }
}

struct Follower {
    asked: Arc<Notify>,
    failed: Arc<Notify>,
    path: PathBuf,
    ledger: Readers,
    head: watch::Receiver<State>,
    recent: Recent,
    progress: watch::Sender<Progress>,
}

impl Follower {
    /// Follows the ledger until the store is closed. Makes a failed index again.
    async fn run(mut self) {
        let mut made: Option<Instant> = None;
        loop {
            let followed = self.follow().await;
            let readers = self.progress.send_replace(Progress::default()).readers;
            if let Some(readers) = readers {
                readers.close().await;
            }
            match followed {
                Ok(()) => return,
                Err(Error::Tampered(cause)) => {
                    tracing::warn!(cause, "the search index is made again");
                    if made.is_some_and(|made| made.elapsed() < RETRY) {
                        sleep(RETRY).await;
                    }
                    made = Some(Instant::now());
                    if let Err(error) = file::remove(&self.path) {
                        tracing::warn!(%error, "the search index cannot be removed");
                        sleep(RETRY).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the search index does not follow the ledger");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let mut connection = file::open(&self.path).await?;
        let followed = self.follow_by(&mut connection).await;
        file::close(connection).await;
        followed
    }

    async fn follow_by(&mut self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let opened = file::identity(&self.path);
        let (mut size, edge) = file::progress(connection).await?;
        self.expect_same(size, &edge).await?;
        let readers = Some(file::open_readers(&self.path));
        self.progress.send_replace(Progress {
            size,
            readers,
            file: opened,
        });
        file::make_room(connection, false).await?;
        loop {
            let head = self.head.borrow_and_update().head.size();
            let is_behind = head.saturating_sub(size) > BATCH;
            if is_behind {
                file::make_room(connection, true).await?;
            }
            while size < head {
                let begun = Instant::now();
                size = self.batch(connection, size, head).await?;
                self.progress.send_modify(|progress| progress.size = size);
                if head - size > BATCH {
                    // Old ledgers are indexed by half of one core.
                    let rest = timeout(begun.elapsed(), self.failed.notified());
                    if rest.await.is_ok() {
                        return Err(unanswered());
                    }
                }
            }
            if is_behind {
                file::make_room(connection, false).await?;
            }
            tokio::select! {
                changed = self.head.changed() => if changed.is_err() {
                    return Ok(());
                },
                () = self.failed.notified() => return Err(unanswered()),
            }
            if file::identity(&self.path) != opened {
                return Err(Error::Tampered(
                    "its file was removed or replaced".to_owned(),
                ));
            }
            // A timeout is the end of the delay.
            timeout(BREATH, self.asked.notified()).await.ok();
        }
    }

    /// Checks that the index is of this ledger: its last event is the one that was indexed.
    async fn expect_same(&self, size: u64, edge: &[u8]) -> Result<(), Error> {
        let Some(last) = size.checked_sub(1) else {
            return Ok(());
        };
        let entries = self.entries(last, size).await?;
        match entries.first() {
            Some((_, leaf)) if leaf_hash(leaf) == edge => Ok(()),
            Some(_) | None => Err(Error::Tampered("it is of another ledger".to_owned())),
        }
    }

    /// Reads leaves. Damage of the ledger is no fault of the index.
    async fn entries(&self, from: u64, to: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let read = async {
            let mut reader = self.ledger.acquire().await?;
            ledger::entries(&mut reader, from, to).await
        };
        let read = read.await;
        read.map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// Indexes some events. Returns the new size.
    async fn batch(
        &self,
        connection: &mut SqliteConnection,
        size: u64,
        head: u64,
    ) -> Result<u64, Error> {
        let recent = self.recent.take(size, BATCH.min(head - size));
        if let Some(last) = recent.last() {
            let (size, edge) = (last.event.index + 1, last.digest);
            let mut rows = Rows::of_events(recent.iter().map(|one| &one.event));
            rows.complete(|wanted| self.leaves(wanted)).await?;
            let appended = file::append_rows(connection, &rows, (size, edge)).await;
            return appended.map(|()| size).map_err(fault);
        }
        let entries = self.entries(size, head.min(size + BATCH)).await?;
        if entries.is_empty() {
            return Err(Error::Unavailable(format!("event {size} is missing")));
        }
        file::append(connection, entries, |wanted| self.leaves(wanted)).await
    }

    /// Reads leaves that others are about.
    async fn leaves(&self, wanted: Vec<u64>) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let read = lenders(&self.ledger, wanted).await;
        read.map_err(|error| Error::Unavailable(error.to_string()))
    }
}

/// The cause of a file that is made again because a question failed.
fn unanswered() -> Error {
    Error::Tampered("a question found its file unreadable".to_owned())
}

#[cfg(test)]
mod tests;
