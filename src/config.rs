//! Reads `daypass.toml` into the modules' own types, once. Refuses an invalid file with its line
//! and what to do. Secrets stand in it as paths or systemd credentials only. No module below
//! `config` imports it.

mod ca_keys;
mod differences;
mod error;
mod example;
mod files;
mod hosts;
mod issuer;
mod limits;
mod names;
mod raw;
mod settings;
mod signer;
mod signer_address;
mod store;
mod surroundings;
mod validate;
mod web;
mod webhook;

use std::path::{Path, PathBuf};

use crate::{modes, notify, reference::Section};

pub(crate) use error::Error;
pub(crate) use example::{
    Example, POLICY_FILE, SERVER_FILE, SIGNER_FILE, SharedStore, SignerExample,
};
pub use settings::{CaKey, Config, Hosts, Keeper, Log, LogLevel, SignerAddress, TlsFiles};
pub(crate) use signer::{SignerConfig, signer_reference};
pub(crate) use surroundings::{Surroundings, Unread};

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
        Self::load_in(file, None)
    }

    /// Reads the configuration for a reload, which compares the file alone, or for a restore: what
    /// it names beside the policy and the TLS certificate, and cannot be read, is in
    /// [`Config::unread`].
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn load_for_reload(file: &Path) -> Result<Self, Error> {
        Self::load_in(file, Some(Unread::default()))
    }

    fn load_in(file: &Path, unread: Option<Unread>) -> Result<Self, Error> {
        let text = modes::read_trusted_text(file, LONGEST).map_err(|source| Error::Read {
            file: file.display().to_string(),
            source,
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let around = Surroundings {
            unread,
            ..Surroundings::of_process(folder)
        };
        Self::parse(&text, &file.display().to_string(), &around)
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
        let mut config = read().map_err(|problem| problem.in_file(text, origin))?;
        let unread = around.unread.iter().flat_map(Unread::take);
        let unread = unread.map(|problem| problem.in_file(text, origin).to_string());
        config.unread = unread.collect();
        Ok(config)
    }

    /// The files that could not be read, each with its line and the problem.
    pub(crate) fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Loads the same file again, as it is now, for a reload.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn read_again(&self) -> Result<Self, Error> {
        Self::load_for_reload(&self.origin)
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

    /// The files that the text names by a key that ends in `_file`, such as a webhook's secret, and
    /// whether each is secret. Those that open a key are not among them: a copy of the key without
    /// them is worth nothing.
    pub(crate) fn named_files(&self) -> Vec<(PathBuf, bool)> {
        let folder = self.origin.parent().unwrap_or(Path::new("."));
        let mut files = Vec::new();
        let mut tables = vec![&self.document];
        while let Some(table) = tables.pop() {
            for (key, value) in table {
                match value {
                    toml::Value::String(path)
                        if key.ends_with("_file")
                            && !["passphrase_file", "pin_file"].contains(&key.as_str()) =>
                    {
                        files.push((folder.join(path), key != "ca_file"));
                    }
                    toml::Value::Table(inner) => tables.push(inner),
                    toml::Value::Array(values) => {
                        tables.extend(values.iter().filter_map(toml::Value::as_table));
                    }
                    _ => {}
                }
            }
        }
        files.sort();
        files.dedup();
        files
    }

    /// The names of the settings in which `other` differs, such as `log.level`. Comments and layout
    /// do not count.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        differences::names(&self.document, &other.document)
    }
}

#[cfg(test)]
mod tests;
