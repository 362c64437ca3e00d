//! The folder of a backup while it is written. A second backup keeps out, and a backup that was
//! interrupted is not taken for a whole one.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    files::{failed, put_in_place, refused, unusable, write},
    manifest::FILE,
};
use crate::{daemon::Error, modes};

/// The list while the backup is written. Only the process that made it writes into the folder.
const PART: &str = "manifest.json.part";

/// The right to write into the folder.
pub(super) struct Claim {
    folder: PathBuf,
    /// Whether this process made the folder.
    is_new: bool,
}

impl Claim {
    /// Makes the folder, or accepts an empty one of ours.
    ///
    /// # Errors
    /// Returns [`Error::Backup`] with what to do if it is not empty, or another user could write
    /// into it, or another backup is written into it.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        let is_new = match fs::DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                expect_empty(folder)?;
                false
            }
            Err(error) => return Err(failed(folder)(error)),
        };
        // Only one of two processes that both saw an empty folder makes it.
        let mut options = fs::File::options();
        match options.write(true).create_new(true).open(folder.join(PART)) {
            Ok(_) => Ok(Self {
                folder: folder.to_owned(),
                is_new,
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(incomplete(folder)),
            Err(error) => Err(failed(folder)(error)),
        }
    }

    /// Writes the list, by which the backup is whole.
    ///
    /// # Errors
    /// Returns [`Error::Backup`] if it cannot be written.
    pub(super) fn finish(&self, manifest: &[u8]) -> Result<(), Error> {
        let part = self.folder.join(PART);
        write(&part, manifest)?;
        put_in_place(&part, &self.folder.join(FILE))
    }

    /// Removes all that was written. The error that led to it is the one to show.
    pub(super) fn abandon(&self) {
        if self.is_new {
            let _ = fs::remove_dir_all(&self.folder);
            return;
        }
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Refuses a backup that was not written to its end.
///
/// # Errors
/// Returns [`Error::Backup`] with what to do.
pub(super) fn expect_complete(folder: &Path) -> Result<(), Error> {
    match is_there(&folder.join(PART)) && !is_there(&folder.join(FILE)) {
        true => Err(incomplete(folder)),
        false => Ok(()),
    }
}

fn expect_empty(folder: &Path) -> Result<(), Error> {
    let mut entries = fs::read_dir(folder).map_err(failed(folder))?;
    modes::expect_own_folder(folder).map_err(unusable(folder))?;
    if entries.next().is_none() {
        return Ok(());
    }
    expect_complete(folder)?;
    Err(refused(format!(
        "{} is not empty: name a folder that does not exist yet",
        folder.display()
    )))
}

fn incomplete(folder: &Path) -> Error {
    refused(format!(
        "the backup in {} is not complete: it was interrupted, or it is still being written. If it was interrupted, remove \
         the folder and make another backup",
        folder.display()
    ))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
