//! Files of the store's folder: written so that they survive a crash, or replaced whole.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use super::Error;
pub(super) use crate::modes::replace;
use crate::modes::{self, IfThere};

/// Writes a file that is on disk when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = modes::create_own(path, IfThere::Empty).map_err(failed(path))?;
    file.write_all(bytes).map_err(failed(path))?;
    file.sync_all().map_err(failed(path))
}

/// Whether the folder has something of this name, also a link that leads nowhere.
pub(super) fn has(folder: &Path, name: &str) -> bool {
    folder.join(name).symlink_metadata().is_ok()
}

/// Puts the names of a folder, or the content of a file, on disk.
pub(super) fn sync(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(failed(path))?;
    file.sync_all().map_err(failed(path))
}

/// The error of a file that cannot be read or written.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |error| Error::Unavailable(format!("{path}: {error}"))
}
