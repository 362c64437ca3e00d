//! The state folder: 0700, its files 0600.
//!
//! Every file is written beside its place and renamed, so that a reader sees the old one or the new
//! one. One lock for all commands that change the folder.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

use super::Error;
use crate::file_lock::{self, FileLock, Patience};

/// Time for another command, which may have the lock during a call to the server (30 s).
const PATIENCE: Patience = Patience {
    silent: 2,
    whole: 60,
};

/// Bytes of a file of ours at most; none comes near it.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The folder of one user's session and passes at one server.
///
/// The first server's is the state folder itself, that of each other server is in it:
/// `servers/HOST_PORT`.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
    root: PathBuf,
}

/// The folder with what belongs to one server each.
pub(super) const SERVERS: &str = "servers";

/// The lock on a state folder.
pub(crate) type Lock = FileLock;

impl State {
    /// The state in `folder`, which need not exist.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the path is relative and the current folder cannot be determined.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let folder = std::path::absolute(folder).map_err(Error::file(folder))?;
        let root = folder.clone();
        Ok(Self { folder, root })
    }

    /// The whole state folder.
    pub(crate) fn root(&self) -> Self {
        let root = self.root.clone();
        Self {
            folder: root.clone(),
            root,
        }
    }

    /// The folder of another server than the first, by the name of its folder.
    pub(super) fn of_server(&self, name: &str) -> Self {
        Self {
            folder: self.root.join(SERVERS).join(name),
            root: self.root.clone(),
        }
    }

    /// Whether this is the whole state folder.
    pub(super) fn is_root(&self) -> bool {
        self.folder == self.root
    }

    /// `$XDG_STATE_HOME/daypass`, by default `~/.local/state/daypass`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if there is no home folder.
    pub(crate) fn default_folder() -> Result<PathBuf, Error> {
        let base = etcetera::choose_base_strategy().map_err(|_| {
            Error::Usage("there is no home folder: set HOME or DAYPASS_STATE_DIR".to_owned())
        })?;
        Ok(base
            .state_dir()
            .unwrap_or_else(|| base.data_dir())
            .join("daypass"))
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the folder with mode 0700 if it is missing. An existing folder is never changed.
    ///
    /// # Errors
    /// As [`State::check`]; also [`Error::File`] if the folder cannot be made.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        self.check()?;
        make_folder(&self.folder)
    }

    /// Checks that no other user can put files into the folder. A missing folder is fine.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if another user owns it or may write to it, or if it is not a
    /// folder.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let metadata = match fs::metadata(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            metadata => metadata.map_err(Error::file(&self.folder))?,
        };
        let folder = self.folder.display();
        if !metadata.is_dir() {
            return Err(Error::Usage(format!(
                "{folder} is not a folder: name another one with DAYPASS_STATE_DIR"
            )));
        }
        let me = rustix::process::geteuid().as_raw();
        // As ssh checks its configuration. Root's own id too: another user may have made the folder
        // that root is led into.
        if ![0, me].contains(&metadata.uid()) {
            return Err(Error::Usage(format!(
                "{folder} belongs to another user (uid {}): name a folder of your own with DAYPASS_STATE_DIR",
                metadata.uid()
            )));
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(Error::Usage(format!(
                "other users can write to {folder} (mode {mode:04o}), and Daypass does not change a folder that it \
                 did not make: name one that does not exist yet, such as DAYPASS_STATE_DIR={folder}/daypass, or, if \
                 the folder is yours alone, run: chmod go-w {folder}"
            )));
        }
        Ok(())
    }

    /// Waits for the lock. The caller then checks whether another command has done the work
    /// meanwhile.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the lock file cannot be made, and [`Error::TimedOut`] if another
    /// command keeps the lock.
    pub(crate) async fn lock(&self, say: impl Fn(&str)) -> Result<Lock, Error> {
        self.lock_on("lock", say).await
    }

    /// Waits for the turn to change what ssh reads about certified hosts.
    ///
    /// # Errors
    /// As [`State::lock`].
    pub(super) async fn lock_on_hosts(&self, say: impl Fn(&str)) -> Result<Lock, Error> {
        self.lock_on("certified-hosts.lock", say).await
    }

    /// Waits for the lock `name`, which protects less than the whole folder. A caller that holds
    /// both takes it after [`State::lock`], never before it.
    ///
    /// # Errors
    /// As [`State::lock`].
    pub(super) async fn lock_on(
        &self,
        name: impl AsRef<Path>,
        say: impl Fn(&str),
    ) -> Result<Lock, Error> {
        self.lock_within(PATIENCE, name, say).await
    }

    async fn lock_within(
        &self,
        patience: Patience,
        name: impl AsRef<Path>,
        say: impl Fn(&str),
    ) -> Result<Lock, Error> {
        self.prepare()?;
        let path = self.path(name);
        make_folder(parent(&path))?;
        let file = file_lock::open(&path).map_err(Error::file(&path))?;
        let tell = |holder: &file_lock::Holder| say(&holder.told(&path, patience));
        FileLock::wait(file, &path, patience, tell)
            .await
            .map_err(Error::file(&path))?
            .map_err(|busy| Error::TimedOut(busy.to_string()))
    }

    /// Reads a file's text; none if there is no such file.
    ///
    /// # Errors
    /// Returns the error if the file cannot be read, is not UTF-8, or is larger than 4 MiB.
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Result<Option<String>, Error> {
        self.read_within(name, LARGEST)
    }

    /// [`State::read`], of a file of so many bytes at most.
    ///
    /// # Errors
    /// As [`State::read`].
    pub(super) fn read_within(
        &self,
        name: impl AsRef<Path>,
        largest: u64,
    ) -> Result<Option<String>, Error> {
        let path = self.path(name);
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > largest => {
                return Err(Error::other(format!("{} is too large", path.display())));
            }
            _ => {}
        }
        fs::read_to_string(&path)
            .map(Some)
            .map_err(Error::file(&path))
    }

    /// Writes a file of ours with mode 0600, whole or not at all.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written; the old file stays.
    pub(crate) fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        self.prepare()?;
        write_atomically(&self.path(name), bytes, 0o600)
    }

    /// Removes a file or folder of ours. A missing one is fine.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be removed.
    pub(crate) fn remove(&self, name: impl AsRef<Path>) -> Result<(), Error> {
        let path = self.path(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(&path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Writes `bytes` to a new file beside `path` and renames it to `path`. Missing folders are made
/// with mode 0700.
///
/// # Errors
/// Returns [`Error::File`] if that fails; the old file stays.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let folder = parent(path);
    make_folder(folder)?;
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix(".daypass-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        file.persist(path).map_err(|error| error.error)
    };
    write().map(|_| ()).map_err(Error::file(path))
}

/// Makes `path` a symbolic link to `target`, and replaces a file there.
///
/// # Errors
/// Returns [`Error::File`] if that fails; the old file stays.
pub(super) fn link_atomically(target: &Path, path: &Path) -> Result<(), Error> {
    let folder = parent(path);
    make_folder(folder)?;
    let link = || {
        let made = tempfile::Builder::new()
            .prefix(".daypass-")
            .make_in(folder, |aside| symlink(target, aside))?;
        made.persist(path).map_err(|error| error.error)
    };
    link().map_err(Error::file(path))
}

/// Makes a folder and its missing parents with mode 0700.
///
/// # Errors
/// Returns [`Error::File`] if that fails.
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(Error::file(folder))
}

/// The folder of `path`; `.` for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_are_0700_and_files_0600() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(&folder.path().join("a/b")).unwrap();
        state.write("passes/x/pass", b"secret").unwrap();
        assert_eq!(mode(state.folder()), 0o700);
        assert_eq!(mode(&state.path("passes/x")), 0o700);
        assert_eq!(mode(&state.path("passes/x/pass")), 0o600);
        assert_eq!(state.read("passes/x/pass").unwrap().unwrap(), "secret");
    }

    #[test]
    fn a_folder_that_was_there_keeps_its_mode_and_one_that_others_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (case, content, folder_mode, taken) in [
            ("empty and shared", None, 0o1777, false),
            ("empty and readable", None, 0o755, true),
            ("with a lock file and shared", Some("lock"), 0o1777, false),
            (
                "with a lock file and writable by its group",
                Some("lock"),
                0o770,
                false,
            ),
            ("with files and readable", Some("theirs"), 0o755, true),
        ] {
            let path = folder.path().join(case);
            fs::create_dir(&path).unwrap();
            if let Some(name) = content {
                fs::write(path.join(name), "").unwrap();
            }
            fs::set_permissions(&path, Permissions::from_mode(folder_mode)).unwrap();
            let state = State::new(&path).unwrap();
            assert_eq!(state.prepare().is_ok(), taken, "{case}");
            assert_eq!(state.write("x", b"x").is_ok(), taken, "{case}");
            let after = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(after, folder_mode, "{case}");
        }
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = State::new(&file).unwrap().prepare();
        assert!(matches!(refused, Err(Error::Usage(_))));
    }

    #[test]
    fn a_missing_file_reads_as_none_and_is_removed_without_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        assert_eq!(state.read("session.json").unwrap(), None);
        state.remove("passes").unwrap();
    }

    #[tokio::test]
    async fn the_lock_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let held = state.lock(|_| {}).await.unwrap();
        let second = fs::File::open(state.path("lock")).unwrap();
        assert!(second.try_lock().is_err());
        let patience = Patience {
            silent: 0,
            whole: 1,
        };
        let late = state.lock_within(patience, "lock", |_| {}).await;
        let late = late.unwrap_err();
        assert_eq!(late.exit_code(), 5, "{late}");
        drop(held);
        // The wait that was given up may have it for a moment.
        second.lock().unwrap();
    }
}
