//! Reads `daypass.toml` into the modules' own types, once. Refuses an invalid file with its line
//! and what to do. Secrets stand in it as paths or systemd credentials only. No module below
//! `config` imports it.

mod differences;
mod error;
mod example;
mod files;
mod issuer;
mod limits;
mod names;
mod raw;
mod settings;
mod surroundings;
mod validate;
mod webhook;

use std::path::Path;

use crate::{modes, notify, reference::Section};

pub(crate) use error::Error;
pub(crate) use example::{Example, POLICY_FILE, SERVER_FILE};
pub use settings::{CaKey, Config, Log, LogLevel, TlsFiles};
pub(crate) use surroundings::Surroundings;

use error::Problem;

/// The most bytes of a configuration file.
const LONGEST: u64 = 1024 * 1024;

/// The sections of `daypass.toml`, for the manual.
pub(crate) fn reference() -> Vec<Section> {
    raw::reference()
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Returns [`Error::Read`] if it cannot be read, and [`Error::Invalid`] if it is invalid.
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
    /// Returns [`Error::Invalid`] with the line of the first problem.
    pub(crate) fn parse(text: &str, origin: &str, around: &Surroundings) -> Result<Self, Error> {
        let read = || -> Result<Self, Problem> {
            let file: raw::File = toml::from_str(text)?;
            let document = toml::from_str(text)?;
            validate::config(file, document, origin.into(), around)
        };
        read().map_err(|problem| problem.in_file(text, origin))
    }

    /// Loads the same file again, as it is now.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn read_again(&self) -> Result<Self, Error> {
        Self::load(&self.origin)
    }

    /// The ledger's name in its checkpoints.
    pub(crate) fn ledger_origin(&self) -> String {
        format!("{}/ledger", self.name)
    }

    /// True if at least one webhook takes pages.
    pub(crate) fn can_page(&self) -> bool {
        let takes = |webhook: &notify::Settings| {
            webhook
                .events
                .contains(&notify::NotificationKind::Emergency)
        };
        self.webhooks.iter().any(takes)
    }

    /// The file that it was read from.
    pub(crate) fn origin(&self) -> &Path {
        &self.origin
    }

    /// The names of the settings in which `other` differs, such as `log.level`. Comments and layout
    /// do not count.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        differences::names(&self.document, &other.document)
    }
}

#[cfg(test)]
mod tests;
