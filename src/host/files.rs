//! Where everything lies on a host, writing it whole or not at all, and taking it back.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::Error;

/// More than anything we keep.
const LARGEST: u64 = 32 * 1024 * 1024;

/// The places under one root, `/` as a rule.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Everything under `root`, an absolute path.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// sshd's own folder.
    pub fn ssh_folder(&self) -> PathBuf {
        self.root.join("etc/ssh")
    }

    /// sshd's main configuration; never written.
    pub fn sshd_config(&self) -> PathBuf {
        self.ssh_folder().join("sshd_config")
    }

    /// Our part of it. It sorts first: of two values sshd takes the first.
    pub fn drop_in(&self) -> PathBuf {
        self.ssh_folder().join("sshd_config.d/00-daypass.conf")
    }

    /// Our folder.
    pub fn folder(&self) -> PathBuf {
        self.ssh_folder().join("daypass")
    }

    /// For `TrustedUserCAKeys`.
    pub fn ca_keys(&self) -> PathBuf {
        self.folder().join("ca.pub")
    }

    /// For `RevokedKeys`.
    pub fn krl(&self) -> PathBuf {
        self.folder().join("revoked.krl")
    }

    /// What `setup` was told.
    pub fn settings(&self) -> PathBuf {
        self.folder().join("host.json")
    }

    /// The roots for the server's TLS, where the operating system's will not do.
    pub fn tls_ca(&self) -> PathBuf {
        self.folder().join("tls-ca.pem")
    }

    /// When `sync` last succeeded.
    pub fn last_sync(&self) -> PathBuf {
        self.folder().join("sync.json")
    }

    /// Held by whoever compares and replaces.
    pub fn lock(&self) -> PathBuf {
        self.folder().join("lock")
    }
}

/// A file's bytes; none where there is no such file.
///
/// # Errors
/// Where it is there and cannot be read, or is larger than 32 MiB.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
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

/// Replaces a file by one that everybody may read (0644), durably and by rename: whoever opens it sees the old or the new.
///
/// # Errors
/// Where that fails; what was there stays.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
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

/// Waits for the lock on our folder; dropping the file releases it.
///
/// # Errors
/// Where the lock file cannot be made.
pub async fn lock(layout: &Layout) -> Result<File, Error> {
    let path = layout.lock();
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Error::file(&path))?;
    let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    let locked = waiting
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    locked.map_err(Error::file(&path))
}

/// Changes that are taken back, newest first, unless [`Changes::keep`] is called: also where the command is interrupted.
#[derive(Debug, Default)]
pub struct Changes {
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Folder(PathBuf),
    NewFile(PathBuf),
    OldFile(PathBuf, Vec<u8>, u32),
}

impl Changes {
    /// Makes a folder, and those above it, that everybody may read.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn folder(&mut self, path: &Path) -> Result<(), Error> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        let made = fs::DirBuilder::new().mode(0o755).create(path);
        made.map_err(Error::file(path))?;
        self.undo.push(Undo::Folder(path.to_owned()));
        Ok(())
    }

    /// Writes a file; says whether that changed it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn file(&mut self, path: &Path, bytes: &[u8]) -> Result<bool, Error> {
        let old = read(path)?;
        if old.as_deref() == Some(bytes) {
            return Ok(false);
        }
        let undo = match old {
            None => Undo::NewFile(path.to_owned()),
            Some(old) => {
                let metadata = fs::metadata(path).map_err(Error::file(path))?;
                let mode = metadata.permissions().mode() & 0o7777;
                Undo::OldFile(path.to_owned(), old, mode)
            }
        };
        self.undo.push(undo);
        replace(path, bytes)?;
        Ok(true)
    }

    /// Lets everything stand.
    pub fn keep(mut self) {
        self.undo.clear();
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// What could not be taken back, a line each.
    pub fn take_back(mut self) -> Result<(), String> {
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
                    // It was never written.
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_taken_back_to_the_byte_and_mode() {
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
        change().take_back().unwrap();
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
