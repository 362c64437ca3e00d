//! The search index: a SQLite file beside the ledger (`search.db`), filled from committed leaves by
//! a task in the background, so that appends pay nothing for it.
//!
//! It is derived data. A file that is missing, damaged or of another version is made again, it is
//! in no backup, and each replica has its own. What it finds is read from the ledger and checked
//! there; a second task finds what it hides (`checking`).

mod checking;
mod file;
mod progress;
mod question;
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

use super::{Error, database::Readers, ledger, sqlite, writer::State};
use crate::ledger::{search::Question, tree::leaf_hash};
pub(crate) use progress::Found;
use progress::Progress;

/// Events that are indexed in one transaction. Their rows are sorted, so that a large batch writes
/// each page of the index less often.
const BATCH: u64 = 4096;

/// Delay after the ledger has grown, so that a busy ledger is indexed in large batches and not once
/// per commit. A question ends it.
const BREATH: Duration = Duration::from_millis(250);

/// The time after which a failed index is opened again.
const RETRY: Duration = Duration::from_secs(10);

/// The longest that a question waits for the index to reach the head.
const PATIENCE: Duration = Duration::from_secs(5);

/// The index of one ledger. Its tasks end when this is dropped.
#[derive(Debug)]
pub(super) struct Search {
    progress: watch::Receiver<Progress>,
    damage: Arc<Mutex<Option<String>>>,
    asked: Arc<Notify>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Search {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Search {
    /// Begins to fill the index.
    pub(super) fn begin(folder: &Path, ledger: Readers, head: watch::Receiver<State>) -> Self {
        let (sender, progress) = watch::channel(Progress::default());
        let damage: Arc<Mutex<Option<String>>> = Arc::default();
        let path = folder.join(file::NAME);
        // Before the first question. The follower meets an error again, and tells it.
        sqlite::make_private(&path).ok();
        let check = checking::run(ledger.clone(), progress.clone(), Arc::clone(&damage));
        let asked = Arc::new(Notify::new());
        let follower = Follower {
            asked: Arc::clone(&asked),
            path,
            ledger,
            head,
            progress: sender,
        };
        Self {
            progress,
            damage,
            asked,
            tasks: [tokio::spawn(follower.run()), tokio::spawn(check)],
        }
    }

    /// The difference from the ledger that the check found.
    pub(super) fn damage(&self) -> Option<String> {
        self.damage.lock().clone()
    }

    pub(super) fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Searches from index `from` down, below `size`. Ends before the last event if there are
    /// `limit`, or if it took too long.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the index does not reach `size` in time, with its
    /// progress.
    pub(super) async fn find(
        &self,
        question: &Question,
        (from, size): (u64, u64),
        limit: usize,
    ) -> Result<Found, Error> {
        let readers = self.filled(size).await;
        let Some(readers) = readers else {
            let done = self.progress.borrow().size;
            return Err(Error::Unavailable(format!(
                "the search index is being built and has {done} of {size} events; ask again later, or use \
                 daypass ledger export"
            )));
        };
        let Some(last) = size.checked_sub(1) else {
            return Ok(Found::default());
        };
        let mut connection = readers.acquire().await?;
        question::find(&mut connection, question, from.min(last), limit).await
    }

    /// Waits until the index has `size` events.
    async fn filled(&self, size: u64) -> Option<SqlitePool> {
        self.asked.notify_one();
        let mut progress = self.progress.clone();
        let reached = |progress: &Progress| progress.size >= size && progress.readers.is_some();
        let waited = timeout(PATIENCE, progress.wait_for(reached)).await;
        waited.ok()?.ok()?.readers.clone()
    }
}

struct Follower {
    asked: Arc<Notify>,
    path: PathBuf,
    ledger: Readers,
    head: watch::Receiver<State>,
    progress: watch::Sender<Progress>,
}

impl Follower {
    /// Follows the ledger until the store is closed. Makes a failed index again.
    async fn run(mut self) {
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
        let (mut size, edge) = file::progress(&mut connection).await?;
        self.expect_same(size, &edge).await?;
        let readers = Some(file::open_readers(&self.path));
        self.progress.send_replace(Progress { size, readers });
        loop {
            let head = self.head.borrow_and_update().head.size();
            while size < head {
                let begun = Instant::now();
                size = self.batch(&mut connection, size, head).await?;
                self.progress.send_modify(|progress| progress.size = size);
                if head - size > BATCH {
                    // Old ledgers are indexed by half of one core.
                    sleep(begun.elapsed()).await;
                }
            }
            if self.head.changed().await.is_err() {
                return Ok(());
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
        let mut reader = self.ledger.acquire().await?;
        let entries = ledger::entries(&mut reader, last, size).await?;
        match entries.first() {
            Some((_, leaf)) if leaf_hash(leaf) == edge => Ok(()),
            Some(_) | None => Err(Error::Tampered("it is of another ledger".to_owned())),
        }
    }

    /// Indexes some events. Returns the new size.
    async fn batch(
        &self,
        connection: &mut SqliteConnection,
        size: u64,
        head: u64,
    ) -> Result<u64, Error> {
        let mut reader = self.ledger.acquire().await?;
        let entries = ledger::entries(&mut reader, size, head.min(size + BATCH)).await?;
        drop(reader);
        if entries.is_empty() {
            return Err(Error::Unavailable(format!("event {size} is missing")));
        }
        file::append(connection, entries).await
    }
}

#[cfg(test)]
mod tests;
