//! What a caller may put into the holes of a command.

use super::pattern::Pattern;

/// The most bytes a value may have, whatever the pattern allows.
pub const MAX_VALUE: usize = 1024;

/// One parameter of a role.
#[derive(Clone, Debug)]
pub struct Parameter {
    name: String,
    rule: Rule,
    option: bool,
}

/// Which values are allowed.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Those that match as a whole.
    Pattern(Pattern),
    /// These.
    OneOf(Vec<String>),
}

impl Parameter {
    /// A parameter; with `option` a value may open a word with `-`.
    pub(super) fn new(name: String, rule: Rule, option: bool) -> Self {
        Self { name, rule, option }
    }

    /// As the command's hole names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which values are allowed.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The pattern, where that is the rule.
    pub fn pattern(&self) -> Option<&str> {
        match &self.rule {
            Rule::Pattern(pattern) => Some(pattern.source()),
            Rule::OneOf(_) => None,
        }
    }

    /// The list of values, where that is the rule; else empty.
    pub fn one_of(&self) -> &[String] {
        match &self.rule {
            Rule::Pattern(_) => &[],
            Rule::OneOf(values) => values,
        }
    }

    /// Whether a value may be an option of the program (open a word with `-`).
    pub fn may_be_option(&self) -> bool {
        self.option
    }

    /// Whether `value` may fill the hole.
    ///
    /// # Errors
    /// A sentence for the caller: what is allowed.
    pub fn check(&self, value: &str) -> Result<(), String> {
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
