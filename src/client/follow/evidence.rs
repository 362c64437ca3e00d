//! An alarm, and the files that keep its evidence.

use std::{fs, path::Path};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::client::state::write_atomically;

/// Files of evidence at most: the first ones count.
const MOST: usize = 100;

/// Beginning of their names.
const PREFIX: &str = "evidence-";

/// A kind of contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlarmKind {
    /// Two checkpoints of the ledger contradict each other.
    Fork,
    /// A server shows fewer entries than it did.
    Shrunk,
    /// The checkpoint is signed by another key.
    WrongKey,
    /// The checkpoint is of another ledger.
    WrongOrigin,
    /// The tiles do not add up to the signed checkpoint.
    FalseTiles,
    /// The ledger was restored from a backup, and no administrator's statement counts here yet.
    Restored,
}

/// A contradiction, with both notes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Alarm {
    pub(crate) kind: AlarmKind,
    /// Description of it, as a sentence about the server.
    pub(crate) why: String,
    pub(crate) server: String,
    /// The note that was known; none if there was none.
    pub(crate) known: Option<String>,
    /// The note that contradicts it.
    pub(crate) shown: String,
}

/// Writes both notes to a file in `folder`. The notes are also printed, so a failure changes
/// nothing.
pub(super) fn keep(folder: &Path, alarm: &Alarm) {
    let both = [alarm.known.as_deref().unwrap_or_default(), &alarm.shown].concat();
    let digest = base16ct::lower::encode_string(&Sha256::digest(both));
    let digest: String = digest.chars().take(16).collect();
    let path = folder.join(format!("{PREFIX}{digest}.json"));
    if path.exists() || count(folder) >= MOST {
        return;
    }
    if let Ok(text) = serde_json::to_vec_pretty(alarm) {
        let _ = write_atomically(&path, &text, 0o600);
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .count()
}
