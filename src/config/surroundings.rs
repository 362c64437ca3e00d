//! Surroundings to which the values of a configuration file are relative.

use std::path::{Path, PathBuf};

/// The folders that the file's values are relative to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// The folder of the configuration file.
    pub folder: PathBuf,
    /// systemd's `$STATE_DIRECTORY`.
    pub state_directory: Option<PathBuf>,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials_directory: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process, for a file in `folder`.
    pub(super) fn of_process(folder: &Path) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // systemd separates several state folders by colons; the first is ours.
        let first = |value: std::ffi::OsString| std::env::split_paths(&value).next();
        Self {
            folder: folder.to_owned(),
            state_directory: variable("STATE_DIRECTORY").and_then(first),
            credentials_directory: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// A path relative to the configuration file.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}
