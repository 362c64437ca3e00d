//! The options of `ssh`, as ssh(1) lists them, and the settings that `-o` gives. Pure.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use crate::client::Error;

/// Letters of the options without an argument. `-1`, `-2` and `-P` of old versions included.
const FLAGS: &str = "1246AaCfGgKkMNnqsTtVvXxYy";

/// Letters of the options with an argument. `-P` has one since OpenSSH 9.4.
const WITH_ARGUMENT: &str = "BbcDEeFIiJLlmOoPpQRSWw";

/// The blanks between the words of a setting.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Whether an option has an argument. None if ssh has no such option.
pub(super) fn has_argument(letter: char) -> Option<bool> {
    match (FLAGS.contains(letter), WITH_ARGUMENT.contains(letter)) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => None,
    }
}

/// One option of `ssh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshOption {
    /// Its letter, as in `-p`.
    pub(crate) letter: char,
    /// Its argument, if it has one.
    pub(crate) argument: Option<OsString>,
}

impl SshOption {
    /// The option with this argument.
    pub(crate) fn new(letter: char, argument: impl Into<OsString>) -> Self {
        Self {
            letter,
            argument: Some(argument.into()),
        }
    }

    /// The option without an argument.
    pub(super) fn flag(letter: char) -> Self {
        Self {
            letter,
            argument: None,
        }
    }

    /// As words of a command line.
    pub(super) fn words(&self) -> Vec<OsString> {
        let mut word = OsString::from(format!("-{}", self.letter));
        match &self.argument {
            None => vec![word],
            // As the setting: a version in which `-P` has no argument would read the argument as
            // further options or as the host, and connect there. It refuses the setting by name.
            Some(argument) if self.letter == 'P' && is_plain(argument) => {
                let mut setting = OsString::from("Tag=");
                setting.push(argument);
                vec![OsString::from("-o"), setting]
            }
            Some(argument) if self.letter == 'P' && !argument.is_empty() => {
                word.push(argument);
                vec![word]
            }
            Some(argument) => vec![word, argument.clone()],
        }
    }

    /// The login that this option names, by `-l` or `-o User=`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the name is not UTF-8, or is quoted in a way that only ssh
    /// reads.
    pub(super) fn login(&self) -> Result<Option<String>, Error> {
        let invalid = || {
            Error::Usage(format!(
                "invalid login name in {:?}: write it as -l USER",
                self.words()
            ))
        };
        let Some(argument) = &self.argument else {
            return Ok(None);
        };
        match self.letter {
            'l' => argument
                .to_str()
                .map(str::to_owned)
                .map(Some)
                .ok_or_else(invalid),
            'o' => match self.setting("user") {
                None => Ok(None),
                Some(value) => plain_value(value).map(Some).ok_or_else(invalid),
            },
            _ => Ok(None),
        }
    }

    /// The value of an `-o` option that gives the setting `name` (in lower case), as it is written
    /// after the name.
    pub(super) fn setting(&self, name: &str) -> Option<&OsStr> {
        if self.letter != 'o' {
            return None;
        }
        let bytes = self.argument.as_ref()?.as_bytes();
        let is_blank = |byte: &u8| BLANKS.contains(&char::from(*byte));
        let trim =
            |bytes: &[u8]| -> usize { bytes.iter().take_while(|byte| is_blank(byte)).count() };
        let bytes = bytes.get(trim(bytes)..)?;
        let keyword = bytes.get(..name.len())?;
        if !keyword.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        let after = bytes.get(name.len()..)?;
        let blanks = trim(after);
        let value = after.get(blanks..)?;
        match value.strip_prefix(b"=") {
            Some(value) => value.get(trim(value)..).map(OsStr::from_bytes),
            // A longer keyword begins with these letters.
            None if blanks == 0 && !value.is_empty() && !value.starts_with(b"\"") => None,
            None => Some(OsStr::from_bytes(value)),
        }
    }
}

/// Whether ssh reads this text in a setting as it stands.
fn is_plain(text: &OsStr) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    !text.is_empty() && text.as_encoded_bytes().iter().all(is_plain)
}

/// A value of one word, without double quotes around it. None if ssh would read it in another way.
fn plain_value(value: &OsStr) -> Option<String> {
    let value = value.to_str()?.trim_end_matches(BLANKS);
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    let is_plain = !inner.contains(['"', '\'', '\\', '#']) && !inner.contains(BLANKS);
    is_plain.then(|| inner.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_from_every_spelling_of_a_setting() {
        for (text, expected) in [
            ("User=carol", Some("carol")),
            ("user carol", Some("carol")),
            (" USER \t= carol ", Some("carol")),
            ("User=\"carol\"", Some("carol")),
            ("User\"carol\"", Some("carol")),
            ("User==carol", Some("=carol")),
            ("UserKnownHostsFile=/x", None),
            ("Port=22", None),
            ("User", Some("")),
            ("Use", None),
            ("", None),
        ] {
            let login = SshOption::new('o', text).login().unwrap();
            assert_eq!(login.as_deref(), expected, "{text:?}");
        }
        for text in [
            "User='carol'",
            "User=a b",
            "User=a\\ b",
            "User=a#b",
            "User=\"a b\"",
        ] {
            assert!(SshOption::new('o', text).login().is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_letter_is_both() {
        for letter in FLAGS.chars() {
            assert!(!WITH_ARGUMENT.contains(letter), "{letter}");
        }
        assert_eq!(has_argument('h'), None);
    }
}
