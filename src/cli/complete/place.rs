//! The place of the cursor in a command line: which command it is in, and what may stand there.
//! Pure.

use std::ffi::OsString;

use clap::{Arg, Command};

use crate::{
    cli::ssh::argv::takes,
    client::ssh::command_line::{CommandLine, Takes},
};

/// The most words that are read; a longer line gets no candidates.
const MOST: usize = 4096;

/// A kind of words.
#[derive(Debug)]
pub(super) enum Kind<'a> {
    /// The commands of the command.
    Commands,
    /// Its options.
    Options,
    /// Host names.
    Hosts,
    /// Names of files.
    Files,
    /// Values of this argument.
    Value(&'a Arg),
}

/// The place of the last word.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// The command.
    pub(super) command: &'a Command,
    /// What may stand here.
    pub(super) kinds: Vec<Kind<'a>>,
    /// The word so far.
    pub(super) word: String,
    /// The part of the word that is before the value, such as `--role=` or `ops@`.
    pub(super) prefix: String,
    /// The command's own words before this one, without options.
    pub(super) before: Vec<String>,
    /// The host of `daypass ssh`, if it is named already.
    pub(super) host: Option<String>,
    given: Vec<(String, String)>,
}

impl<'a> Place<'a> {
    /// The place of the last of `words`, whose first one is the name of `program`. None if there is
    /// none, or one is not UTF-8.
    pub(super) fn of(program: &'a Command, words: &[OsString]) -> Option<Self> {
        if words.len() > MOST {
            return None;
        }
        let words: Vec<&str> = words
            .iter()
            .map(|word| word.to_str())
            .collect::<Option<_>>()?;
        let (word, before) = words.split_last()?;
        let (_, before) = before.split_first()?;
        let mut place = Self {
            command: program,
            kinds: Vec::new(),
            word: (*word).to_owned(),
            prefix: String::new(),
            before: Vec::new(),
            host: None,
            given: Vec::new(),
        };
        place.read(before);
        Some(place)
    }

    /// The value of an option before the word; the last one counts.
    pub(super) fn given(&self, option: &str) -> Option<&str> {
        let mut given = self.given.iter().rev();
        let found = given.find(|(name, _)| name == option);
        found.map(|(_, value)| value.as_str())
    }

    /// Reads the words before the last one.
    fn read(&mut self, mut words: &[&str]) {
        let mut is_ended = false;
        while let Some((word, rest)) = words.split_first() {
            words = rest;
            if is_ended || !word.starts_with('-') || *word == "-" {
                match self.command.find_subcommand(word) {
                    Some(command) if self.before.is_empty() && !is_ended => self.command = command,
                    Some(_) | None => self.before.push((*word).to_owned()),
                }
                if self.is_ssh() {
                    return self.read_ssh(words);
                }
            } else if *word == "--" {
                is_ended = true;
            } else if let Some(option) = self.waiting(word) {
                let Some((value, rest)) = words.split_first() else {
                    self.kinds.push(Kind::Value(option));
                    return;
                };
                self.give(option, value);
                words = rest;
            } else if let Some((name, value)) = word.split_once('=') {
                self.given
                    .push((name.trim_start_matches('-').to_owned(), value.to_owned()));
            }
        }
        if is_ended || !self.is_option() {
            self.stand_at_word();
        }
    }

