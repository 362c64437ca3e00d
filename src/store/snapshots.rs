//! The file `snapshot` beside the database: the ledger state after some number of events, so that a
//! start reads only the later ones. One that is missing, damaged or of another ledger costs time
//! only.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::JoinHandle;

use super::{Error, database::Connection, ledger, replay, signed::Signed, whole_file};
use crate::ledger::{
    judge::Judge,
    keyring::Verifiers,
    snapshot::{Snapshot, StateDigest},
    tree::Frontier,
};

/// Number of events between two snapshots. A smaller ledger has none: reading it whole takes less
/// than a second, and checks it whole.
pub(super) const EVERY: u64 = 10_000;

/// Largest file that is read. It is that of some millions of live passes.
const LARGEST: u64 = 2 * 1024 * 1024 * 1024;

pub(super) const FILE: &str = "snapshot";

/// The newest snapshot of the folder, whether it fits the database or not.
pub(super) fn newest(folder: &Path, verifiers: &Verifiers) -> Option<(Snapshot, StateDigest)> {
    let path = folder.join(FILE);
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the snapshot of the ledger cannot be read");
            return None;
        }
    };
    match verifiers.snapshot(&bytes) {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::info!(
                file = %path.display(),
                %error,
                "the snapshot of the ledger is not used: every event is read instead"
            );
            None
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(LARGEST + 1);
    file.read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other("it is over 2 GiB")),
        false => Ok(bytes),
    }
}

/// Whether the database's stored hashes lead to the snapshot, and to each signed head before it.
///
/// # Errors
/// Returns [`Error::Unavailable`] if the database fails.
pub(super) async fn fits(
    snapshot: &Snapshot,
    connection: &mut Connection,
    signed: &replay::Signed,
) -> Result<bool, Error> {
    let size = snapshot.head.size();
    let stored = ledger::stored_frontier(connection, size).await?;
    let mut fits = stored.as_ref() == Some(&snapshot.head);
    let marks = [&signed.checkpoint, &signed.head];
    for mark in marks.into_iter().flatten().filter(|mark| mark.size < size) {
        let stored = ledger::stored_frontier(connection, mark.size).await?;
        fits &= stored.is_some_and(|stored| stored.root() == mark.root);
    }
    if !fits {
        tracing::warn!(
            size,
            "the snapshot is not of this ledger: every event is read instead"
        );
    }
    Ok(fits)
}

/// Writes the snapshots of one ledger.
#[derive(Debug)]
pub(super) struct Snapshots {
    folder: PathBuf,
    signed: Arc<Signed>,
    /// Size of the ledger at the last one.
    last: u64,
    every: u64,
    /// The one that is being written.
    writing: Option<JoinHandle<()>>,
}

impl Snapshots {
    /// `last` is the size of the snapshot that the folder holds; 0 for none.
    pub(super) fn new(folder: &Path, signed: Arc<Signed>, last: u64, every: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            signed,
            last,
            every,
            writing: None,
        }
    }

    /// Begins to write one if it is time for it.
    pub(super) fn keep(&mut self, head: &Frontier, judge: &Judge) {
        let is_writing = self
            .writing
            .as_ref()
            .is_some_and(|task| !task.is_finished());
        if head.size() >= self.last.saturating_add(self.every) && !is_writing {
            self.begin(head, judge);
        }
    }

    /// Writes the last one, unless the ledger is small or has not grown.
    pub(super) async fn finish(&mut self, head: &Frontier, judge: &Judge) {
        self.wait().await;
        if head.size() >= self.every && head.size() > self.last {
            self.begin(head, judge);
            self.wait().await;
        }
    }

    fn begin(&mut self, head: &Frontier, judge: &Judge) {
        self.last = head.size();
        let snapshot = Snapshot {
            head: head.clone(),
            judge: judge.clone(),
        };
        let (folder, signed) = (self.folder.clone(), Arc::clone(&self.signed));
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let saved = signed
                .sign_snapshot(&snapshot)
                .map_err(io::Error::other)
                .and_then(|bytes| whole_file::replace(&folder, FILE, &bytes));
            if let Err(error) = saved {
                tracing::warn!(%error, "the snapshot of the ledger could not be written: the next start takes longer");
            }
        }));
    }

    async fn wait(&mut self) {
        if let Some(task) = self.writing.take() {
            task.await.ok();
        }
    }
}
