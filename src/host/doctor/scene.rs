//! One result of a check, and what the checks look at.

use serde::Serialize;

use super::account::Accounts;
use crate::{
    host::{Settings, files::Layout, keys::CaKeys, sshd::Effective},
    unix_seconds::UnixSeconds,
};

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// Worth knowing; passes work.
    Note,
    /// Passes are refused that should be accepted, or accepted that should be refused.
    Wrong,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Its severity.
    pub level: Level,
    /// The name of the check: a stable word for scripts.
    pub check: &'static str,
    /// Message that says what was found, what it means for passes, and what to do.
    pub message: String,
}

impl Finding {
    pub(super) fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Good, check, message)
    }

    pub(super) fn note(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Note, check, message)
    }

    pub(super) fn wrong(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Wrong, check, message)
    }

    /// Whether there is nothing to say about it.
    pub(super) fn is_good(&self) -> bool {
        self.level == Level::Good
    }

    fn new(level: Level, check: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            level,
            check,
            message,
        }
    }
}

/// The state of this host that the checks look at.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) layout: &'a Layout,
    pub(super) settings: &'a Settings,
    /// sshd's configuration in force.
    pub(super) effective: &'a Effective,
    /// The trusted CA keys; none if the file is missing or broken.
    pub(super) keys: Option<&'a CaKeys>,
    /// The keys of another CA that are trusted too.
    pub(super) other_keys: Option<&'a CaKeys>,
    /// The login name that was asked about.
    pub(super) user: Option<&'a str>,
    /// The client address that was asked about.
    pub(super) address: Option<&'a str>,
    /// The accounts of this machine.
    pub(super) accounts: &'a Accounts,
    /// Unix seconds.
    pub(super) now: UnixSeconds,
}

/// The login that was asked about, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Examined<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) address: Option<&'a str>,
}
