//! `daypass help`, and the first page of `daypass --help`.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::{Failure, failure::Code, manual, output::write_line};

/// Print this page, a topic of the manual, or the options of a command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A topic, or a command such as `host setup`.
    #[arg(value_name = "TOPIC|COMMAND")]
    words: Vec<String>,
}

impl Args {
    /// Runs the command, for the help of `program`.
    ///
    /// # Errors
    /// Returns code 2 if there is no such topic or command.
    pub(crate) async fn run(self, program: Command) -> Result<(), Failure> {
        let mut command = with_pages(program);
        command.build();
        if let [word] = &*self.words
            && let Some(topic) = manual::find(word)
        {
            let mut text = topic.text()?;
            if command.find_subcommand(word).is_some() {
                let _ = write!(
                    text,
                    "\nThe options of the command: daypass {word} --help\n"
                );
            }
            return write_line(&text);
        }
        let mut found = &mut command;
        for word in &self.words {
            found = found.find_subcommand_mut(word).ok_or_else(|| {
                let message =
                    format!("no topic or command {word:?}; `daypass help` lists all of them");
                Failure::new(Code::Usage, message)
            })?;
        }
        write_line(&found.render_help().to_string())
    }
}

/// The commands by the people who use them. A test compares them with those that there are.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "For everyone: sign in, log in, ask",
        &[
            "login",
            "ssh",
            "ssh-config",
            "pass",
            "request",
            "cancel",
            "emergency",
            "on-behalf",
            "roles",
            "status",
            "whoami",
            "lock-me",
            "logout",
        ],
    ),
    (
        "For approvers",
        &["requests", "show", "approve", "deny", "review"],
    ),
    ("For auditors", &["ledger", "inspect"]),
    ("For administrators of hosts", &["host", "hosts"]),
    (
        "For operators of the server",
        &[
            "init", "serve", "signer", "backup", "restore", "migrate", "systemd", "policy", "admin",
        ],
    ),
    ("Try it on this machine", &["demo", "dev"]),
    (
        "For other programs, and about this one",
        &["ensure", "completions", "man", "help"],
    ),
];

/// `command` with the help pages of Daypass: options in one line each, and on the first page the
/// commands in groups and the topics of the manual.
pub(super) fn with_pages(command: Command) -> Command {
    first_page(page(command))
}

/// A command and its subcommands with pages that show all that there is to say. clap's own long
/// pages take three lines for each option.
fn page(command: Command) -> Command {
    let about = command.get_long_about().or(command.get_about());
    let about = manual::paragraphs(&about.map(ToString::to_string).unwrap_or_default());
    let help = Arg::new("help")
        .short('h')
        .long("help")
        .help("Print help")
        .action(ArgAction::HelpShort);
    let template = format!("{about}\n{{usage-heading}} {{usage}}\n\n{{all-args}}{{after-help}}");
    command
        .help_template(template)
        .disable_help_flag(true)
        .arg(help)
        .mut_subcommands(page)
}

fn first_page(command: Command) -> Command {
    let groups = groups(&command);
    let template = format!(
        "{{about}}.\n\nNew here? Run `daypass demo`, and read `daypass help how-it-works`.\n\n{{usage-heading}} {{usage}}\n\n\
         {groups}Options:\n{{options}}{{after-help}}"
    );
    command.help_template(template).after_help(format!(
        "Topics of the manual (daypass help TOPIC):\n{}\n\
         Exit codes: 0 done, 1 failure, 2 wrong usage, 3 denied, 4 sign in needed,\n\
         5 pending or timed out, 6 unreachable, 7 ledger contradicts itself, 130 interrupted.",
        manual::list()
    ))
}

fn groups(command: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{title}:");
        for name in *names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&manual::wrapped(&format!("  {name:11}  "), &about));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_command_is_in_one_group() {
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
        let commands: BTreeSet<_> = shown.map(Command::get_name).collect();
        let grouped: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        assert_eq!(grouped.len(), commands.len());
        assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), commands);
    }

    #[test]
    fn a_long_list_of_options_has_headings() {
        let mut command = with_pages(Cli::command());
        command.build();
        expect_headings(&command);
    }

    fn expect_headings(command: &Command) {
        let plain = command.get_arguments().filter(|it| {
            let is_option = !it.is_positional() && !it.is_hide_set();
            is_option && it.get_help_heading().is_none()
        });
        let count = plain.count();
        assert!(count <= 10, "{} has {count} options", command.get_name());
        command.get_subcommands().for_each(expect_headings);
    }
}
