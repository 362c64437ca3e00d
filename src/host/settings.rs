//! The settings of this host's set-up, `host.json`: written by `setup`, read by `sync` and
//! `doctor`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Error,
    files::{Layout, read},
};
use crate::outbound::parse_roots;

/// The account that sshd runs the principals command as, unless `setup` names another: the one
/// that owns nothing.
pub(crate) const USUAL_USER: &str = "nobody";

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
    /// Whether the roots in [`Layout::tls_ca`] are trusted for the server's TLS, beside the
    /// operating system's.
    pub own_tls_ca: bool,
    /// Whether the keys in [`Layout::other_ca_keys`] are trusted too.
    #[serde(default)]
    pub also_trust: bool,
    /// What the server knows this host as; none: it has not joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Joined>,
    /// The log whose logins are reported to the server; none: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logins: Option<LoginLog>,
}

/// Where sshd logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LoginLog {
    /// The systemd journal.
    Journal,
    /// A file, such as `/var/log/auth.log`.
    File(PathBuf),
}

/// A host that has joined: its names, and the host keys that have a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Joined {
    /// Its name at the server.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Its host group at the server.
    pub group: String,
    /// Its host keys, in the order in which they were proven.
    pub keys: Vec<JoinedKey>,
    /// SHA-256 of the join code or token, in hex: the same one again changes nothing.
    pub joined_by: String,
}

/// A host key that has a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinedKey {
    /// The key file that sshd's configuration names.
    pub file: PathBuf,
    /// The key's fingerprint.
    pub fingerprint: String,
    /// Its type in the name of the certificate's file: `ed25519`, `ecdsa`, ...
    pub kind: String,
}

impl Joined {
    /// Name and aliases: the principals of each certificate.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let name = [self.name.as_str()];
        name.into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }
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

    /// The `host setup` that makes this host what it is, to be run again with more options.
    pub(crate) fn setup_command(&self) -> String {
        let mut command = format!("daypass host setup --server {}", self.server);
        for group in &self.groups {
            command.push_str(" --group ");
            command.push_str(group);
        }
        if self.principals_user != USUAL_USER {
            command.push_str(" --principals-user ");
            command.push_str(&self.principals_user);
        }
        if self.also_trust {
            command.push_str(" --also-trust FILE");
        }
        command
    }

    /// PEM roots for the server's TLS, beside the operating system's; none: only those.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] with the command that helps if the file of `setup` cannot be used.
    /// The operating system's roots may still be enough.
    pub(crate) fn roots(&self, layout: &Layout) -> Result<Option<Vec<u8>>, Error> {
        if !self.own_tls_ca {
            return Ok(None);
        }
        let path = layout.tls_ca();
        let unusable = |why: &dyn std::fmt::Display| {
            Error::Usage(format!(
                "{} cannot be used ({why}), so only the system's roots count; run again: {} --ca-file FILE",
                path.display(),
                self.setup_command()
            ))
        };
        let pem = read(&path).map_err(|error| unusable(&error))?;
        let pem = pem.ok_or_else(|| unusable(&"it is missing"))?;
        parse_roots(&pem).map_err(|error| unusable(&error))?;
        Ok(Some(pem))
    }
}
