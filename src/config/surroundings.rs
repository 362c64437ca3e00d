//! Surroundings to which the values of a configuration file are relative.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::error::Problem;

/// The folders that the file's values are relative to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// The folder of the configuration file.
    pub folder: PathBuf,
    /// systemd's `$STATE_DIRECTORY`.
    pub state_directory: Option<PathBuf>,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials_directory: Option<PathBuf>,
    /// The files that could not be read, for a reload: it compares `daypass.toml` alone, and the
    /// daemon keeps what it has read. None: a start, which reads every file.
    pub(crate) unread: Option<Unread>,
}

/// Problems of files that a reload does not need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread(Arc<Mutex<Vec<Problem>>>);

impl Unread {
    pub(super) fn take(&self) -> Vec<Problem> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Surroundings {
    /// Those of this process, for a file in `folder`.
    pub(crate) fn of_process(folder: &Path) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // systemd separates several state folders by colons; the first is ours.
        let first = |value: std::ffi::OsString| std::env::split_paths(&value).next();
        Self {
            folder: folder.to_owned(),
            state_directory: variable("STATE_DIRECTORY").and_then(first),
            credentials_directory: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            unread: None,
        }
    }

    /// The content of a file that only a start needs; for a reload that cannot read it,
    /// `stand_in`.
    ///
    /// # Errors
    /// Returns the problem at a start.
    pub(super) fn or_stand_in<T>(
        &self,
        read: Result<T, Problem>,
        stand_in: impl FnOnce() -> T,
    ) -> Result<T, Problem> {
        match (read, &self.unread) {
            (Err(problem), Some(unread)) => {
                unread.0.lock().push(problem);
                Ok(stand_in())
            }
            (read, _) => read,
        }
    }

    /// A path relative to the configuration file.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}
