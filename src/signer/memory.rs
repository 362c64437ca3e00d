//! What a signer remembers: the newest checkpoint that it has seen, and an alarm that an operator
//! has not answered yet.
//!
//! The folder holds `checkpoint` (a signed note, or that there is none yet), `floor` (after an
//! operator gave up a history: its size), `alarm`, `ledger-keys` (the handovers of the ledger's key
//! that were followed) and `lock`. Each file is replaced whole, and is on disk before anything is
//! signed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{
    ca::signer::verify::{Head, Remembered, Seen},
    file_lock::FileLock,
    ledger::{
        checkpoint::{self, Verifier},
        handover::{Handover, KeyHistory},
    },
    modes::{self, IfThere},
};

const CHECKPOINT: &str = "checkpoint";
const FLOOR: &str = "floor";
const ALARM: &str = "alarm";
const KEYS: &str = "ledger-keys";

/// The content of `checkpoint` before the first one.
const NOTHING: &str = "nothing yet\n";

/// The most bytes of a file.
const LONGEST: u64 = 64 * 1024;

/// Reason why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// The problem.
        problem: modes::Problem,
    },
    /// There is no memory.
    #[error(
        "{0} has no memory of a ledger. For a new signer: daypass signer accept --new. If the folder was lost, fetch \
         the newest checkpoint that you trust, and: daypass signer accept FILE"
    )]
    Missing(String),
    /// There is one already.
    #[error("{0} remembers a ledger already: give the checkpoint that it is to go on from")]
    NotNew(String),
    /// Another process uses it.
    #[error("another signer uses {0}: stop it first (systemctl stop daypass-signer)")]
    Locked(String),
    /// The remembered checkpoint is not one of the configured ledger.
    #[error("{path} is not a checkpoint of the configured ledger: {source}")]
    Checkpoint {
        /// The file.
        path: String,
        /// The problem.
        source: checkpoint::Error,
    },
    /// The remembered checkpoint is not signed by the key of its size.
    #[error("the remembered checkpoint contradicts the handover: {0}")]
    Handover(checkpoint::Error),
    /// The floor is not a number.
    #[error("{0} is not a number: restore it from a backup")]
    Floor(String),
}

/// The memory of one signer. Holds the folder's lock.
#[derive(Debug)]
pub(crate) struct Memory {
    folder: PathBuf,
    keys: KeyHistory,
    seen: Seen,
    alarm: Option<String>,
    _lock: FileLock,
}

/// What is remembered, for a look beside the running signer.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) seen: Seen,
    pub(crate) alarm: Option<String>,
}

impl Memory {
    /// Opens the folder, alone.
    ///
    /// # Errors
    /// Returns [`Error::Missing`] if it has no memory: a signer never begins one by itself.
    pub(crate) fn open(folder: &Path, ledger: &Verifier) -> Result<Self, Error> {
        let lock = lock(folder)?;
        let Look { seen, alarm } = look(folder, ledger)?;
        // What is read may be newer than what is on disk: a signer that was killed between the
        // rename of a file and the sync of its folder left it so.
        sync(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            keys: keys(folder, ledger)?,
            seen,
            alarm,
            _lock: lock,
        })
    }

    /// The keys of the ledger: the configured one, and those to which it was handed over.
    pub(crate) fn keys(&self) -> &KeyHistory {
        &self.keys
    }

    /// Follows the ledger to its next key, durably.
    ///
    /// # Errors
    /// Returns [`Error::Handover`] if the remembered checkpoint contains the handover and is not
    /// signed by the new key, and [`Error::File`] if the keys cannot be written.
    pub(crate) fn follow(&mut self, keys: KeyHistory) -> Result<(), Error> {
        let note = read(&self.folder, CHECKPOINT)?;
        if let Some(note) = note.filter(|note| note != NOTHING) {
            keys.verify(&note).map_err(Error::Handover)?;
        }
        let json = serde_json::to_string_pretty(keys.handovers());
        let json = json.map_err(|error| failed(&self.folder, io::Error::other(error)))?;
        write(&self.folder, KEYS, &json)?;
        self.keys = keys;
        Ok(())
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Why nothing is signed until an operator acts.
    pub(crate) fn alarm(&self) -> Option<&str> {
        self.alarm.as_deref()
    }

    /// Remembers a head, durably. `note` is its signed text.
    ///
    /// # Errors
    /// Returns [`Error::File`]. Nothing may be signed then.
    pub(crate) fn remember(&mut self, head: Head, note: &str) -> Result<Remembered, Error> {
        if head != self.seen.head {
            write(&self.folder, CHECKPOINT, note)?;
            self.seen.head = head;
        }
        Ok(Remembered::written(head))
    }

    /// Signs nothing from now on, over restarts too. The first reason stays.
    ///
    /// # Errors
    /// Returns [`Error::File`]. It signs nothing until its end all the same.
    pub(crate) fn raise(&mut self, why: &str) -> Result<(), Error> {
        if self.alarm.is_some() {
            return Ok(());
        }
        self.alarm = Some(why.to_owned());
        write(&self.folder, ALARM, why)
    }
}

