//! The words of `internal-sftp`, which runs without a shell.
//!
//! sshd itself splits the line at each blank, knows no quotes, drops empty words, and silently
//! drops all words after the ninth (session.c, `do_child`: `strtok`, `ARGV_MAX`). So a word that
//! would need quotes means something else there, and is refused. That also keeps `%` and `~` out,
//! which `-d` expands (sftp-server(8)).

use std::collections::BTreeMap;

use super::quote::is_bare;
use crate::policy::{
    parameter::{Parameter, Rule},
    template::{Part, Template},
};

/// Largest number of words that sshd passes on, including the program.
const MOST_WORDS: usize = 9;

const HELP: &str = "internal-sftp splits its line at blanks and knows no quotes: use letters, digits and _ - . / : @ , + \
                    only, or name the host's sftp-server by its path";

/// Checks the literal text of the words.
///
/// # Errors
/// Returns a sentence for the policy's author.
pub(super) fn check_words(words: &[Template]) -> Result<(), String> {
    if words.len() > MOST_WORDS {
        return Err(format!(
            "`command` has {} words, and sshd drops all after the {MOST_WORDS}th of internal-sftp; remove some",
            words.len()
        ));
    }
    let is_fit = |part: &Part| match part {
        Part::Text(text) => text.chars().all(is_bare),
        Part::Parameter(_) | Part::Claim(_) => true,
    };
    let unfit = |word: &&Template| word.parts().is_empty() || !word.parts().iter().all(is_fit);
    match words.iter().find(unfit) {
        None => Ok(()),
        Some(word) => Err(format!("{:?} would need quotes, but {HELP}", word.source())),
    }
}

/// Checks the values that the parameters allow. No word may become empty.
///
/// # Errors
/// Returns a sentence for the policy's author.
pub(super) fn check_parameters(
    words: &[Template],
    parameters: &BTreeMap<String, Parameter>,
) -> Result<(), String> {
    let used = || words.iter().flat_map(Template::parameters);
    for parameter in used().filter_map(|name| parameters.get(name)) {
        let name = parameter.name();
        let unfit = match parameter.rule() {
            Rule::Pattern(pattern) => pattern.beyond(is_bare),
            Rule::OneOf(values) => values
                .iter()
                .find_map(|value| value.chars().find(|c| !is_bare(*c))),
        };
        if let Some(unfit) = unfit {
            return Err(format!(
                "parameter `{name}` allows {unfit:?}, which would need quotes, but {HELP}"
            ));
        }
    }
    let may_be_empty = |part: &Part| match part {
        Part::Text(_) => false,
        Part::Claim(_) => true,
        Part::Parameter(name) => parameters.get(name).is_some_and(allows_nothing),
    };
    let only_parameters = |word: &&Template| {
        let mut parts = word.parts().iter();
        parts.all(|part| matches!(part, Part::Parameter(_)))
    };
    let mut own = words.iter().filter(only_parameters);
    match own.find(|word| word.parts().iter().all(may_be_empty)) {
        None => Ok(()),
        Some(word) => Err(format!(
            "{:?} can be empty, and internal-sftp drops an empty word; demand at least one character",
            word.source()
        )),
    }
}

/// Checks a complete word of one ask.
///
/// # Errors
/// Returns a sentence for the caller.
pub(super) fn check_word(word: &str) -> Result<(), String> {
    if word.is_empty() {
        return Err("a word of the command is empty, which internal-sftp drops".to_owned());
    }
    match word.chars().find(|c| !is_bare(*c)) {
        None => Ok(()),
        Some(unfit) => Err(format!("{word:?} holds {unfit:?}, but {HELP}")),
    }
}

fn allows_nothing(parameter: &Parameter) -> bool {
    match parameter.rule() {
        Rule::Pattern(pattern) => pattern.may_be_empty(),
        Rule::OneOf(values) => values.iter().any(String::is_empty),
    }
}
