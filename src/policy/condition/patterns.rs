//! The parts of a compiled condition.

use std::collections::HashMap;

use regex::Regex;

/// The compiled patterns of `matches` calls, by their text.
pub(crate) type Patterns = HashMap<String, Regex>;

/// Operator that joins the branches of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// It has no branches: it is one comparison.
    None,
    /// All must hold.
    All,
    /// One must hold.
    Any,
}
