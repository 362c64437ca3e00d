//! One result of a check.

use serde::Serialize;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// It works, and may soon not.
    Warning,
    /// The daemon does not start, or its users cannot use it.
    Wrong,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Its severity.
    pub level: Level,
    /// The name of the check: a stable word for scripts.
    pub check: &'static str,
    /// Message that says what was found, and what to do.
    pub message: String,
}

impl Finding {
    pub(super) fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Good, check, message)
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, message)
    }

    pub(super) fn wrong(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Wrong, check, message)
    }

    /// Something wrong as a warning, with its reason.
    pub(super) fn softened(mut self, why: &str) -> Self {
        if self.level == Level::Wrong {
            self.level = Level::Warning;
            self.message.push_str(why);
        }
        self
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
