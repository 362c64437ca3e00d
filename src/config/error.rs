//! Reason why a configuration is refused, and the place in its text.

use std::ops::Range;

use crate::modes;

/// Reason why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("failed to read {file}: {source}")]
    Read {
        /// Its path.
        file: String,
        /// The reason.
        source: modes::Problem,
    },
    /// Its content is invalid.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// Its path.
        file: String,
        /// From 1.
        line: usize,
        /// The problem and what to do.
        message: String,
    },
}

/// A problem, and its place in the text.
#[derive(Debug)]
pub(super) struct Problem {
    at: Range<usize>,
    message: String,
}

impl Problem {
    pub(super) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    pub(super) fn in_file(self, text: &str, origin: &str) -> Error {
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
        // An error is one line; the parser's advice may have several.
        let message = error.message().replace('\n', ": ");
        Self::new(error.span().unwrap_or(0..0), format!("{message}{hint}"))
    }
}
