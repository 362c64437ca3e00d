//! The checkpoints that a witness saw: a file to which lines are only added, each on disk before
//! the witness goes on. Full files are kept up to a number.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    client::{Error, clock::now, state::write_atomically},
    file_lock::{self, FileLock},
    ledger::{checkpoint::Checkpoint, handover::KeyHistory},
};

/// The newest file.
const FILE: &str = "checkpoints";

/// Bytes after which a new file begins.
const FULL: u64 = 4 * 1024 * 1024;

/// Bytes of one line at most: a note has at most 64 KiB.
const LONGEST: usize = 256 * 1024;

/// Full files that are kept: `checkpoints.1` is the newest.
const KEPT: u32 = 9;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Unix seconds.
    at: u64,
    server: String,
    size: u64,
    note: String,
    /// Whether the ledger was restored: the lines before it are of the lost one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
}

/// The last checkpoint of each server, with its note.
type ByServer = BTreeMap<String, (Checkpoint, String)>;

/// The record of one ledger. One witness uses it at a time.
#[derive(Debug)]
pub(super) struct Record {
    folder: PathBuf,
    file: File,
    length: u64,
    by_server: ByServer,
    _lock: FileLock,
}

impl Record {
    /// Opens the record. A line that a kill or a full disk cut off was never acknowledged, and is
    /// removed.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if another witness uses it or a line is damaged, and
    /// [`Error::File`] if it cannot be read or written.
    pub(super) fn open(folder: &Path, keys: &KeyHistory) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).read(true).write(true);
            options.mode(0o600).open(path).map_err(Error::file(path))
        };
        let lock = folder.join("lock");
        let taken = file_lock::open(&lock).and_then(FileLock::take);
        let lock = taken.map_err(Error::file(&lock))?.map_err(|holder| {
            let folder = folder.display();
            let name = holder.name().map(|name| format!(" ({name})"));
            let name = name.unwrap_or_default();
            Error::Usage(format!("another witness{name} keeps the record {folder}"))
        })?;
        let mut file = open(&path)?;
        let (by_server, length) = read(&file, keys).map_err(|fault| match fault {
            Unread::File(error) => Error::file(&path)(error),
            Unread::Line(number) => Error::Usage(format!(
                "line {number} of {} is damaged: keep the file as evidence, and move it away",
                path.display()
            )),
        })?;
        let whole = file
            .set_len(length)
            .and_then(|()| file.seek(SeekFrom::Start(length)));
        whole.map_err(Error::file(&path))?;
        Ok(Self {
            folder: folder.to_owned(),
            file,
            length,
            by_server,
            _lock: lock,
        })
    }

    /// The first note that counts and is not signed by the key of its size.
    pub(super) fn contradicting(&self, keys: &KeyHistory) -> Option<&str> {
        let mut notes = self.by_server.values().map(|(_, note)| note.as_str());
        notes.find(|note| keys.verify(note).is_err())
    }

    /// The largest checkpoint.
    pub(super) fn head(&self) -> Option<&Checkpoint> {
        self.largest().map(|(checkpoint, _)| checkpoint)
    }

    /// Its note.
    pub(super) fn head_note(&self) -> Option<&str> {
        self.largest().map(|(_, note)| note.as_str())
    }

    /// The last checkpoint of one server.
    pub(super) fn of(&self, server: &str) -> Option<&Checkpoint> {
        self.by_server.get(server).map(|(checkpoint, _)| checkpoint)
    }

    /// The note of the last checkpoint of one server.
    pub(super) fn note_of(&self, server: &str) -> Option<&str> {
        self.by_server.get(server).map(|(_, note)| note.as_str())
    }

    fn largest(&self) -> Option<&(Checkpoint, String)> {
        let all = self.by_server.values();
        all.max_by_key(|(checkpoint, _)| checkpoint.size)
    }

    /// Adds a checkpoint. It is on disk when this returns. With one of a restored ledger, those of
    /// the lost one count no more; their lines stay.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written; the record is as before then.
    pub(super) fn append(
        &mut self,
        server: &str,
        (checkpoint, note): (&Checkpoint, &str),
        restored: bool,
    ) -> Result<(), Error> {
        let line = Line {
            at: now(),
            server: server.to_owned(),
            size: checkpoint.size,
            note: note.to_owned(),
            restored,
        };
        let line = encode(&line)?;
        let written = self
            .file
            .write_all(&line)
            .and_then(|()| self.file.sync_all());
        if let Err(error) = written {
            // What is left of it would be removed at the next start, too.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(Error::file(&self.folder.join(FILE))(error));
        }
        self.length += line.len() as u64;
        if restored {
            self.by_server.clear();
        }
        let entry = (checkpoint.clone(), note.to_owned());
        self.by_server.insert(server.to_owned(), entry);
        match self.length < FULL {
            true => Ok(()),
            false => self.begin_file(),
        }
    }

    /// Keeps the full file under another name, and begins one with what still counts.
    fn begin_file(&mut self) -> Result<(), Error> {
        let path = self.folder.join(FILE);
        let older = |number: u32| self.folder.join(format!("{FILE}.{number}"));
        let mut text = Vec::new();
        for (server, (checkpoint, note)) in &self.by_server {
            text.extend(encode(&Line {
                at: now(),
                server: server.clone(),
                size: checkpoint.size,
                note: note.clone(),
                restored: false,
            })?);
        }
        let shift = || {
            for number in (1..KEPT).rev() {
                match fs::rename(older(number), older(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => (),
                }
            }
            // The full file keeps its name until the new one takes it.
            match fs::hard_link(&path, older(1)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                Ok(()) | Err(_) => Ok(()),
            }
        };
        shift().map_err(Error::file(&path))?;
        write_atomically(&path, &text, 0o600)?;
        let opened = OpenOptions::new().append(true).open(&path);
        let synced = opened.and_then(|file| {
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()?;
            Ok(file)
        });
        self.file = synced.map_err(Error::file(&path))?;
        self.length = text.len() as u64;
        Ok(())
    }
}

