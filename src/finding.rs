//! One result of a check: of `daypass serve --check` about the server, and of `daypass host doctor`
//! about a host. Pure.

use serde::Serialize;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// Worth knowing; everything works.
    Note,
    /// It works, and may soon not.
    Warning,
    /// It does not work, or lets in what it should refuse.
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
    pub(crate) fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Good, check, message)
    }

    pub(crate) fn note(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Note, check, message)
    }

    pub(crate) fn warning(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, message)
    }

    pub(crate) fn wrong(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Wrong, check, message)
    }

    /// True if there is nothing to say about it.
    pub(crate) fn is_good(&self) -> bool {
        self.level == Level::Good
    }

    /// True if it is a fault.
    pub(crate) fn is_wrong(&self) -> bool {
        self.level == Level::Wrong
    }

    /// Something wrong as a warning, with its reason.
    pub(crate) fn softened(mut self, why: &str) -> Self {
        if self.is_wrong() {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn scripts_read_the_level_as_a_word() {
        for (level, word) in [
            (Level::Good, "good"),
            (Level::Note, "note"),
            (Level::Warning, "warning"),
            (Level::Wrong, "wrong"),
        ] {
            assert_eq!(serde_json::to_value(level).unwrap(), word);
        }
    }

    #[test]
    fn only_what_is_wrong_is_softened() {
        let softened = Finding::wrong("a", "broken").softened(": later");
        assert_eq!(softened, Finding::warning("a", "broken: later"));
        let good = Finding::good("a", "fine");
        assert_eq!(good.clone().softened(": later"), good);
    }
}
