//! JSON files that go from machine to machine: the sheet of an emergency, the request of a bastion.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Error, state::write_atomically, writable};

/// Bytes of a file at most.
pub(super) const LARGEST: u64 = 256 * 1024;

/// Reads a file that `command` wrote.
///
/// # Errors
/// Returns [`Error::Usage`] if it is not one, and [`Error::File`] if it cannot be read.
pub(super) fn read<T: DeserializeOwned>(path: &Path, command: &str) -> Result<T, Error> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(Error::file(path))?;
    let read = file.take(LARGEST + 1).read_to_end(&mut text);
    let content = match read.map_err(Error::file(path))? as u64 <= LARGEST {
        true => serde_json::from_slice(&text).ok(),
        false => None,
    };
    content.ok_or_else(|| Error::Usage(format!("{} is not a file of `{command}`", path.display())))
}

/// Checks that `command` can write a file to `path`. Only an older one of it is replaced.
///
/// # Errors
/// Returns [`Error::Usage`] if another file is there, and [`Error::Unwritable`] if it cannot be
/// written.
pub(super) fn check_place<T: DeserializeOwned>(path: &Path, command: &str) -> Result<(), Error> {
    let is_free = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        metadata => metadata.is_ok_and(|it| it.is_file()) && read::<T>(path, command).is_ok(),
    };
    if is_free {
        return writable::check(&[path]);
    }
    Err(Error::Usage(format!(
        "{} exists and is not a file of `{command}`: choose another name with --file",
        path.display()
    )))
}

/// Writes the file by rename, for its owner alone.
///
/// # Errors
/// Returns [`Error::File`] if it cannot be written.
pub(super) fn write(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let path = std::path::absolute(path).map_err(Error::file(path))?;
    let text =
        serde_json::to_vec_pretty(content).map_err(|error| Error::other(error.to_string()))?;
    write_atomically(&path, &text, 0o600)
}
