//! Files of a backup: read only if no other user can change them, written durably, and errors that
//! name the file.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::{
    daemon::Error,
    modes::{self, IfThere},
};

/// Bytes of one file beside the ledger at most.
pub(super) const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// Reads at most `limit` bytes of a file that no other user can change.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    modes::read_trusted(path, limit).map_err(unusable(path))
}

/// Writes a file of this user's own, durably.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = modes::create_own(path, IfThere::Empty).map_err(failed(path))?;
    file.write_all(bytes).map_err(failed(path))?;
    file.sync_all().map_err(failed(path))
}

/// Writes a file whole or not at all, also if this process is killed: the next restore would take
/// a part of it for a file of the operator's. The file gets this mode.
pub(super) fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.restoring"));
    let written = write(&aside, bytes).and_then(|()| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(&aside, permissions).map_err(failed(path))?;
        put_in_place(&aside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

/// Renames a file that is durable, and makes its new name durable, too.
pub(super) fn put_in_place(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(failed(to))?;
    let folder = to.parent().unwrap_or(Path::new("/"));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed(folder))
}

/// SHA-256 of a file of any size, in hex.
pub(super) fn digest(path: &Path) -> Result<String, Error> {
    let mut file = modes::open_trusted(path).map_err(unusable(path))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(failed(path))?;
    Ok(base16ct::lower::encode_string(&hasher.finalize()))
}

/// SHA-256 of these bytes, in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&sha256(bytes))
}

/// SHA-256 of these bytes.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A refusal that says what to do.
pub(in crate::daemon) fn refused(why: String) -> Error {
    Error::Backup(why)
}

/// The refusal of a file that is not the one in the list.
pub(super) fn damaged(path: &Path) -> Error {
    refused(format!(
        "{} is not the file that was backed up (it was changed or cut): use another copy",
        path.display()
    ))
}

/// For `map_err` on checks of a file's mode.
pub(super) fn unusable(path: &Path) -> impl FnOnce(modes::Problem) -> Error {
    let path = path.to_owned();
    move |problem| refused(format!("{}: {problem}", path.display()))
}

/// For `map_err` on file operations.
pub(in crate::daemon) fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |error| refused(format!("{}: {error}", path.display()))
}
