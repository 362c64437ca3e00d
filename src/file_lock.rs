//! Locks between commands, on a file that names its holder: a command that waits for another one
//! says for which, and not for ever.
//!
//! They are `flock` locks: the system releases one when its holder ends, however it ends. What is
//! in the file is for people. A file that names no holder, or a wrong one, locks just as well.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::process::{Pid, test_kill_process};
use time::OffsetDateTime;
use tokio::{sync::oneshot, time::timeout};

use crate::unix_seconds::{UnixSeconds, moment};

/// Time between two looks at the clock. A wait counts its beats, and not the time between its
/// begin and end: a machine that was suspended meanwhile has not used its patience up.
const BEAT: Duration = Duration::from_secs(1);

/// Bytes of a holder's note that are read.
const LONGEST: usize = 200;

/// A lock. It is released when this is dropped, and with the process.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

/// The length of a wait, in beats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Beats before the user is told of the wait: most are over in a moment.
    pub(crate) silent: u32,
    /// Beats of the whole wait.
    pub(crate) whole: u32,
}

/// The command that has a lock, as the file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its process and the time since when it has the lock; none if the file does not say that of a
    /// process that runs here.
    named: Option<(i32, String)>,
}

/// A wait that was given up.
#[derive(Debug, thiserror::Error)]
#[error(
    "{holder} has had {path} for {seconds} s: {remedy}, then run this again",
    path = .path.display(),
    remedy = .holder.remedy(.path)
)]
pub(crate) struct Busy {
    path: PathBuf,
    holder: Holder,
    seconds: u64,
}

/// Opens a lock file, and makes it with mode 0600 if it is missing.
///
/// # Errors
/// Returns the error if it can be neither opened nor made.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    options.mode(0o600).open(path)
}

