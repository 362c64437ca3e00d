//! The files of a dev world: mode 0600, in folders of mode 0700. Keys are made once and kept.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rand::rngs::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

use super::{Error, random_text};

/// Makes a folder, and those above it, for this user alone. A folder that exists is not changed.
///
/// # Errors
/// Returns an error if it cannot be made, or if other users can write to the one that exists.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("make", path))?;
    let metadata = fs::metadata(path).map_err(failed("read", path))?;
    if metadata.permissions().mode() & 0o022 != 0 {
        let why = "other users can write to it; name a folder that does not exist yet";
        return Err(failed("use", path)(io::Error::other(why)));
    }
    Ok(())
}

/// The file that marks a folder as a world's.
const MARK: &str = ".daypass-dev";

/// Makes a world's folder, or takes one that was a world's before or holds nothing but a policy.
/// The policy is kept: no file of the user's is replaced.
///
/// # Errors
/// As [`make_folder`], or if it holds other files.
pub(super) fn claim(path: &Path) -> Result<(), Error> {
    make_folder(path)?;
    let mark = path.join(MARK);
    let entries = fs::read_dir(path).map_err(failed("read", path))?;
    let mut others = entries.filter(|entry| !entry.as_ref().is_ok_and(is_policy));
    if !mark.exists() && others.next().is_some() {
        let why = "it holds files that are not a world's; name an empty folder, or one that does not exist yet";
        return Err(failed("use", path)(io::Error::other(why)));
    }
    write(&mark, "A world of `daypass dev` is kept here.\n")
}

fn is_policy(entry: &fs::DirEntry) -> bool {
    entry.file_name() == "policy.toml"
}

/// Writes a file that only this user can read. Replaces one that exists.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed("write", path))
}

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(failed("read", path))
}

/// Makes an Ed25519 key in `path` if there is none, and writes its public half beside it in `.pub`.
/// Returns the public half in OpenSSH form.
pub(super) fn keep_key(path: &Path, comment: &str) -> Result<String, Error> {
    if !path.exists() {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)
            .map_err(|_| Error::Key("Ed25519"))?;
        key.set_comment(comment);
        let text = key
            .to_openssh(LineEnding::LF)
            .map_err(|_| Error::Key("Ed25519"))?;
        write(path, &text)?;
    }
    let key = PrivateKey::from_openssh(read(path)?).map_err(|_| Error::File {
        doing: "parse",
        path: path.to_owned(),
        source: io::ErrorKind::InvalidData.into(),
    })?;
    let public = key
        .public_key()
        .to_openssh()
        .map_err(|_| Error::Key("Ed25519"))?;
    write(&path.with_extension("pub"), &format!("{public}\n"))?;
    Ok(public)
}

/// The random text in `path`. Makes it if there is none.
pub(super) fn keep_secret(path: &Path) -> Result<String, Error> {
    if !path.exists() {
        write(path, &format!("{}\n", random_text()))?;
    }
    Ok(read(path)?.trim().to_owned())
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::File {
        doing,
        path,
        source,
    }
}
