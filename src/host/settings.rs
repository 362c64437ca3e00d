//! The settings of this host's set-up, `host.json`: written by `setup`, read by `sync` and
//! `doctor`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Error,
    files::{Layout, read},
};

/// The content of `host.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The CA's address, `https://HOST:PORT`.
    pub server: String,
    /// The host groups of this host; none: passes name plain logins.
    pub groups: Vec<String>,
    /// The user that sshd runs the principals command as.
    pub principals_user: String,
    /// Whether only the roots in [`Layout::tls_ca`] are trusted for the server's TLS, instead of
    /// the operating system's.
    pub own_tls_ca: bool,
    /// Whether the keys in [`Layout::other_ca_keys`] are trusted too.
    #[serde(default)]
    pub also_trust: bool,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns [`Error::NotSetUp`] if `setup` never ran, and [`Error::Usage`] if the file is
    /// damaged.
    pub(crate) fn load(layout: &Layout) -> Result<Self, Error> {
        let path = layout.settings();
        let text = read(&path)?.ok_or(Error::NotSetUp)?;
        serde_json::from_slice(&text).map_err(|error| {
            Error::Usage(format!(
                "{} is damaged ({error}); run again: daypass host setup",
                path.display()
            ))
        })
    }

    /// The file for `TrustedUserCAKeys`.
    pub(crate) fn trusted_file(&self, layout: &Layout) -> PathBuf {
        match self.also_trust {
            true => layout.both_ca_keys(),
            false => layout.ca_keys(),
        }
    }

    /// PEM roots for the server's TLS; none: the operating system's.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the file is missing.
    pub(crate) fn roots(&self, layout: &Layout) -> Result<Option<Vec<u8>>, Error> {
        if !self.own_tls_ca {
            return Ok(None);
        }
        let path = layout.tls_ca();
        let pem = read(&path)?.ok_or_else(|| {
            Error::Usage(format!(
                "{} is missing; run again: daypass host setup --ca-file FILE",
                path.display()
            ))
        })?;
        Ok(Some(pem))
    }
}
