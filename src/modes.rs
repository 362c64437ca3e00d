//! File modes: what the daemon refuses to use because another user could read or change it.
//!
//! A mode is judged on the opened file, so that the file that was judged is the one that is read.

use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Reason why a file or folder is not used. The message names the path and the line that mends it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It holds a secret of another account.
    #[error("permission denied: give it to the account that runs this, `chown ACCOUNT: {}`", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
    },
    /// It holds a secret, and another user can read it.
    #[error("others can read it (mode {mode:03o}): run `chmod {wanted} {}`", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: &'static str,
    },
    /// The daemon trusts its content, and another user can change it.
    #[error("others can write to {what} (mode {mode:03o}): run `chmod go-w {}`", path.display())]
    Writable {
        /// `it`, or the folder it lies in.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is larger than a file of its kind can be.
    #[error("it is larger than {0} bytes: it is another kind of file")]
    TooLarge(u64),
    /// It is not text.
    #[error("it is not text in UTF-8")]
    NotText,
}

/// Opens a file that holds a secret.
///
/// Its owner may read it, and so may a group that the daemon belongs to if the file is not the
/// daemon's own (Kubernetes gives secrets to root and the pod's `fsGroup`; systemd gives a
/// credential to root, and shows the service's right to it as the group's).
///
/// # Errors
/// Returns [`Problem::Readable`], or [`Problem::Writable`] for its folder.
pub(crate) fn open_secret(path: &Path) -> Result<File, Problem> {
    expect_safe_parent(path)?;
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Problem::Denied {
            path: path.to_owned(),
        },
        _ => error.into(),
    })?;
    expect_secret(path, &file.metadata()?, &Process::current())?;
    Ok(file)
}

