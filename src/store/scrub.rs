//! The scrub: reads the whole ledger again in the background, because a start with a snapshot reads
//! only its end. Compares every leaf with its hashes, the tree with the signed root, and the state
//! with the signed digest.

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Error, database::Readers, ledger, signed::Signed, snapshots};
use crate::ledger::{
    judge::Judge,
    keyring::Verifiers,
    snapshot::{Snapshot, StateDigest},
    tree::{Frontier, leaf_hash},
};

/// Events that are read at once.
const PAGE: u64 = 64;

/// Parts of time that the scrub rests, for each part that it works: it takes at most a twentieth of
/// one core.
const REST: u32 = 19;

/// The time between two rounds.
const BETWEEN: Duration = Duration::from_secs(24 * 3600);

/// The time after which a database that cannot be read is asked again.
const RETRY: Duration = Duration::from_secs(60);

/// How far the scrub is, and what it found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrubbed {
    /// Events that this round has read.
    pub(crate) read: u64,
    /// Events that this round reads; 0 before the first round.
    pub(crate) of: u64,
    /// The difference that it found.
    pub(crate) damage: Option<String>,
}

/// The scrub of one ledger.
pub(super) struct Scrub {
    folder: PathBuf,
    verifiers: Verifiers,
    readers: Readers,
    progress: Arc<Mutex<Scrubbed>>,
}

/// The task of a scrub. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    task: JoinHandle<()>,
    progress: Arc<Mutex<Scrubbed>>,
}

impl Running {
    pub(super) fn scrubbed(&self) -> Scrubbed {
        self.progress.lock().clone()
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Scrub {
    /// Begins the scrub of the ledger whose start used the snapshot of this digest.
    pub(super) fn begin(signed: &Signed, readers: Readers, used: Option<StateDigest>) -> Running {
        let progress = Arc::default();
        let scrub = Self {
            folder: signed.folder().to_owned(),
            verifiers: signed.verifiers(),
            readers,
            progress: Arc::clone(&progress),
        };
        Running {
            task: tokio::spawn(scrub.run(used)),
            progress,
        }
    }

    /// Runs until it finds damage. Begins with the snapshot that the start used.
    async fn run(self, first: Option<StateDigest>) {
        let mut wanted = first;
        loop {
            if let Some(wanted) = &wanted {
                match self.round(wanted).await {
                    Ok(()) => tracing::info!(
                        events = wanted.head.size(),
                        "the whole ledger was read again: it is intact"
                    ),
                    Err(Error::Tampered(damage)) => return self.report(damage),
                    Err(error) => {
                        tracing::warn!(%error, "the ledger could not be read again");
                        sleep(RETRY).await;
                        continue;
                    }
                }
            }
            sleep(BETWEEN).await;
            let (folder, verifiers) = (self.folder.clone(), self.verifiers.clone());
            let newest =
                tokio::task::spawn_blocking(move || snapshots::newest(&folder, &verifiers));
            wanted = newest.await.ok().flatten().map(|(_, digest)| digest);
        }
    }

    fn report(&self, damage: String) {
        tracing::error!(
            damage,
            "the ledger is damaged or was changed: keep a copy of its folder as evidence, then put back the newest \
             good copy of ledger.db"
        );
        self.progress.lock().damage = Some(damage);
    }

    /// Reads the events that `wanted` covers.
    async fn round(&self, wanted: &StateDigest) -> Result<(), Error> {
        let of = wanted.head.size();
        let mut read = Snapshot {
            head: Frontier::default(),
            judge: Judge::default(),
        };
        while read.head.size() < of {
            *self.progress.lock() = Scrubbed {
                read: read.head.size(),
                of,
                damage: None,
            };
            let began = Instant::now();
            self.page(&mut read, of).await?;
            sleep(began.elapsed() * REST).await;
        }
        self.progress.lock().read = of;
        let damage = |what: &str| Err(Error::Tampered(what.to_owned()));
        if read.head != wanted.head {
            return damage("its events are not the ones that were signed");
        }
        let digest = tokio::task::spawn_blocking(move || read.digest());
        match digest.await {
            Ok(Ok(digest)) if digest == wanted.digest => Ok(()),
            Ok(Ok(_)) => damage("its events lead to another state than the one that was signed"),
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable(
                "its state cannot be compared".to_owned(),
            )),
        }
    }

    async fn page(&self, read: &mut Snapshot, of: u64) -> Result<(), Error> {
        let from = read.head.size();
        let mut reader = self.readers.acquire().await?;
        let rows = ledger::page(&mut reader, from, of.min(from + PAGE)).await?;
        if rows.is_empty() {
            return Err(Error::Tampered(format!("event {from} is missing")));
        }
        for (at, leaf, hashes) in rows {
            let expected = read.head.size();
            if at != expected {
                return Err(Error::Tampered(format!("event {expected} is missing")));
            }
            let digest = leaf_hash(&leaf);
            if read.head.push(digest).concat() != hashes {
                return Err(Error::Tampered(format!(
                    "event {at} was changed after it was written"
                )));
            }
            let taken = read.judge.take_covered(&leaf, digest);
            taken.map_err(|fault| Error::Tampered(format!("event {at}: {fault}")))?;
        }
        Ok(())
    }
}
