//! The place up to which a log was read, `logins.json`.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    host::{
        Error,
        files::{Layout, read, replace},
        settings::LoginLog,
    },
    unix_seconds::{UnixSeconds, moment},
};

/// Time for which a gap is a fault of the host.
const TOLD: Duration = Duration::from_secs(24 * 3600);

/// The place up to which the logins of a log were reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    pub(super) log: LoginLog,
    /// The time up to which all was read.
    pub(super) until: UnixSeconds,
    pub(super) at: At,
    /// The last lines that were gone before they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gap: Option<Gap>,
}

/// A place in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum At {
    /// The journal from this time on.
    Since(UnixSeconds),
    /// After the journal's entry with this cursor.
    Cursor(String),
    /// In a file.
    Offset {
        /// The file's number, which rotation by renaming keeps.
        inode: u64,
        /// Bytes that were read.
        offset: u64,
        /// Hex SHA-256 of the last bytes before the offset ([`super::log_file`]): a copy of the
        /// file has them too.
        mark: String,
    },
}

impl Default for At {
    fn default() -> Self {
        Self::Since(UnixSeconds::default())
    }
}

/// Lines that were gone before they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gap {
    pub(super) noticed: UnixSeconds,
    /// The time up to which all was read before. Later than `noticed`: the clock was put back.
    pub(super) since: UnixSeconds,
}

impl Gap {
    pub(super) fn is_recent(&self, now: UnixSeconds) -> bool {
        // A clock that was ahead may have noticed it in the future.
        now.get().abs_diff(self.noticed.get()) < TOLD.as_secs()
    }

    pub(super) fn spoken(&self) -> String {
        if self.since > self.noticed {
            return format!(
                "the clock of this host was put back to {} from {} or later, so logins before that were perhaps not reported: \
                 compare old logs by daypass ledger reconcile",
                moment(self.noticed.get()),
                moment(self.since.get())
            );
        }
        format!(
            "sshd's log of some time between {} and {} was removed before it was read, so logins in it were not reported: \
             compare old logs by daypass ledger reconcile",
            moment(self.since.get()),
            moment(self.noticed.get())
        )
    }
}

impl Place {
    /// The same for a clock that was put back since: a time in the future is none up to which
    /// something was read, and nothing is logged after it for long.
    pub(super) fn not_after(mut self, now: UnixSeconds) -> Self {
        if let At::Since(since) = self.at
            && since > now
        {
            self.at = At::Since(now);
            self.gap = Some(Gap {
                noticed: now,
                since,
            });
        }
        self.until = self.until.min(now);
        self
    }

    /// Reads it; none if no logins were reported yet.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be read, and [`Error::Usage`] if it is damaged.
    pub(super) fn load(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = layout.logins();
        let bytes = read(&path)?;
        let place = bytes.map(|bytes| serde_json::from_slice(&bytes));
        place.transpose().map_err(|error| damaged(&path, &error))
    }

    /// Replaces it.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be written.
    pub(super) fn save(&self, layout: &Layout) -> Result<(), Error> {
        let path = layout.logins();
        replace(&path, &self.to_bytes(&path)?)
    }

    /// The content of the file.
    ///
    /// # Errors
    /// Returns the error if it cannot be serialized.
    pub(super) fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let mut json = serde_json::to_vec(self).map_err(|error| damaged(path, &error))?;
        json.push(b'\n');
        Ok(json)
    }
}

fn damaged(path: &Path, error: &serde_json::Error) -> Error {
    Error::Usage(format!(
        "{} is damaged ({error}): remove it, and logins are reported from then on",
        path.display()
    ))
}
