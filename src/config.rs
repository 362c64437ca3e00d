//! `daypass.toml` -> the modules' own types, once. A file that is wrong anywhere is refused with its line and what to do.
//! Secrets stand in it as paths or systemd credentials only. Nothing below `config` imports it.

mod example;
mod issuer;
mod limits;
mod raw;
mod validate;
mod webhook;

use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    ca::KeyState,
    identity, modes, notify,
    server::{Limits, log::Format},
};

pub use example::{Example, POLICY_FILE, SERVER_FILE};

/// The most bytes of a configuration file.
const LONGEST: u64 = 1024 * 1024;

/// A whole, valid server configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host that users dial, and the name possession proofs are made for.
    pub name: String,
    /// Where the server listens, unless systemd passes a socket.
    pub listen: SocketAddr,
    /// The folder of ledger, checkpoint and lock.
    pub state: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
    /// `None`: plain text, and `listen` is loopback.
    pub tls: Option<TlsFiles>,
    /// The CA's keys; exactly one is active.
    pub ca_keys: Vec<CaKey>,
    /// The ledger's own Ed25519 key.
    pub ledger_key: PathBuf,
    /// At least one, with distinct names and URLs.
    pub issuers: Vec<identity::Settings>,
    /// What callers may use.
    pub limits: Limits,
    /// Whether `/metrics` answers callers that are not on loopback.
    pub metrics_public: bool,
    /// What is logged, and how.
    pub log: Log,
    /// Who is told what the ledger records; with distinct names.
    pub webhooks: Vec<notify::Settings>,
    /// When what failed is told again. The file does not say; tests do.
    pub webhook_schedule: notify::Schedule,
    origin: PathBuf,
    document: toml::Table,
}

/// PEM files of the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// One `[[ca.key]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaKey {
    /// An OpenSSH private key file.
    pub file: PathBuf,
    /// The file that holds the passphrase of an encrypted key (a systemd credential is a file too).
    pub passphrase: Option<PathBuf>,
    /// The key's place in its life.
    pub state: KeyState,
}

/// `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON lines.
    pub format: Format,
    /// The least severe level that is written.
    pub level: LogLevel,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What an operator must act on.
    Error,
    /// And what may become that.
    Warn,
    /// And every decision.
    #[default]
    Info,
    /// And what helps to find a fault.
    Debug,
}

impl LogLevel {
    /// The `tracing` filter: this level for Daypass, and of the libraries only warnings, for below that some of them
    /// write headers and bodies, which hold tokens.
    pub fn filter(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "warn,daypass=info",
            Self::Debug => "warn,daypass=debug",
        }
    }
}

/// What the file's values are relative to.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The folder of the configuration file.
    pub folder: PathBuf,
    /// systemd's `$STATE_DIRECTORY`.
    pub state_directory: Option<PathBuf>,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials_directory: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process, for a file in `folder`.
    fn of_process(folder: &Path) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // systemd separates several state folders by colons; the first is ours.
        let first = |value: std::ffi::OsString| std::env::split_paths(&value).next();
        Self {
            folder: folder.to_owned(),
            state_directory: variable("STATE_DIRECTORY").and_then(first),
            credentials_directory: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// Relative paths are relative to the file they stand in.
    fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`Error::Read`] where it cannot be read, [`Error::Invalid`] for anything wrong in it.
    pub fn load(file: &Path) -> Result<Self, Error> {
        let text = modes::read_trusted_text(file, LONGEST).map_err(|source| Error::Read {
            file: file.display().to_string(),
            source,
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::parse(
            &text,
            &file.display().to_string(),
            &Surroundings::of_process(folder),
        )
    }

    /// Checks a configuration's text. `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the line of the first thing that is wrong.
    pub fn parse(text: &str, origin: &str, around: &Surroundings) -> Result<Self, Error> {
        let read = || -> Result<Self, Problem> {
            let file: raw::File = toml::from_str(text)?;
            let document = toml::from_str(text)?;
            validate::config(file, document, origin.into(), around)
        };
        read().map_err(|problem| problem.in_file(text, origin))
    }

    /// Loads the file that this came from as it is now.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read_again(&self) -> Result<Self, Error> {
        Self::load(&self.origin)
    }

    /// The ledger's name in its checkpoints.
    pub fn ledger_origin(&self) -> String {
        format!("{}/ledger", self.name)
    }

    /// Whether anybody is paged in an emergency.
    pub fn can_page(&self) -> bool {
        let takes = |webhook: &notify::Settings| {
            webhook
                .events
                .contains(&notify::NotificationKind::Emergency)
        };
        self.webhooks.iter().any(takes)
    }

    /// The top-level keys and sections in which `other` differs. Comments and layout do not count.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names = self.document.keys().chain(other.document.keys());
        let mut changed: Vec<String> = names
            .filter(|name| self.document.get(*name) != other.document.get(*name))
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file itself.
    #[error("failed to read {file}: {source}")]
    Read {
        /// Its path.
        file: String,
        /// Why.
        source: modes::Problem,
    },
    /// What is in it.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// Its path.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong and what to do.
        message: String,
    },
}

/// What is wrong, and where in the text.
#[derive(Debug)]
struct Problem {
    at: Range<usize>,
    message: String,
}

impl Problem {
    fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    fn in_file(self, text: &str, origin: &str) -> Error {
        let before = text.as_bytes().iter().take(self.at.start);
        Error::Invalid {
            file: origin.to_owned(),
            line: 1 + before.filter(|byte| **byte == b'\n').count(),
            message: self.message,
        }
    }
}

impl From<toml::de::Error> for Problem {
    fn from(error: toml::de::Error) -> Self {
        let hint = if error.message().starts_with("missing field") {
            "; `daypass init` writes an example with every key"
        } else {
            ""
        };
        // The parser's advice may take several lines; an error is one.
        let message = error.message().replace('\n', ": ");
        Self::new(error.span().unwrap_or(0..0), format!("{message}{hint}"))
    }
}

#[cfg(test)]
mod tests;