/// Reads a secret text of at most `limit` bytes.
///
/// # Errors
/// As [`open_secret`]; [`Problem::TooLarge`], [`Problem::NotText`].
pub(crate) fn read_secret(path: &Path, limit: u64) -> Result<Zeroizing<String>, Problem> {
    let bytes = Zeroizing::new(read(open_secret(path)?, limit)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Opens a file whose content the daemon obeys: only its owner may write to it, or to its folder.
///
/// # Errors
/// Returns [`Problem::Writable`] if another user can write to it.
pub(crate) fn open_trusted(path: &Path) -> Result<File, Problem> {
    expect_safe_parent(path)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mode = mode(&metadata);
    if metadata.is_file() && mode & 0o022 != 0 {
        let (what, path) = ("it", path.to_owned());
        return Err(Problem::Writable { what, path, mode });
    }
    Ok(file)
}

/// Reads at most `limit` bytes that the daemon obeys.
///
/// # Errors
/// As [`open_trusted`]; [`Problem::TooLarge`].
pub(crate) fn read_trusted(path: &Path, limit: u64) -> Result<Vec<u8>, Problem> {
    read(open_trusted(path)?, limit)
}

/// [`read_trusted`] of a text.
///
/// # Errors
/// As [`read_trusted`]; [`Problem::NotText`].
pub(crate) fn read_trusted_text(path: &Path, limit: u64) -> Result<String, Problem> {
    String::from_utf8(read_trusted(path, limit)?).map_err(|_| Problem::NotText)
}

/// Opens a file of the daemon's own for writing, readable by its owner alone under any umask.
///
/// # Errors
/// Returns the system's error.
pub(crate) fn create_own(path: &Path, if_there: IfThere) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(if_there == IfThere::Empty)
        .mode(0o600)
        .open(path)?;
    // An earlier version, or a restored backup, may have left it open to others.
    if mode(&file.metadata()?) & 0o177 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Writes a new file of the daemon's own, then renames it: after a crash there is the old file or
/// the new one, whole. It is on disk when this returns.
///
/// # Errors
/// Returns the system's error. There is the old file or the new one then.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = folder.join(format!("{name}.new"));
    let mut file = create_own(&aside, IfThere::Empty)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Makes a file of the daemon's own readable by its owner alone, and makes an empty one if there is
/// none.
///
/// An existing file is not opened: closing it would end the locks that SQLite, in this same
/// process, holds on it (fcntl(2), "Record locking").
///
/// # Errors
/// Returns the system's error.
pub(crate) fn make_own(path: &Path) -> io::Result<()> {
    let wanted = || fs::Permissions::from_mode(0o600);
    match fs::metadata(path) {
        Ok(metadata) if mode(&metadata) & 0o177 == 0 => Ok(()),
        Ok(_) => fs::set_permissions(path, wanted()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut options = File::options();
            let options = options.write(true).create_new(true).mode(0o600);
            options.open(path).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Treatment of an existing file's content by [`create_own`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfThere {
    /// Keeps it.
    Keep,
    /// Empties it.
    Empty,
}

/// Refuses a folder in which another user could add, replace or remove files. The sticky bit does
/// not help, for the daemon also makes files there.
///
/// # Errors
/// Returns [`Problem::Writable`] if another user can write to it.
pub(crate) fn expect_own_folder(folder: &Path) -> Result<(), Problem> {
    let metadata = fs::metadata(folder)?;
    if is_open_folder(&metadata, &Process::current()) {
        let (what, path, mode) = ("it", folder.to_owned(), mode(&metadata));
        return Err(Problem::Writable { what, path, mode });
    }
    expect_safe_parent(folder)
}

/// Refuses a path whose folder lets another user put another file in its place. In a sticky folder
/// (a temporary one) only the file's owner can.
fn expect_safe_parent(path: &Path) -> Result<(), Problem> {
    let real = path.canonicalize()?;
    let Some(folder) = real.parent() else {
        return Ok(());
    };
    let metadata = fs::metadata(folder)?;
    let is_sticky = metadata.permissions().mode() & 0o1000 != 0;
    if !is_sticky && is_open_folder(&metadata, &Process::current()) {
        return Err(Problem::Writable {
            what: "the folder it lies in",
            path: folder.to_owned(),
            mode: mode(&metadata),
        });
    }
    Ok(())
}

fn is_open_folder(metadata: &Metadata, process: &Process) -> bool {
    let mode = mode(metadata);
    let by_group = mode & 0o020 != 0 && !process.needs_the_group(metadata);
    mode & 0o002 != 0 || by_group
}

fn expect_secret(path: &Path, metadata: &Metadata, process: &Process) -> Result<(), Problem> {
    if !metadata.is_file() {
        // A pipe (`<(command)`) has no name by which another user could open it.
        return Ok(());
    }
    let mode = mode(metadata);
    let allowed = match process.needs_the_group(metadata) {
        true => 0o740,
        false => 0o700,
    };
    if mode & !allowed == 0 {
        return Ok(());
    }
    let wanted = match allowed {
        0o740 => "440",
        _ => "600",
    };
    let path = path.to_owned();
    Err(Problem::Readable { path, mode, wanted })
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o777
}

fn read(file: File, limit: u64) -> Result<Vec<u8>, Problem> {
    // The size is a hint, so that a secret is not copied about while the buffer grows.
    let size = file.metadata()?.len().min(limit).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(Problem::TooLarge(limit)),
        false => Ok(bytes),
    }
}

/// The user and the groups of this process.
struct Process {
    user: u32,
    groups: BTreeSet<u32>,
}

impl Process {
    fn current() -> Self {
        let mut groups: BTreeSet<u32> = rustix::process::getgroups()
            .unwrap_or_default()
            .into_iter()
            .map(|group| group.as_raw())
            .collect();
        groups.insert(rustix::process::getegid().as_raw());
        let user = rustix::process::geteuid().as_raw();
        Self { user, groups }
    }

    /// Whether the group's right is what this process reaches the file by: another user's file, of
    /// a group of ours or of root's own.
    fn needs_the_group(&self, metadata: &Metadata) -> bool {
        let is_ours = metadata.uid() == self.user;
        !is_ours && (metadata.gid() == 0 || self.groups.contains(&metadata.gid()))
    }
}

#[cfg(test)]
mod tests;