    /// Reads the words behind `ssh`, as ssh reads them.
    fn read_ssh(&mut self, words: &[&str]) {
        let command = self.command;
        let own = |name: &str| takes(command, name);
        let parse = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            CommandLine::parse(&words, own)
        };
        let last = words.split_last();
        if let Some((word, before)) = last
            && let Some(option) = self.waiting(word)
            && parse(before).is_ok_and(|line| line.command.is_empty())
        {
            self.kinds.push(Kind::Value(option));
        }
        let Ok(line) = parse(words) else {
            // The last option of ssh wants an argument.
            let letter = last.and_then(|(word, _)| word.chars().next_back());
            match letter {
                Some('E' | 'F' | 'I' | 'S' | 'i') => self.kinds.push(Kind::Files),
                Some('J') => self.stand_at_host(),
                Some(_) | None => {}
            }
            return;
        };
        self.host = line.host;
        self.take_own(&line.own);
        if !self.kinds.is_empty() || !line.command.is_empty() || self.is_option() {
            return;
        }
        if self.host.is_none() {
            self.stand_at_host();
        }
    }

    /// Remembers the values of Daypass' own options in a line of ssh.
    fn take_own(&mut self, own: &[OsString]) {
        let mut own = own.iter().filter_map(|word| word.to_str());
        while let Some(word) = own.next() {
            if let Some((name, value)) = word.split_once('=') {
                self.given
                    .push((name.trim_start_matches('-').to_owned(), value.to_owned()));
            } else if let Some(option) = self.waiting(word)
                && let Some(value) = own.next()
            {
                self.give(option, value);
            }
        }
    }

    fn is_ssh(&self) -> bool {
        self.before.is_empty() && self.command.get_name() == "ssh"
    }

    /// The option that `word` is, if its value must be the next word.
    fn waiting(&self, word: &str) -> Option<&'a Arg> {
        let option = match word.strip_prefix("--") {
            Some(name) => match takes(self.command, name) {
                Takes::Value => find(self.command, name),
                Takes::Nothing | Takes::Maybe(_) => None,
            },
            None => {
                let letter = word.strip_prefix('-')?.chars().next_back()?;
                let mut options = self.command.get_arguments();
                options.find(|it| it.get_short() == Some(letter))
            }
        };
        option.filter(|option| option.get_action().takes_values())
    }

    fn give(&mut self, option: &Arg, value: &str) {
        let name = option.get_long().unwrap_or_default();
        self.given.push((name.to_owned(), value.to_owned()));
    }

    /// Whether the last word begins like an option; then its place is known.
    fn is_option(&mut self) -> bool {
        if let Some((name, _)) = self.word.split_once('=')
            && let Some(long) = name.strip_prefix("--")
            && let Some(option) = find(self.command, long)
        {
            self.prefix = format!("{name}=");
            self.kinds.push(Kind::Value(option));
        } else if self.word.starts_with('-') {
            self.kinds.push(Kind::Options);
        }
        !self.kinds.is_empty()
    }

    fn stand_at_word(&mut self) {
        if self.before.is_empty() && self.command.has_subcommands() {
            self.kinds.push(Kind::Commands);
        }
        let at = self.before.len();
        let positional = self.command.get_positionals().nth(at).or_else(|| {
            let last = self.command.get_positionals().last();
            last.filter(|it| {
                it.get_num_args()
                    .is_some_and(|range| range.max_values() > 1)
            })
        });
        match positional {
            Some(positional) => self.kinds.push(Kind::Value(positional)),
            None if self.kinds.is_empty() && self.word.is_empty() => self.kinds.push(Kind::Options),
            None => {}
        }
    }

    /// A host, perhaps behind a login.
    fn stand_at_host(&mut self) {
        if let Some((login, _)) = self.word.rsplit_once('@') {
            self.prefix = format!("{login}@");
        }
        self.kinds.push(Kind::Hosts);
    }
}

/// The long option of this name.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let mut options = command.get_arguments();
    options.find(|option| option.get_long() == Some(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use clap::CommandFactory;
    use proptest::prelude::*;

    use super::*;
    use crate::cli::Cli;

    fn program() -> Command {
        let mut program = Cli::command();
        program.build();
        program
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_place_of_the_cursor_says_what_may_stand_there() {
        let program = program();
        for (line, command, expected) in [
            ("daypass ", "daypass", "Commands"),
            ("daypass --format json st", "daypass", "Commands"),
            ("daypass --format ", "daypass", "format"),
            ("daypass roles --host ", "roles", "host"),
            ("daypass roles --host x --ser", "roles", "Options"),
            ("daypass request ", "request", "role"),
            ("daypass request shell ", "request", "Options"),
            ("daypass requests approve ", "approve", "id"),
            ("daypass host setup --also-trust ", "setup", "also_trust"),
            ("daypass ssh ", "ssh", "Hosts"),
            ("daypass ssh -vp 22 ", "ssh", "Hosts"),
            ("daypass ssh -p ", "ssh", ""),
            ("daypass ssh -i ", "ssh", "Files"),
            ("daypass ssh -J ", "ssh", "Hosts"),
            ("daypass ssh web-1 --role ", "ssh", "role"),
            ("daypass ssh web-1 ls --role ", "ssh", ""),
            ("daypass ssh web-1 ls ", "ssh", ""),
            ("daypass ssh -- ", "ssh", "Hosts"),
            ("daypass show -- ", "show", "id"),
        ] {
            let place = Place::of(&program, &words(line)).unwrap();
            assert_eq!(place.command.get_name(), command, "{line}");
            let kinds = place.kinds.iter().map(|kind| match kind {
                Kind::Commands => "Commands",
                Kind::Options => "Options",
                Kind::Hosts => "Hosts",
                Kind::Files => "Files",
                Kind::Value(argument) => argument.get_id().as_str(),
            });
            let kinds: Vec<_> = kinds.collect();
            let expected = Some(expected).filter(|it| !it.is_empty());
            assert_eq!(kinds, Vec::from_iter(expected), "{line}");
        }
        let place = Place::of(
            &program,
            &words("daypass ssh --server=https://a web-1 --role=x"),
        );
        let place = place.unwrap();
        assert_eq!(place.given("server"), Some("https://a"));
        assert_eq!(
            (place.host.as_deref(), &*place.prefix),
            (Some("web-1"), "--role=")
        );
    }

    proptest! {
        #[test]
        fn any_command_line_is_read(
            line in proptest::collection::vec("(ssh|help|pass|request|--role|--role=|--|-p|-J|web-1|.{0,6})", 0..8)
        ) {
            let program = program();
            let words: Vec<OsString> = line.into_iter().map(OsString::from).collect();
            let _ = Place::of(&program, &words);
        }
    }
}
