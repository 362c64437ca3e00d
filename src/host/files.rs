//! The files on a host: their paths, replacing them atomically, and undoing changes.

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::Error;

/// Bytes of a file at most; a revocation list has half of that at most.
const LARGEST: u64 = 32 * 1024 * 1024;

/// Bytes that the host certificates of one host need at most, amply.
const ROOM: usize = 16 * 1024;

/// The paths of all files, under one root; `/` except in tests.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// All files under `root`, an absolute path.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// sshd's own folder.
    pub(crate) fn ssh_folder(&self) -> PathBuf {
        self.root.join("etc/ssh")
    }

    /// sshd's main configuration. It is never written.
    pub(crate) fn sshd_config(&self) -> PathBuf {
        self.ssh_folder().join("sshd_config")
    }

    /// Our part of sshd's configuration. Its name sorts first, because sshd uses the first of two
    /// values.
    pub(crate) fn drop_in(&self) -> PathBuf {
        self.ssh_folder().join("sshd_config.d/00-daypass.conf")
    }

    /// Our own folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.ssh_folder().join("daypass")
    }

    /// For `TrustedUserCAKeys`.
    pub(crate) fn ca_keys(&self) -> PathBuf {
        self.folder().join("ca.pub")
    }

    /// The keys of another CA that this host trusts too, as `setup --also-trust` read them.
    pub(crate) fn other_ca_keys(&self) -> PathBuf {
        self.folder().join("other-ca.pub")
    }

    /// For `TrustedUserCAKeys` of a host that trusts another CA too: the keys of both.
    pub(crate) fn both_ca_keys(&self) -> PathBuf {
        self.folder().join("trusted.pub")
    }

    /// For `RevokedKeys`.
    pub(crate) fn krl(&self) -> PathBuf {
        self.folder().join("revoked.krl")
    }

    /// The settings of `setup`.
    pub(crate) fn settings(&self) -> PathBuf {
        self.folder().join("host.json")
    }

    /// The roots for the server's TLS beside the operating system's.
    pub(crate) fn tls_ca(&self) -> PathBuf {
        self.folder().join("tls-ca.pem")
    }

    /// The time of the last successful `sync`.
    pub(crate) fn last_sync(&self) -> PathBuf {
        self.folder().join("sync.json")
    }

    /// The time and error of the last `sync`, if it failed.
    pub(crate) fn failed_sync(&self) -> PathBuf {
        self.folder().join("sync-failed.json")
    }

    /// The administrators' keys of the last good answer.
    pub(crate) fn recovery(&self) -> PathBuf {
        self.folder().join("recovery.json")
    }

    /// For `HostCertificate`: the certificate of the host key of this kind.
    pub(crate) fn certificate(&self, kind: &str) -> PathBuf {
        self.folder().join(format!("host-{kind}-cert.pub"))
    }

    /// It is there while the running sshd may have older host certificates than those on disk.
    pub(crate) fn reload_due(&self) -> PathBuf {
        self.folder().join("reload-due")
    }

    /// The time and error of the last report to the server, if it failed.
    pub(crate) fn failed_report(&self) -> PathBuf {
        self.folder().join("report-failed.json")
    }

    /// The place up to which logins were reported.
    pub(crate) fn logins(&self) -> PathBuf {
        self.folder().join("logins.json")
    }

    /// The time and error of the last report of logins, if it failed.
    pub(crate) fn failed_logins(&self) -> PathBuf {
        self.folder().join("logins-failed.json")
    }

    /// The lock of all that compares and replaces files ([`super::lock`]).
    pub(crate) fn lock(&self) -> PathBuf {
        self.folder().join("lock")
    }
}

/// Reads a file; none if there is no such file.
///
/// # Errors
/// Returns [`Error::File`] if it cannot be read, or is larger than 32 MiB.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file(path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::file(path))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::file(path)(io::Error::other("it is too large")));
    }
    Ok(Some(bytes))
}

/// Replaces a file, durably and by rename, with mode 0644. A reader sees the old or the new file,
/// never a part.
///
/// # Errors
/// Returns [`Error::File`] if that fails; the old file stays.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    replace_with_mode(path, bytes, 0o644).map_err(Error::file(path))
}

fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".daypass-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    let inner = file.as_file();
    inner.set_permissions(Permissions::from_mode(mode))?;
    inner.sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Checks that new files can be written in a folder: its file system may be full or read-only.
///
/// # Errors
/// Returns [`Error::File`] with the operating system's error.
pub(crate) fn check_room(folder: &Path) -> Result<(), Error> {
    let written = || {
        let mut file = tempfile::Builder::new()
            .prefix(".daypass-")
            .tempfile_in(folder)?;
        file.write_all(&[0; ROOM])?;
        file.as_file().sync_all()
    };
    written().map_err(Error::file(folder))
}