impl FileLock {
    /// Takes the lock on an open file, or names the command that has it.
    ///
    /// # Errors
    /// Returns the error if the file system has no locks.
    pub(crate) fn take(file: File) -> io::Result<Result<Self, Holder>> {
        match file.try_lock() {
            Ok(()) => Ok(Ok(Self::held(file))),
            Err(TryLockError::WouldBlock) => Ok(Err(Holder::read(&file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock on the open file of `path`, if need be after the commands that have it or
    /// waited before. Calls `tell` once, if that takes longer than a moment.
    ///
    /// # Errors
    /// As [`FileLock::take`]. The inner error is that of a wait that was given up.
    pub(crate) async fn wait(
        file: File,
        path: &Path,
        patience: Patience,
        tell: impl Fn(&Holder),
    ) -> io::Result<Result<Self, Busy>> {
        let look = file.try_clone()?;
        match file.try_lock() {
            Ok(()) => return Ok(Ok(Self::held(file))),
            Err(TryLockError::WouldBlock) => (),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut turn = in_turn(file)?;
        for beat in 0..patience.whole {
            if beat == patience.silent {
                tell(&Holder::read(&look));
            }
            if let Ok(locked) = timeout(BEAT, &mut turn).await {
                // The sender is dropped unsent by a thread that panics alone.
                let file = locked.unwrap_or_else(|error| Err(io::Error::other(error)))?;
                return Ok(Ok(Self::held(file)));
            }
        }
        Ok(Err(Busy {
            path: path.to_owned(),
            holder: Holder::read(&look),
            seconds: BEAT.as_secs() * u64::from(patience.whole),
        }))
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The lock on `file`, which this process has, with its name in it. The name is for people: a
    /// full disk that does not take it is no reason to go without the lock.
    fn held(file: File) -> Self {
        let note = format!("pid {}, since {}", std::process::id(), moment(now()));
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all_at(note.as_bytes(), 0));
        Self { file }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A set-up that is done again changes nothing, not even this file.
        let _ = self.file.set_len(0);
        // Closing the file releases it too, unless a wait that was given up has a copy.
        let _ = self.file.unlock();
    }
}

/// Waits in the system's queue, on a thread of its own: a thread of the runtime's pool would keep a
/// command from ending. If the wait is given up, the thread ends with the process, or lets the lock
/// go as soon as it gets it.
fn in_turn(file: File) -> io::Result<oneshot::Receiver<io::Result<File>>> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new()
        .name("daypass-lock".into())
        .spawn(move || {
            let locked = loop {
                match file.lock() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    locked => break locked,
                }
            };
            let _ = sender.send(locked.map(|()| file));
        })?;
    Ok(receiver)
}

impl Holder {
    fn read(file: &File) -> Self {
        let mut note = [0; LONGEST];
        let length = file.read_at(&mut note, 0).unwrap_or(0);
        let note = str::from_utf8(note.get(..length).unwrap_or_default()).unwrap_or_default();
        Self {
            named: named(note).filter(|(pid, _)| is_running(*pid)),
        }
    }

    /// Process and time, such as `pid 7, since 2026-11-30 12:00:00 UTC`.
    pub(crate) fn name(&self) -> Option<String> {
        let (pid, since) = self.named.as_ref()?;
        Some(format!("pid {pid}, since {since}"))
    }

    /// What a user is told who waits for the lock at `path`.
    pub(crate) fn told(&self, path: &Path, patience: Patience) -> String {
        let left = patience.whole.saturating_sub(patience.silent);
        let path = path.display();
        format!("note: {self} has {path}; waiting for it, {left} s at most")
    }

    /// What a user can do about a holder that stays.
    fn remedy(&self, path: &Path) -> String {
        match &self.named {
            Some((pid, _)) => {
                format!("let it go on if it is stopped (fg), or end it (kill {pid})")
            }
            None => format!("find it (fuser {}) and end it", path.display()),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "another daypass command ({name})"),
            None => f.write_str("another process"),
        }
    }
}

/// Process and time of a note. It may be torn, of an older version, or another program's.
fn named(note: &str) -> Option<(i32, String)> {
    let (pid, since) = note.strip_prefix("pid ")?.split_once(", since ")?;
    let of_time = |it: char| it.is_ascii_digit() || " :-".contains(it);
    let is_whole = since.strip_suffix(" UTC")?.chars().all(of_time);
    Some((pid.parse().ok()?, since.to_owned())).filter(|_| is_whole)
}

/// Whether such a process runs on this machine. A holder that was killed leaves its name.
fn is_running(pid: i32) -> bool {
    // A negative number is no process, and rustix panics at it.
    let Some(pid) = (pid > 0).then(|| Pid::from_raw(pid)).flatten() else {
        return false;
    };
    // Another user's process may not be signalled, and runs.
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the commands of an edge: time enters here"
)]
fn now() -> u64 {
    UnixSeconds::from(OffsetDateTime::now_utc()).get()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        process::{Command, Stdio},
    };

    use super::*;

    const PATIENCE: Patience = Patience {
        silent: 1,
        whole: 3,
    };

    /// A wait, and what the user was told.
    async fn waited(path: &Path) -> (Result<FileLock, Busy>, Vec<String>) {
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |holder: &Holder| told.borrow_mut().push(holder.told(path, PATIENCE));
        let waited = FileLock::wait(open(path).unwrap(), path, PATIENCE, tell).await;
        (waited.unwrap(), told.into_inner())
    }

    /// A stopped command that had a lock blocked all others for ever, without a word.
    #[tokio::test]
    async fn a_wait_for_a_lock_names_its_holder_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = FileLock::take(open(&path).unwrap()).unwrap();
        let _held = held.unwrap();
        let (waited, told) = waited(&path).await;
        let (at, pid) = (path.display(), std::process::id());
        let begins = format!("another daypass command (pid {pid}, since ");
        let [told] = told.try_into().unwrap();
        assert!(told.starts_with(&format!("note: {begins}")), "{told}");
        assert!(told.ends_with(&format!(" UTC) has {at}; waiting for it, 2 s at most")));
        let error = waited.unwrap_err().to_string();
        assert!(error.starts_with(&begins), "{error}");
        let end = format!(
            " UTC) has had {at} for 3 s: let it go on if it is stopped (fg), or end it (kill {pid}), then run this again"
        );
        assert!(error.ends_with(&end), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_names_no_holder_locks_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
        child.wait().unwrap();
        let gone = format!("pid {}, since 2026-11-30 12:00:00 UTC", child.id());
        let me = std::process::id();
        for (case, note) in [
            ("empty", String::new()),
            ("torn", format!("pid {me}, since 2026-1")),
            ("of a process that ended", gone),
            (
                "of no process",
                "pid -1, since 2026-11-30 12:00:00 UTC".into(),
            ),
            ("hostile", format!("pid {me}, since \u{1b}[2J UTC")),
            ("long", "pid ".repeat(1000)),
            ("foreign", "1234\n".to_owned()),
        ] {
            fs::write(&path, note).unwrap();
            assert_eq!(Holder::read(&open(&path).unwrap()).name(), None, "{case}");
        }
        let held = open(&path).unwrap();
        held.lock().unwrap();
        let (waited, told) = waited(&path).await;
        assert!(told.concat().starts_with("note: another process has "));
        let error = waited.unwrap_err().to_string();
        assert!(error.starts_with("another process has had "), "{error}");
        assert!(error.contains(": find it (fuser "), "{error}");
        drop(held);
        // The wait that was given up may have it for a moment.
        let patience = Patience {
            silent: 60,
            whole: 60,
        };
        let taken = FileLock::wait(open(&path).unwrap(), &path, patience, |_| {}).await;
        let taken = taken.unwrap().unwrap();
        let name = Holder::read(taken.file()).name().unwrap();
        assert!(name.starts_with(&format!("pid {me}, since ")), "{name}");
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_holder_and_one_that_was_given_up_keeps_no_process_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let wait = async |whole| {
            let patience = Patience { silent: 1, whole };
            let file = open(&path).unwrap();
            FileLock::wait(file, &path, patience, |_| {}).await.unwrap()
        };
        let held = FileLock::take(open(&path).unwrap()).unwrap().unwrap();
        assert!(wait(1).await.is_err());
        let (next, ()) = tokio::join!(wait(60), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            drop(held);
        });
        drop(next.unwrap());
        assert!(wait(60).await.is_ok());
    }

    /// A lock file on a full disk is locked and names no holder.
    #[test]
    fn a_full_disk_takes_no_name_and_locks_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        symlink("/dev/full", &path).unwrap();
        let taken = FileLock::take(open(&path).unwrap()).unwrap();
        assert!(taken.is_ok());
    }
}
