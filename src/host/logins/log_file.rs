//! sshd's lines in a log file that is rotated: by renaming it, or by copying and truncating it.

use std::{
    fs::{self, File},
    io::{self, BufReader, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use super::{
    part::{Line, MOST_BYTES, MOST_LOGINS, Part, is_login},
    place::{At, Place},
};
use crate::{
    host::Error,
    ssh::sshd_log::{LONGEST_LINE, next_line},
};

/// Bytes before a place that must be the same.
const MARK: u64 = 512;

/// The most rotated files that are looked at.
const MOST_FILES: usize = 64;

/// The end of the file.
///
/// # Errors
/// Returns [`Error::File`] if it cannot be read.
pub(super) fn end(path: &Path) -> Result<At, Error> {
    let place = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        place(&file, metadata.ino(), metadata.len())
    };
    place().map_err(Error::file(path))
}

fn place(file: &File, inode: u64, offset: u64) -> io::Result<At> {
    Ok(At::Offset {
        inode,
        offset,
        mark: mark(file, offset)?,
    })
}

/// Hex SHA-256 of the last bytes before the offset. Does not move the place where the file is read.
fn mark(file: &File, offset: u64) -> io::Result<String> {
    let from = offset.saturating_sub(MARK);
    let mut digest = Sha256::new();
    let mut buffer = [0; MARK as usize];
    let mut at = from;
    while at < offset {
        let wanted = usize::try_from(offset - at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(wanted);
        let Some(buffer) = buffer.get_mut(..wanted) else {
            break;
        };
        let read = match file.read_at(buffer, at) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(buffer.get(..read).unwrap_or_default());
        at += read as u64;
    }
    Ok(base16ct::lower::encode_string(&digest.finalize()))
}

/// Reads the lines after the place: first those of the rotated file that has it, then those of the
/// newer ones.
///
/// # Errors
/// Returns [`Error::File`] if the file is missing or cannot be read.
pub(super) async fn read(path: &Path, place: &Place) -> Result<Part, Error> {
    let (path, at) = (path.to_owned(), place.at.clone());
    let failed = path.clone();
    let reading = tokio::task::spawn_blocking(move || all(&path, &at));
    let part = reading
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    part.map_err(Error::file(failed))
}

fn all(path: &Path, at: &At) -> io::Result<Part> {
    let mut part = Part::default();
    let mut files = vec![(path.to_owned(), 0)];
    match at {
        At::Offset {
            inode,
            offset,
            mark,
        } => {
            let is_there = |file: &Path| continues(file, (*inode, *offset), mark);
            if is_there(path)? {
                files = vec![(path.to_owned(), *offset)];
            } else {
                let rotated = rotated(path)?;
                let found = rotated
                    .iter()
                    .position(|file| is_there(file).unwrap_or(false));
                part.is_gap = found.is_none();
                let newer = rotated.into_iter().skip(found.unwrap_or(usize::MAX));
                let newer = newer.enumerate();
                let newer = newer.map(|(at, file)| (file, if at == 0 { *offset } else { 0 }));
                files = newer.chain(files).collect();
            }
        }
        // The place was one in the journal.
        At::Since(_) | At::Cursor(_) => {}
    }
    let mut budget = MOST_BYTES;
    for (file, offset) in files {
        budget = lines(&file, offset, budget, &mut part)?;
        if part.has_more {
            break;
        }
    }
    Ok(part)
}

/// Whether the file has the place. One that is read from its beginning is known by its number.
fn continues(path: &Path, (inode, offset): (u64, u64), expected: &str) -> io::Result<bool> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let is_same = offset > 0 || metadata.ino() == inode;
    Ok(is_same && metadata.len() >= offset && mark(&file, offset)? == expected)
}

/// `NAME.1`, `NAME-20261130` and others beside the file that are not compressed, oldest first.
fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut found: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = other.strip_prefix(&*name) else {
            continue;
        };
        let is_packed = [".gz", ".xz", ".bz2", ".zst"]
            .iter()
            .any(|end| rest.ends_with(end));
        let metadata = entry.metadata()?;
        if rest.starts_with(['.', '-']) && !is_packed && metadata.is_file() {
            found.push((metadata.modified()?, entry.path()));
        }
    }
    found.sort();
    let surplus = found.len().saturating_sub(MOST_FILES);
    Ok(found
        .into_iter()
        .skip(surplus)
        .map(|(_, path)| path)
        .collect())
}

/// Takes in the whole lines from the offset on. Returns what is left of the budget of bytes.
fn lines(path: &Path, mut offset: u64, mut budget: u64, part: &mut Part) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let inode = file.metadata()?.ino();
    file.seek(SeekFrom::Start(offset))?;
    let mut log = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        if budget == 0 || part.lines.len() >= MOST_LOGINS {
            part.has_more = true;
            break;
        }
        let Some(read) = next_line(&mut log, &mut line)?.filter(|it| it.is_whole) else {
            break;
        };
        let read = read.bytes;
        offset += read;
        budget = budget.saturating_sub(read);
        if line.len() <= LONGEST_LINE && is_login(&line) {
            part.lines.push(Line {
                bytes: line.clone(),
                end: place(log.get_ref(), inode, offset)?,
            });
        }
    }
    part.at = place(log.get_ref(), inode, offset)?;
    Ok(budget)
}
