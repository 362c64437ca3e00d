//! The command line of `ssh`, read as ssh reads it: its options stand before and after the host
//! until the command begins, and of several values the first one counts. Pure.
//!
//! Daypass' own options are long ones, which ssh has none of. They may stand wherever an option of
//! ssh may.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    slice::Iter,
};

use super::{
    destination::Destination,
    options::{SshOption, has_argument},
};
use crate::client::{Error, words::is_user_word};

/// Values of an option of Daypass.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// No value.
    Nothing,
    /// One value.
    Value,
    /// A value if the next word is one.
    Maybe(fn(&str) -> bool),
}

/// A command line of `ssh`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// The words of Daypass' own options.
    pub(crate) own: Vec<OsString>,
    /// The options of ssh, in their order. Login and port of the destination are among them, at
    /// its place.
    pub(crate) options: Vec<SshOption>,
    /// The host, without login, port and brackets.
    pub(crate) host: Option<String>,
    /// The command, and its arguments.
    pub(crate) command: Vec<OsString>,
}

impl CommandLine {
    /// Reads the words after `ssh`. `own` says which long options are Daypass', by their names
    /// without the dashes.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if ssh has no such option, an argument is missing, or port, login
    /// or destination is invalid.
    pub(crate) fn parse(words: &[OsString], own: impl Fn(&str) -> Takes) -> Result<Self, Error> {
        let mut line = Self::default();
        let mut rest = words.iter();
        // ssh takes all after the host for the command if the word before the host is `--`.
        let mut is_ended = false;
        while let Some(word) = rest.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                if line.host.is_some() {
                    line.command.extend(rest.cloned());
                    break;
                }
                // The next word is the host, also if it looks like an option.
                if let Some(host) = rest.next() {
                    line.set_destination(host)?;
                    line.command.extend(rest.cloned());
                }
                break;
            } else if bytes.starts_with(b"--") || bytes == b"-h" {
                line.own.push(word.clone());
                line.take_value_of_own(word, &mut rest, &own);
                is_ended = false;
            } else if bytes.starts_with(b"-") && bytes.len() > 1 {
                is_ended = line.take_cluster(bytes, &mut rest)?;
            } else if line.host.is_some() {
                line.command.push(word.clone());
                line.command.extend(rest.cloned());
                break;
            } else {
                line.set_destination(word)?;
                if is_ended {
                    line.command.extend(rest.cloned());
                    break;
                }
            }
        }
        line.check()?;
        Ok(line)
    }

    /// The words after `ssh` that mean this command line, without Daypass' own options.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = self.words_of_options("");
        if let Some(host) = &self.host {
            words.extend(["--".into(), host.into()]);
            words.extend(self.command.iter().cloned());
        }
        words
    }

    /// Whether ssh logs in. `-G`, `-V`, `-Q` and `-O` only ask ssh itself.
    pub(crate) fn logs_in(&self) -> bool {
        !self.has(&['G', 'V', 'Q', 'O'])
    }

    /// Whether `-o BatchMode=yes` is given: ssh asks for nothing.
    pub(crate) fn is_batch(&self) -> bool {
        let mut values = self.options.iter().filter_map(|it| it.setting("batchmode"));
        values.any(|value| {
            !["no", "false"]
                .iter()
                .any(|no| value.eq_ignore_ascii_case(no))
        })
    }

    /// Whether one of these options is given.
    pub(crate) fn has(&self, letters: &[char]) -> bool {
        self.options.iter().any(|it| letters.contains(&it.letter))
    }

    /// The login that the user named: the first of `-l`, `-o User=` and that of the destination.
    pub(crate) fn login(&self) -> Option<String> {
        let mut logins = self.options.iter().map(SshOption::login);
        logins.find_map(|login| login.ok().flatten())
    }

    /// The configuration file of `-F`; the last one counts.
    pub(crate) fn config(&self) -> Option<&OsStr> {
        let mut files = self.options.iter().filter(|it| it.letter == 'F');
        files.next_back().and_then(|it| it.argument.as_deref())
    }

    /// The jump hosts of `-J` or `-o ProxyJump=`.
    pub(crate) fn jump_hosts(&self) -> Option<String> {
        let value = self.options.iter().find_map(jump_hosts)?;
        Some(value.to_str()?.to_owned())
    }

    /// Removes `-J` and `-o ProxyJump=`.
    pub(crate) fn remove_jump_hosts(&mut self) {
        self.options.retain(|option| jump_hosts(option).is_none());
    }

    /// Adds an option of ssh, behind those of the user.
    pub(crate) fn add(&mut self, letter: char, argument: impl Into<OsString>) {
        self.options.push(SshOption::new(letter, argument));
    }

    /// Adds an option of ssh before those of the user, so that it counts.
    pub(crate) fn add_first(&mut self, letter: char, argument: impl Into<OsString>) {
        self.options.insert(0, SshOption::new(letter, argument));
    }

    /// The words of the options, without those of the letters in `except`.
    pub(crate) fn words_of_options(&self, except: &str) -> Vec<OsString> {
        let options = self.options.iter();
        let options = options.filter(|option| !except.contains(option.letter));
        options.flat_map(SshOption::words).collect()
    }

    /// Takes away each of these options.
    pub(crate) fn remove(&mut self, letter: char) {
        self.options.retain(|option| option.letter != letter);
    }

    /// Adds the value of an option of Daypass, if that is a word of its own.
    fn take_value_of_own(
        &mut self,
        word: &OsStr,
        rest: &mut Iter<'_, OsString>,
        own: impl Fn(&str) -> Takes,
    ) {
        let name = word.to_str().and_then(|word| word.strip_prefix("--"));
        let Some(name) = name.filter(|name| !name.contains('=')) else {
            return;
        };
        let next = rest.as_slice().first();
        let is_value = match own(name) {
            Takes::Nothing => false,
            Takes::Value => true,
            Takes::Maybe(is_value) => next.and_then(|next| next.to_str()).is_some_and(is_value),
        };
        if is_value {
            self.own.extend(rest.next().cloned());
        }
    }

    /// Reads the letters of one word. Returns whether the argument of the last one is the word
    /// `--`.
    fn take_cluster(&mut self, word: &[u8], rest: &mut Iter<'_, OsString>) -> Result<bool, Error> {
        let letters = word.iter().copied().enumerate().skip(1);
        for (at, byte) in letters {
            let letter = char::from(byte);
            let unknown = || {
                Error::Usage(format!(
                    "ssh has no option -{letter}; Daypass' own options begin with two dashes"
                ))
            };
            if !has_argument(letter).ok_or_else(unknown)? {
                self.options.push(SshOption::flag(letter));
                continue;
            }
            let joined = word.get(at + 1..).filter(|joined| !joined.is_empty());
            let argument = match joined {
                Some(joined) => OsStr::from_bytes(joined).to_owned(),
                None => rest.next().cloned().ok_or_else(|| {
                    Error::Usage(format!("the option -{letter} of ssh needs an argument"))
                })?,
            };
            let is_ended = joined.is_none() && argument == "--";
            self.options.push(SshOption::new(letter, argument));
            return Ok(is_ended);
        }
        Ok(false)
    }

    fn set_destination(&mut self, word: &OsStr) -> Result<(), Error> {
        let destination = Destination::parse(&word.to_string_lossy())?;
        if let Some(user) = destination.user {
            self.options.push(SshOption::new('l', user));
        }
        if let Some(port) = destination.port {
            self.options.push(SshOption::new('p', port.to_string()));
        }
        self.host = Some(destination.host);
        Ok(())
    }

    /// Checks what counts before a pass is asked for.
    fn check(&self) -> Result<(), Error> {
        let is_port = |it: &&SshOption| it.letter == 'p' || it.setting("port").is_some();
        let first = self.options.iter().find(is_port);
        if let Some(port) = first.filter(|it| it.letter == 'p') {
            check_port(port.argument.as_deref().unwrap_or_default())?;
        }
        for option in &self.options {
            if let Some(login) = option.login()? {
                if !is_user_word(&login) {
                    return Err(Error::Usage(format!("invalid login name {login:?}")));
                }
                // The first one counts.
                break;
            }
        }
        Ok(())
    }
}

/// The jump hosts that an option names.
fn jump_hosts(option: &SshOption) -> Option<&OsStr> {
    match option.letter {
        'J' => option.argument.as_deref(),
        _ => option.setting("proxyjump"),
    }
}

/// Checks a port: a number, or the name of a service.
fn check_port(port: &OsStr) -> Result<(), Error> {
    let text = port.to_str().unwrap_or_default();
    let is_number = text.parse::<u16>().is_ok_and(|port| port > 0);
    let is_name = text.starts_with(|first: char| first.is_ascii_alphabetic());
    if is_number || is_name {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "invalid port {port:?}: use a number from 1 to 65535"
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