/// Changes to files that are undone when this is dropped, newest first, unless [`Changes::keep`] is
/// called. So an error on any path leaves the host as it was.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Folder(PathBuf),
    NewFile(PathBuf),
    OldFile(PathBuf, Vec<u8>, u32),
}

impl Undo {
    /// Puts back a file of this content.
    fn old(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(Error::file(path))?;
        let mode = metadata.permissions().mode() & 0o7777;
        Ok(Self::OldFile(path.to_owned(), bytes, mode))
    }
}

impl Changes {
    /// Makes a folder and its missing parents, with mode 0755.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be made.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<(), Error> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        match fs::DirBuilder::new().mode(0o755).create(path) {
            Ok(()) => self.undo.push(Undo::Folder(path.to_owned())),
            // Another process was first.
            Err(_) if path.is_dir() => {}
            Err(error) => return Err(Error::file(path)(error)),
        }
        Ok(())
    }

    /// Notes a file that its writer has made.
    pub(super) fn made(&mut self, path: &Path) {
        self.undo.push(Undo::NewFile(path.to_owned()));
    }

    /// Writes a file; returns whether that changed it.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written.
    pub(crate) fn file(&mut self, path: &Path, bytes: &[u8]) -> Result<bool, Error> {
        let old = read(path)?;
        if old.as_deref() == Some(bytes) {
            return Ok(false);
        }
        let undo = match old {
            None => Undo::NewFile(path.to_owned()),
            Some(old) => Undo::old(path, old)?,
        };
        self.undo.push(undo);
        replace(path, bytes)?;
        Ok(true)
    }

    /// Removes a file; returns whether there was one.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be removed.
    pub(crate) fn remove(&mut self, path: &Path) -> Result<bool, Error> {
        let Some(old) = read(path)? else {
            return Ok(false);
        };
        self.undo.push(Undo::old(path, old)?);
        fs::remove_file(path).map_err(Error::file(path))?;
        Ok(true)
    }

    /// Keeps all changes.
    pub(crate) fn keep(mut self) {
        self.undo.clear();
    }

    /// Undoes all changes.
    ///
    /// # Errors
    /// Returns what could not be undone, a line each.
    pub(crate) fn undo(mut self) -> Result<(), String> {
        let failed = self.undo_all();
        if failed.is_empty() {
            return Ok(());
        }
        Err(failed.join("\n"))
    }

    fn undo_all(&mut self) -> Vec<String> {
        let changes = self.undo.drain(..).rev();
        changes
            .filter_map(|change| {
                let (path, undone) = change.apply();
                let error = undone.err()?;
                Some(format!("failed to put back {}: {error}", path.display()))
            })
            .collect()
    }
}

impl Undo {
    fn apply(self) -> (PathBuf, io::Result<()>) {
        match self {
            Self::Folder(path) => {
                let undone = fs::remove_dir(&path);
                (path, undone)
            }
            Self::NewFile(path) => {
                let undone = fs::remove_file(&path).or_else(|error| match error.kind() {
                    // Writing it had failed.
                    ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                });
                (path, undone)
            }
            Self::OldFile(path, bytes, mode) => {
                let undone = replace_with_mode(&path, &bytes, mode);
                (path, undone)
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.undo_all();
    }
}

/// Replaces a file if its content differs; returns whether it did.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    if read(path)?.as_deref() == Some(bytes) {
        return Ok(false);
    }
    replace(path, bytes)?;
    Ok(true)
}

/// `value` as one line of JSON.
///
/// # Errors
/// Returns the error if it cannot be serialized.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut json = serde_json::to_vec(value)
        .map_err(|error| Error::Usage(format!("failed to write JSON: {error}")))?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn changes_that_are_not_kept_are_undone_to_the_byte_and_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("a/b/new"));
        fs::write(&old, "old").unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o600)).unwrap();
        let change = || {
            let mut changes = Changes::default();
            changes.folder(new.parent().unwrap()).unwrap();
            assert!(changes.file(&new, b"new").unwrap());
            assert!(changes.file(&old, b"changed").unwrap());
            assert!(!changes.file(&old, b"changed").unwrap());
            changes
        };
        change().undo().unwrap();
        drop(change());
        assert_eq!(fs::read(&old).unwrap(), b"old");
        assert_eq!(
            fs::metadata(&old).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        change().keep();
        assert_eq!(fs::read(&old).unwrap(), b"changed");
        assert_eq!(
            fs::metadata(&new).unwrap().permissions().mode() & 0o777,
            0o644
        );
    }
}
