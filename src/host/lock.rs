//! The lock on the host's files: only its holder compares and replaces them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use super::{
    Error,
    files::{Changes, Layout},
};
use crate::file_lock::{FileLock, Holder, Patience};

/// Beats before the administrator is told of a wait.
const SILENT: u32 = 2;

/// The lock on our folder. It is released when this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    /// What was made for it, and goes with it: dropped while it is locked, since another process
    /// may have it right after.
    made: Changes,
    _lock: FileLock,
}

/// How a command waits for the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// The time for it, in whole seconds.
    pub limit: Duration,
    /// Prints a message for the administrator.
    pub say: fn(&str),
}

impl Lock {
    /// Waits for the lock of a host that is set up.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the lock file cannot be made, and [`Error::Busy`] if another
    /// command keeps the lock.
    pub(crate) async fn wait(layout: &Layout, wait: Wait) -> Result<Self, Error> {
        let mut lock = Self::wait_anywhere(layout, wait, false).await?;
        lock.keep();
        Ok(lock)
    }

    /// The same for a host that has no folder of ours yet: it is removed again with the lock,
    /// unless that is kept.
    ///
    /// # Errors
    /// As [`Lock::wait`], and if the folder cannot be made.
    pub(crate) async fn wait_first(layout: &Layout, wait: Wait) -> Result<Self, Error> {
        Self::wait_anywhere(layout, wait, true).await
    }

    /// Keeps the folder and the lock file.
    pub(crate) fn keep(&mut self) {
        std::mem::take(&mut self.made).keep();
    }

    async fn wait_anywhere(layout: &Layout, wait: Wait, is_first: bool) -> Result<Self, Error> {
        let path = layout.lock();
        let patience = wait.patience();
        let tell = |holder: &Holder| (wait.say)(&holder.told(&path, patience));
        loop {
            let mut made = Changes::default();
            if is_first {
                made.folder(&layout.folder())?;
            }
            let opened = match open(&path, &mut made) {
                // The one who had the lock removed the folder.
                Err(error) if is_first && error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(Error::file(&path))?,
            };
            let waited = FileLock::wait(opened, &path, patience, tell).await;
            let lock = match waited.map_err(Error::file(&path))? {
                Ok(lock) if is_at(lock.file(), &path).map_err(Error::file(&path))? => {
                    return Ok(Self { made, _lock: lock });
                }
                // It was removed while this waited: a lock on it keeps no process out.
                Ok(_) => Ok(()),
                Err(busy) => Err(busy),
            };
            // They are now the other command's.
            made.keep();
            lock?;
        }
    }
}

impl Wait {
    fn patience(self) -> Patience {
        let whole = u32::try_from(self.limit.as_secs()).unwrap_or(u32::MAX);
        Patience {
            silent: SILENT,
            whole: whole.max(1),
        }
    }
}

/// Opens the lock file, and notes it if it is new.
fn open(path: &Path, made: &mut Changes) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.create_new(true).open(path) {
        Ok(file) => {
            made.made(path);
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path)
        }
        Err(error) => Err(error),
    }
}

/// Whether the path still leads to this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let file = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (file.dev(), file.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(60);
    const WAIT: Wait = Wait {
        limit: SOON,
        say: |_| {},
    };

    fn host() -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        fs::create_dir_all(layout.ssh_folder()).unwrap();
        (root, layout)
    }

    /// Waits until so many wait for a lock on this file.
    async fn until_waiting(file: &File, count: usize) {
        let inode = format!(":{} ", file.metadata().unwrap().ino());
        let waits = |line: &&str| line.contains(" -> ") && line.contains(&inode);
        let waiting = async {
            while fs::read_to_string("/proc/locks")
                .unwrap()
                .lines()
                .filter(waits)
                .count()
                < count
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_waited_for_a_lock_file_that_was_removed_locks_the_new_one() {
        let (_root, layout) = host();
        fs::create_dir(layout.folder()).unwrap();
        let first = Lock::wait(&layout, WAIT).await.unwrap();
        let (one, other) = (layout.clone(), layout.clone());
        let mut one = tokio::spawn(async move { Lock::wait(&one, WAIT).await.unwrap() });
        let mut other = tokio::spawn(async move { Lock::wait(&other, WAIT).await.unwrap() });
        until_waiting(first._lock.file(), 2).await;
        fs::remove_file(layout.lock()).unwrap();
        drop(first);
        // Only one of them has it.
        let (held, waits) = tokio::select! {
            held = &mut one => (held.unwrap(), other),
            held = &mut other => (held.unwrap(), one),
        };
        assert!(is_at(held._lock.file(), &layout.lock()).unwrap());
        until_waiting(held._lock.file(), 1).await;
        assert!(!waits.is_finished());
        drop(held);
        tokio::time::timeout(SOON, waits).await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_first_lock_leaves_nothing_unless_it_is_kept_and_the_next_one_waits_for_that() {
        let (_root, layout) = host();
        let first = Lock::wait_first(&layout, WAIT).await.unwrap();
        let next = layout.clone();
        let next = tokio::spawn(async move { Lock::wait_first(&next, WAIT).await.unwrap() });
        until_waiting(first._lock.file(), 1).await;
        drop(first);
        let mut next = tokio::time::timeout(SOON, next).await.unwrap().unwrap();
        assert!(is_at(next._lock.file(), &layout.lock()).unwrap());
        next.keep();
        drop(next);
        assert!(layout.lock().exists());
        fs::remove_dir_all(layout.folder()).unwrap();
        drop(Lock::wait_first(&layout, WAIT).await.unwrap());
        assert!(!layout.folder().exists());
        assert!(Lock::wait(&layout, WAIT).await.is_err());
    }
}
