//! Parameters: the values that a caller may put into a command.

use super::pattern::Pattern;

/// Largest value, in bytes, for any pattern.
pub(crate) const MAX_VALUE: usize = 1024;

/// One parameter of a role.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    name: String,
    rule: Rule,
    option: bool,
}

/// The allowed values.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    /// Values that match as a whole.
    Pattern(Pattern),
    /// Exactly these values.
    OneOf(Vec<String>),
}

impl Parameter {
    /// Creates a parameter. With `option`, a value at the start of a word may begin with `-`.
    pub(super) fn new(name: String, rule: Rule, option: bool) -> Self {
        Self { name, rule, option }
    }

    /// The name, as in the command's hole.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The allowed values.
    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The pattern, if the rule is one.
    pub(crate) fn pattern(&self) -> Option<&str> {
        match &self.rule {
            Rule::Pattern(pattern) => Some(pattern.source()),
            Rule::OneOf(_) => None,
        }
    }

    /// The list of values; empty if the rule is a pattern.
    pub(crate) fn one_of(&self) -> &[String] {
        match &self.rule {
            Rule::Pattern(_) => &[],
            Rule::OneOf(values) => values,
        }
    }

    /// Whether a value may be an option of the program (begin a word with `-`).
    pub(crate) fn may_be_option(&self) -> bool {
        self.option
    }

    /// Checks that `value` is allowed.
    ///
    /// # Errors
    /// Returns a sentence for the caller that says what is allowed.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let name = &self.name;
        if value.len() > MAX_VALUE {
            return Err(format!(
                "parameter `{name}` has {} bytes; at most {MAX_VALUE} are allowed",
                value.len()
            ));
        }
        if value.chars().any(char::is_control) {
            return Err(format!(
                "parameter `{name}` holds a control character, which no force-command may carry"
            ));
        }
        match &self.rule {
            Rule::Pattern(pattern) if pattern.matches(value) => Ok(()),
            Rule::Pattern(pattern) => Err(format!(
                "parameter `{name}` must match {} as a whole",
                pattern.source()
            )),
            Rule::OneOf(values) if values.iter().any(|allowed| allowed == value) => Ok(()),
            Rule::OneOf(values) => Err(format!(
                "parameter `{name}` must be one of {}",
                values.join(", ")
            )),
        }
    }
}
