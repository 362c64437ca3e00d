//! What failed at the last sync, kept for `doctor`.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    files::{Layout, put, read, to_json},
};
use crate::unix_seconds::UnixSeconds;

/// The last sync if it failed: the content of `sync-failed.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedSync {
    /// Its time.
    pub tried: UnixSeconds,
    /// The error's stable reason code.
    pub reason: String,
    /// The error, and what helps.
    pub error: String,
}

impl FailedSync {
    /// Reads it; none if the last sync succeeded, or there was none yet.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be read.
    pub(crate) fn load(layout: &Layout) -> Result<Option<Self>, Error> {
        Self::load_at(&layout.failed_sync())
    }

    /// The same for what else a host does at each sync.
    ///
    /// # Errors
    /// As [`FailedSync::load`].
    pub(crate) fn load_at(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = read(path)?;
        Ok(bytes.map(|bytes| {
            serde_json::from_slice(&bytes).unwrap_or_else(|error| Self {
                tried: UnixSeconds(0),
                reason: "FILE".to_owned(),
                error: format!("{} is damaged ({error})", path.display()),
            })
        }))
    }

    /// Keeps a failure.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be written.
    pub(super) fn save_at(path: &Path, now: UnixSeconds, error: &Error) -> Result<(), Error> {
        let failed = Self {
            tried: now,
            reason: error.reason().to_owned(),
            error: error.to_string(),
        };
        put(path, &to_json(&failed)?).map(drop)
    }

    /// Forgets a failure.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be removed.
    pub(super) fn forget_at(path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
