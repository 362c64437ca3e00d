//! Finds out whether an answer can be kept, before the server is asked for it: a pass that cannot be written down is lost.

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

/// Bytes that are written for a try: a pass, its jump pass, their keys and the session need less.
const ROOM: usize = 64 * 1024;

/// Makes the folders of `files`, writes and removes a file in each, and replaces each of the files that exists by itself.
///
/// # Errors
/// [`Error::Unwritable`] with the file or folder that could not be written.
pub(super) fn check(files: &[impl AsRef<Path>]) -> Result<(), Error> {
    let files = files.iter().map(AsRef::as_ref);
    let folders: BTreeSet<&Path> = files.clone().map(parent).collect();
    for folder in folders {
        make_folder(folder).map_err(unwritable)?;
        fill(folder).map_err(|cause| wrong(folder, cause))?;
    }
    for file in files {
        replace_by_itself(file)?;
    }
    Ok(())
}

/// A full disk or quota shows only when bytes are written, on a network only when they are synced.
fn fill(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".daypass-")
        .tempfile_in(folder)?;
    file.write_all(&[0; ROOM])?;
    file.as_file().sync_data()?;
    file.close()
}

/// Finds folders in a file's place, files that are pinned (immutable, or mounted), and those in another user's hands.
fn replace_by_itself(path: &Path) -> Result<(), Error> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(|cause| wrong(path, cause))?,
    };
    if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(|cause| wrong(path, cause))?;
        return link_atomically(&target, path).map_err(unwritable);
    }
    if metadata.is_dir() {
        return Err(wrong(path, ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(wrong(path, io::Error::other("it is not a regular file")));
    }
    let bytes = fs::read(path).map_err(|cause| wrong(path, cause))?;
    write_atomically(path, &bytes, metadata.mode() & 0o777).map_err(unwritable)
}

fn wrong(path: &Path, cause: io::Error) -> Error {
    Error::Unwritable {
        path: path.to_owned(),
        cause,
    }
}

fn unwritable(error: Error) -> Error {
    let Error::File { path, source } = error else {
        return error;
    };
    wrong(&path, source)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_try_leaves_everything_as_it_was() {
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
    fn what_cannot_be_written_is_named() {
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
