//! The lock against a second daemon on the same folder.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use super::Error;
use crate::modes::{self, IfThere};

/// Held as long as the daemon may write. The system releases it when the process ends, even if it
/// is killed.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Unlocks, and does not only close: a program that this process is starting just now has the
    /// file open too until it runs.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes `folder/lock`, and writes this process's id into it for the message of a second
    /// daemon.
    ///
    /// # Errors
    /// Returns [`Error::Locked`] if another daemon has it, and [`Error::Unavailable`] if the file
    /// cannot be written.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("lock");
        let failed =
            |error: std::io::Error| Error::Unavailable(format!("{}: {error}", path.display()));
        let mut file = modes::create_own(&path, IfThere::Keep).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked(describe(folder, &mut file)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { file })
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The folder, and the process that has it, if the file names it.
fn describe(folder: &Path, file: &mut File) -> String {
    let mut text = String::new();
    let pid = file.take(20).read_to_string(&mut text).ok();
    match pid.and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(pid) => format!("{} (process {pid})", folder.display()),
        None => folder.display().to_string(),
    }
}
