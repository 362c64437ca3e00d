//! Checks that files can be written, before the server is asked: a pass that cannot be written is
//! lost.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::{
    Error,
    state::{link_atomically, make_folder, parent, write_atomically},
};
use crate::os_error;

/// Bytes that are written as a test: a pass, its jump pass, their keys and the session need less.
const ROOM: usize = 64 * 1024;

/// Checks that `files` can be written: makes their folders, writes and removes a test file in each
/// folder, and replaces each existing file by a copy of itself.
///
/// # Errors
/// Returns [`Error::Unwritable`] with the file or folder that cannot be written.
pub(super) fn check(files: &[impl AsRef<Path>]) -> Result<(), Error> {
    let files = files.iter().map(AsRef::as_ref);
    let folders: BTreeSet<&Path> = files.clone().map(parent).collect();
    for folder in folders {
        make_folder(folder).map_err(unwritable)?;
        fill(folder).map_err(|cause| unwritable_at(folder, cause))?;
    }
    for file in files {
        replace_by_itself(file)?;
    }
    Ok(())
}

/// Writes a test file. A full disk or quota shows when bytes are written; on a network file system,
/// when they are synced.
fn fill(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".daypass-")
        .tempfile_in(folder)?;
    file.write_all(&[0; ROOM])?;
    file.as_file().sync_data()?;
    file.close()
}

/// Replaces a file by a copy of itself. Finds a folder at its path, an immutable or mounted file,
/// and a file of another user that may not be replaced.
fn replace_by_itself(path: &Path) -> Result<(), Error> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(|cause| unwritable_at(path, cause))?,
    };
    if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(|cause| unwritable_at(path, cause))?;
        return link_atomically(&target, path).map_err(unwritable);
    }
    if metadata.is_dir() {
        return Err(unwritable_at(path, ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(unwritable_at(
            path,
            io::Error::other("it is not a regular file"),
        ));
    }
    let bytes = fs::read(path).map_err(|cause| unwritable_at(path, cause))?;
    write_atomically(path, &bytes, metadata.mode() & 0o777).map_err(unwritable)
}

fn unwritable_at(path: &Path, cause: io::Error) -> Error {
    Error::Unwritable {
        path: path.to_owned(),
        cause: os_error::plain(cause),
    }
}

fn unwritable(error: Error) -> Error {
    let Error::File { path, source } = error else {
        return error;
    };
    unwritable_at(&path, source)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_check_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "content").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("nothing", at("dangling")).unwrap();
        check(&[
            at("file"),
            at("link"),
            at("dangling"),
            at("new"),
            at("a/b/new"),
        ])
        .unwrap();
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "content");
        assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("file"));
        assert_eq!(fs::read_link(at("dangling")).unwrap(), Path::new("nothing"));
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "dangling", "file", "link"]);
    }

    #[test]
    fn the_file_or_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("nothing", at("dangling")).unwrap();
        for (case, path, named) in [
            ("a folder in its place", at("folder"), at("folder")),
            ("a file in its folder's place", at("file/x"), at("file")),
            ("a link to nothing there", at("dangling/x"), at("dangling")),
            (
                "no file system to write to",
                "/proc/x/y".into(),
                "/proc/x".into(),
            ),
        ] {
            match check(&[path]) {
                Err(Error::Unwritable { path, .. }) => assert_eq!(path, named, "{case}"),
                other => panic!("{case}: {other:?}"),
            }
        }
    }
}
