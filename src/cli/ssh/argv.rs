//! The words of `daypass ssh` in an order that clap reads: Daypass' own options, then `--`, then
//! what is for ssh.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{Arg, Command, error::ErrorKind};

use crate::client::ssh::command_line::{CommandLine, Takes};

/// The name by which a program that runs `ssh` can run `daypass ssh` with one word.
pub(super) const PROGRAM: &str = "daypass-ssh";

/// The name of the command.
const SSH: &str = "ssh";

/// The words of this process for `program`.
///
/// # Errors
/// Returns wrong usage of ssh's own options.
pub(in crate::cli) fn ordered(
    words: impl Iterator<Item = OsString>,
    program: &mut Command,
) -> Result<Vec<OsString>, clap::Error> {
    program.build();
    let mut words: Vec<OsString> = words.collect();
    let called = words.first().map(Path::new).and_then(Path::file_name);
    if called == Some(OsStr::new(PROGRAM)) {
        words.splice(..1, ["daypass".into(), SSH.into()]);
    }
    let Some(at) =
        place_of_command(&words, program).filter(|at| words.get(*at).is_some_and(|it| it == SSH))
    else {
        return Ok(words);
    };
    let after = words.split_off(at + 1);
    let line = match program.find_subcommand(SSH) {
        Some(ssh) => CommandLine::parse(&after, |name| takes(ssh, name)),
        None => return Ok(words),
    };
    let line = line.map_err(|error| {
        let message = error.to_string();
        match program.find_subcommand_mut(SSH) {
            Some(ssh) => ssh.error(ErrorKind::InvalidValue, message),
            None => program.error(ErrorKind::InvalidValue, message),
        }
    })?;
    words.extend(line.own.iter().cloned());
    words.push("--".into());
    words.extend(line.words());
    Ok(words)
}

/// The place of the command's name: the first word that is no option and no value of one.
fn place_of_command(words: &[OsString], program: &Command) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let Some(option) = word.to_str().filter(|word| word.starts_with('-')) else {
            return Some(at);
        };
        let name = option.trim_start_matches('-');
        at += match takes(program, name) {
            Takes::Value if !option.contains('=') => 2,
            Takes::Value | Takes::Nothing | Takes::Maybe(_) => 1,
        };
    }
    None
}

/// What the long option `name` of `command` takes.
pub(in crate::cli) fn takes(command: &Command, name: &str) -> Takes {
    let mut options = command.get_arguments();
    let option = options.find(|option| option.get_long() == Some(name));
    match option {
        Some(option) if option.get_action().takes_values() => match least(option) {
            0 => Takes::Maybe(|next| humantime::parse_duration(next).is_ok()),
            _ => Takes::Value,
        },
        Some(_) | None => Takes::Nothing,
    }
}

/// The least number of values of an option.
fn least(option: &Arg) -> usize {
    option.get_num_args().map_or(1, |range| range.min_values())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn order(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let words = ordered(words, &mut Cli::command()).unwrap();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn options_of_daypass_go_first_and_other_commands_keep_their_words() {
        for (line, expected) in [
            ("daypass ssh web-1", "daypass ssh -- -- web-1"),
            (
                "daypass ssh -v --role logs root@web-1 --param unit=nginx id -un",
                "daypass ssh --role logs --param unit=nginx -- -v -l root -- web-1 id -un",
            ),
            (
                "daypass --format json ssh --no-input -p 22 web-1",
                "daypass --format json ssh --no-input -- -p 22 -- web-1",
            ),
            (
                "daypass ssh --wait web-1 --server https://ca",
                "daypass ssh --wait --server https://ca -- -- web-1",
            ),
            (
                "daypass ssh --wait 10m web-1",
                "daypass ssh --wait 10m -- -- web-1",
            ),
            (
                "/usr/bin/daypass-ssh -G web-1",
                "daypass ssh -- -G -- web-1",
            ),
            ("daypass ssh --help", "daypass ssh --help --"),
            ("daypass ssh -V", "daypass ssh -- -V"),
            ("daypass ssh", "daypass ssh --"),
            ("daypass pass --role ssh -v", "daypass pass --role ssh -v"),
            ("daypass --format ssh status", "daypass --format ssh status"),
            ("daypass --format=json roles", "daypass --format=json roles"),
            ("daypass", "daypass"),
        ] {
            assert_eq!(order(line), expected, "{line}");
        }
    }

    #[test]
    fn wrong_usage_of_an_option_of_ssh_is_wrong_usage() {
        let words = ["daypass", "ssh", "-p22x", "web-1"].map(OsString::from);
        let error = ordered(words.into_iter(), &mut Cli::command()).unwrap_err();
        assert!(
            error.use_stderr() && error.to_string().contains("22x"),
            "{error}"
        );
    }
}