/// Begins a memory that has seen nothing: the first ledger that it is shown is the one.
///
/// # Errors
/// Returns [`Error::NotNew`] if there is one.
pub(crate) fn begin(folder: &Path) -> Result<(), Error> {
    let _lock = lock(folder)?;
    if folder.join(CHECKPOINT).symlink_metadata().is_ok() {
        return Err(Error::NotNew(folder.display().to_string()));
    }
    write(folder, CHECKPOINT, NOTHING)
}

/// Answers the alarm, and goes on from `note`, or from what is remembered. If that is another
/// history, no serial below the size of the old one is signed.
///
/// # Errors
/// Returns [`Error::Checkpoint`] if the note is not one of this ledger.
pub(crate) fn accept(folder: &Path, ledger: &Verifier, note: Option<&str>) -> Result<Seen, Error> {
    let _lock = lock(folder)?;
    let before = match look(folder, ledger) {
        Ok(look) => look.seen,
        // A memory without a checkpoint that reads can have a floor, which stays.
        Err(Error::Missing(_) | Error::Checkpoint { .. }) if note.is_some() => Seen {
            head: Head::empty(),
            floor: floor(folder)?,
        },
        Err(error) => return Err(error),
    };
    let mut seen = before;
    if let Some(note) = note {
        let checkpoint =
            keys(folder, ledger)?
                .verify(note)
                .map_err(|source| Error::Checkpoint {
                    path: "the given file".to_owned(),
                    source,
                })?;
        seen.head = Head::from(&checkpoint);
        if seen.head != before.head {
            seen.floor = before.floor.max(before.head.size);
            // First: with the old checkpoint, it only refuses more.
            write(folder, FLOOR, &format!("{}\n", seen.floor))?;
        }
        write(folder, CHECKPOINT, note)?;
    }
    match fs::remove_file(folder.join(ALARM)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&folder.join(ALARM), error));
        }
        Ok(()) | Err(_) => {}
    }
    let folder_file = File::open(folder).and_then(|file| file.sync_all());
    folder_file.map_err(|error| failed(folder, error))?;
    Ok(seen)
}

/// Reads what is remembered, also while a signer runs.
///
/// # Errors
/// As [`Memory::open`].
pub(crate) fn look(folder: &Path, ledger: &Verifier) -> Result<Look, Error> {
    let path = folder.join(CHECKPOINT);
    let text =
        read(folder, CHECKPOINT)?.ok_or_else(|| Error::Missing(folder.display().to_string()))?;
    let head = match text == NOTHING {
        true => Head::empty(),
        false => Head::from(&keys(folder, ledger)?.verify(&text).map_err(|source| {
            Error::Checkpoint {
                path: path.display().to_string(),
                source,
            }
        })?),
    };
    Ok(Look {
        seen: Seen {
            head,
            floor: floor(folder)?,
        },
        alarm: read(folder, ALARM)?,
    })
}

/// The keys of the ledger. Handovers that do not name the configured key are of another one.
fn keys(folder: &Path, ledger: &Verifier) -> Result<KeyHistory, Error> {
    let followed = read(folder, KEYS)?.and_then(|json| {
        let handovers: Vec<Handover> = serde_json::from_str(&json).ok()?;
        KeyHistory::new(ledger.clone(), &handovers).ok()
    });
    Ok(followed.unwrap_or_else(|| ledger.clone().into()))
}

fn floor(folder: &Path) -> Result<u64, Error> {
    match read(folder, FLOOR)? {
        None => Ok(0),
        Some(text) => text
            .trim_end()
            .parse()
            .map_err(|_| Error::Floor(folder.join(FLOOR).display().to_string())),
    }
}

/// Makes the folder and its files durable.
fn sync(folder: &Path) -> Result<(), Error> {
    for name in [CHECKPOINT, FLOOR, ALARM, KEYS, ""] {
        let path = folder.join(name);
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&path, error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<FileLock, Error> {
    let path = folder.join("lock");
    modes::expect_own_folder(folder).map_err(|problem| Error::File {
        path: folder.display().to_string(),
        problem,
    })?;
    let file = modes::create_own(&path, IfThere::Keep).map_err(|error| failed(&path, error))?;
    let taken = FileLock::take(file).map_err(|error| failed(&path, error))?;
    taken.map_err(|_| Error::Locked(folder.display().to_string()))
}

fn read(folder: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = folder.join(name);
    match modes::read_trusted_text(&path, LONGEST) {
        Ok(text) => Ok(Some(text)),
        Err(modes::Problem::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(Error::File {
            path: path.display().to_string(),
            problem,
        }),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let written = modes::replace(folder, name, text.as_bytes());
    written.map_err(|error| failed(&folder.join(name), error))
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::File {
        path: path.display().to_string(),
        problem: error.into(),
    }
}

#[cfg(test)]
mod tests;
