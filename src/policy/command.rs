//! Typed force-commands: an argv with holes becomes one line for the shell, with each word quoted.
//!
//! sshd runs `SHELL -c LINE`. Every POSIX shell splits the line into exactly the words of the
//! policy: no value can add a word, end a quote or use the shell's syntax. `internal-sftp` runs
//! without a shell.

mod internal_sftp;
mod quote;

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

use super::{
    parameter::{MAX_VALUE, Parameter},
    template::{Claim, Part, Template},
};

/// Largest command line, in bytes.
pub(crate) const MAX_LINE: usize = 8 * 1024;

/// The only program that may be named without a path: sshd runs it itself (session.c,
/// `IS_INTERNAL_SFTP`), without a shell.
const INTERNAL_SFTP: &str = "internal-sftp";

/// A command whose words may have holes.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    words: Vec<Template>,
}

impl Command {
    /// Creates a command from its words.
    ///
    /// # Errors
    /// Returns a sentence for the policy's author if there are no words, a word has a control
    /// character (a host would run several lines), or the program is not a literal absolute path.
    pub(crate) fn of(words: Vec<Template>) -> Result<Self, String> {
        if words.iter().flat_map(Template::parts).any(is_several_lines) {
            return Err(
                "`command` holds a control character; it must be one line of text".to_owned(),
            );
        }
        let program = words
            .first()
            .ok_or("`command` is empty; name the program, or remove the key")?;
        match program.literal() {
            Some(path) if path.starts_with('/') => Ok(Self { words }),
            Some(path) if path == INTERNAL_SFTP => {
                internal_sftp::check_words(&words)?;
                Ok(Self { words })
            }
            Some(path) => Err(format!(
                "{path:?} depends on the host's PATH; write the program's absolute path"
            )),
            None => Err("the program has a hole; write it as literal text".to_owned()),
        }
    }

    /// Checks that the values which the parameters allow can be words of the program.
    ///
    /// # Errors
    /// Returns a sentence for the policy's author.
    pub(crate) fn check_parameters(
        &self,
        parameters: &BTreeMap<String, Parameter>,
    ) -> Result<(), String> {
        match self.is_internal_sftp() {
            true => internal_sftp::check_parameters(&self.words, parameters),
            false => Ok(()),
        }
    }

    fn is_internal_sftp(&self) -> bool {
        let program = self.words.first().and_then(Template::literal);
        program.is_some_and(|program| program == INTERNAL_SFTP)
    }

    /// The words, as the policy file spells them.
    pub(crate) fn words(&self) -> &[Template] {
        &self.words
    }

    /// The names of the parameters in its holes.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.words.iter().flat_map(Template::parameters)
    }

    /// The exact line for the shell. `values` must have passed [`Parameter::check`].
    ///
    /// # Errors
    /// Returns a sentence for the caller if a value is missing or would become an option, a claim
    /// is unusable, or the line is too long.
    pub(crate) fn line(
        &self,
        parameters: &BTreeMap<String, Parameter>,
        values: &BTreeMap<String, String>,
        claims: &Map<String, Value>,
    ) -> Result<String, String> {
        let holes = Holes {
            parameters,
            values,
            claims,
        };
        let is_internal_sftp = self.is_internal_sftp();
        let mut line = String::new();
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                line.push(' ');
            }
            let word = holes.fill(word)?;
            if is_internal_sftp {
                internal_sftp::check_word(&word)?;
            }
            quote::quote(&word, &mut line);
        }
        if line.len() > MAX_LINE {
            return Err(format!(
                "the command would have {} bytes; at most {MAX_LINE} are allowed",
                line.len()
            ));
        }
        Ok(line)
    }
}

fn is_several_lines(part: &Part) -> bool {
    matches!(part, Part::Text(text) if text.chars().any(char::is_control))
}

/// The values for the holes of one ask.
struct Holes<'a> {
    parameters: &'a BTreeMap<String, Parameter>,
    values: &'a BTreeMap<String, String>,
    claims: &'a Map<String, Value>,
}

impl Holes<'_> {
    fn fill(&self, word: &Template) -> Result<String, String> {
        let mut filled = String::new();
        for part in word.parts() {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Parameter(name) => {
                    let value = self.parameter(name, filled.is_empty())?;
                    filled.push_str(value);
                }
                Part::Claim(claim) => {
                    let value = self.claim(claim, filled.is_empty())?;
                    filled.push_str(&value);
                }
            }
        }
        Ok(filled)
    }

    fn parameter(&self, name: &str, opens_word: bool) -> Result<&str, String> {
        let (Some(parameter), Some(value)) = (self.parameters.get(name), self.values.get(name))
        else {
            return Err(format!(
                "parameter `{name}` is missing; pass --param {name}=VALUE"
            ));
        };
        if opens_word && value.starts_with('-') && !parameter.may_be_option() {
            return Err(format!(
                "parameter `{name}` starts a word and must not begin with `-`, which would make it an option"
            ));
        }
        Ok(value)
    }

    fn claim(&self, claim: &Claim, opens_word: bool) -> Result<Cow<'_, str>, String> {
        let name = claim.name();
        let value = claim
            .lookup(self.claims)?
            .as_str()
            .ok_or_else(|| format!("claim `{name}` is not a string, and the command needs one"))?;
        let value = claim.filtered(value)?;
        if value.len() > MAX_VALUE || value.chars().any(char::is_control) {
            return Err(format!(
                "claim `{name}` is too long for the command or holds control characters"
            ));
        }
        if opens_word && value.starts_with('-') {
            return Err(format!(
                "claim `{name}` begins with `-` and would become an option"
            ));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