enum Unread {
    File(io::Error),
    /// The number of the line.
    Line(u64),
}

/// Reads every whole line. Verifies those that still count. Returns them, and the length up to the
/// last whole line.
fn read(file: &File, keys: &KeyHistory) -> Result<(ByServer, u64), Unread> {
    let mut reader = BufReader::new(file);
    let (mut newest, mut length, mut text) = (BTreeMap::new(), 0, Vec::new());
    for number in 1.. {
        text.clear();
        let mut limited = io::Read::take(&mut reader, LONGEST as u64);
        let read = limited.read_until(b'\n', &mut text).map_err(Unread::File)?;
        if text.last() != Some(&b'\n') {
            if read == LONGEST {
                return Err(Unread::Line(number));
            }
            break;
        }
        let line: Line = serde_json::from_slice(&text).map_err(|_| Unread::Line(number))?;
        if line.restored {
            newest.clear();
        }
        newest.insert(line.server, (number, line.note));
        length += read as u64;
    }
    let verified = newest.into_iter().map(|(server, (number, note))| {
        let checkpoint = keys.verify(&note).map_err(|_| Unread::Line(number))?;
        Ok((server, (checkpoint, note)))
    });
    Ok((verified.collect::<Result<_, _>>()?, length))
}

fn encode(line: &Line) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec(line).map_err(|error| Error::other(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::ledger::checkpoint::Signer;

    fn keys() -> KeyHistory {
        signer().verifier().into()
    }

    fn signer() -> Signer {
        Signer::new("x/ledger", &[7; 32]).unwrap()
    }

    fn add(record: &mut Record, server: &str, size: u64) {
        let note = signer().sign(size, [1; 32]);
        let checkpoint = signer().verifier().verify(&note).unwrap();
        record.append(server, (&checkpoint, &note), false).unwrap();
    }

    #[test]
    fn a_line_that_was_cut_off_is_removed_and_a_damaged_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, verifier) = (folder.path(), keys());
        let mut record = Record::open(folder, &verifier).unwrap();
        add(&mut record, "https://a", 3);
        add(&mut record, "https://b", 2);
        drop(record);
        let path = folder.join(FILE);
        let whole = fs::read(&path).unwrap();
        for cut in [1, 20, 200] {
            let more = [&whole[..], &whole[..cut]].concat();
            fs::write(&path, more).unwrap();
            let record = Record::open(folder, &verifier).unwrap();
            assert_eq!(record.head().unwrap().size, 3);
            assert_eq!(record.of("https://b").unwrap().size, 2);
            assert_eq!(fs::read(&path).unwrap(), whole, "{cut}");
        }
        let changed = String::from_utf8(whole)
            .unwrap()
            .replace("x/ledger", "y/ledger");
        fs::write(&path, changed).unwrap();
        let refused = Record::open(folder, &verifier).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn the_record_is_one_witness_own() {
        let folder = tempfile::tempdir().unwrap();
        let verifier = keys();
        let first = Record::open(folder.path(), &verifier).unwrap();
        let second = Record::open(folder.path(), &verifier).unwrap_err();
        assert!(second.to_string().contains("another witness"), "{second}");
        drop(first);
        assert!(Record::open(folder.path(), &verifier).is_ok());
    }

    #[test]
    fn full_files_are_kept_up_to_a_number_and_the_newest_begins_with_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, verifier) = (folder.path(), keys());
        let mut record = Record::open(folder, &verifier).unwrap();
        add(&mut record, "https://behind", 2);
        for size in 3..20 {
            record.length = FULL;
            add(&mut record, "https://a", size);
        }
        drop(record);
        let record = Record::open(folder, &verifier).unwrap();
        assert_eq!(record.head().unwrap().size, 19);
        assert_eq!(record.of("https://behind").unwrap().size, 2);
        assert!(folder.join("checkpoints.9").exists());
        assert!(!folder.join("checkpoints.10").exists());
        let last = fs::read_to_string(folder.join("checkpoints.1")).unwrap();
        assert!(
            last.ends_with('\n') && last.contains("\"size\":19"),
            "{last}"
        );
    }
}
