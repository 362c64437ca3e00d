//! `daypass complete`: candidates for the last word of a command line, for the scripts of `daypass
//! completions`.
//!
//! Uses no network, asks nothing, and writes nothing to stderr: a fault means no candidates.

mod place;

use std::{ffi::OsString, io::Write as _, path::PathBuf};

use clap::{Arg, Command, ValueHint};

use self::place::{Kind, Place};
use super::{Failure, manual, output::clean, target::Target};
use crate::client::{
    Client,
    offered::{OfferedRequest, OfferedVerb},
};

/// Stands for the names of files, which the shell completes itself. It is no candidate.
const FILES: &str = "/";

/// Print what may stand at the end of a command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Print a tab and a description behind each candidate that has one.
    #[arg(long)]
    described: bool,
    /// The words up to the cursor, with the program's name; the last one is to be completed.
    #[arg(last = true, value_name = "WORDS")]
    words: Vec<OsString>,
}

/// A candidate, with a description or an empty text.
type Candidate = (String, String);

impl Args {
    /// Prints the candidates for a command line of `program`.
    ///
    /// # Errors
    /// Never: a fault means no candidates.
    pub(crate) async fn run(self, program: Command) -> Result<(), Failure> {
        let mut text = String::new();
        for (word, about) in self.candidates(program) {
            text.push_str(&word);
            if self.described && !about.is_empty() {
                text.push('\t');
                text.push_str(&clean(&about));
            }
            text.push('\n');
        }
        // A shell that went away needs none.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        Ok(())
    }

    fn candidates(&self, mut program: Command) -> Vec<Candidate> {
        program.build();
        let Some(place) = Place::of(&program, &self.words) else {
            return Vec::new();
        };
        let names = Names {
            client: self.client(&place),
            place: &place,
            program: &program,
        };
        let kinds = place.kinds.iter();
        let all = kinds
            .flat_map(|kind| names.of(kind))
            .map(|(word, about)| match word.as_str() {
                FILES => (word, about),
                _ => (format!("{}{word}", place.prefix), about),
            });
        all.filter(|(word, _)| word == FILES || word.starts_with(&place.word))
            .collect()
    }

    /// The client for the server of the command line. None if the state folder or a session cannot
    /// be read.
    fn client(&self, place: &Place<'_>) -> Option<Client> {
        let mut target = self.target.clone();
        if let Some(server) = place.given("server") {
            target.server = Some(server.to_owned());
        }
        if let Some(folder) = place.given("state-dir") {
            target.state_dir = Some(PathBuf::from(folder));
        }
        let client = target.client().ok()?;
        match place.host.as_deref().or(place.given("host")) {
            Some(host) => client.for_host(host).ok(),
            None => Some(client),
        }
    }
}

/// The names that this machine knows.
struct Names<'a> {
    client: Option<Client>,
    place: &'a Place<'a>,
    program: &'a Command,
}

impl Names<'_> {
    fn of(&self, kind: &Kind<'_>) -> Vec<Candidate> {
        match kind {
            Kind::Commands => commands(self.place.command),
            Kind::Options => options(self.place.command),
            Kind::Hosts => self.hosts(),
            Kind::Files => vec![named(FILES)],
            Kind::Value(argument) => self.values(argument),
        }
    }

    fn values(&self, argument: &Arg) -> Vec<Candidate> {
        let possible = argument.get_possible_values();
        if !possible.is_empty() {
            let shown = possible.iter().filter(|value| !value.is_hide_set());
            let described = shown.map(|value| {
                let about = value.get_help().map(ToString::to_string);
                (value.get_name().to_owned(), about.unwrap_or_default())
            });
            return described.collect();
        }
        let command = self.place.command.get_name();
        // Only commands that talk to a server name its roles and hosts.
        let is_of_server = self
            .place
            .command
            .get_arguments()
            .any(|it| it.get_id() == "server");
        match argument.get_id().as_str() {
            "role" | "roles" if is_of_server => self.roles(),
            "host" if is_of_server => self.hosts(),
            "id" => self.requests(command),
            "request" => self.requests("redeem"),
            "words" if command == "help" => self.pages(),
            _ => match argument.get_value_hint() {
                ValueHint::AnyPath
                | ValueHint::FilePath
                | ValueHint::DirPath
                | ValueHint::ExecutablePath => vec![named(FILES)],
                // The enum may get more hints.
                _ => Vec::new(),
            },
        }
    }

    fn roles(&self) -> Vec<Candidate> {
        let roles = self.client.iter().flat_map(Client::offered_roles);
        roles.map(named).collect()
    }

    fn hosts(&self) -> Vec<Candidate> {
        let hosts = self.client.iter().flat_map(Client::offered_hosts);
        hosts.map(named).collect()
    }

    fn requests(&self, command: &str) -> Vec<Candidate> {
        let fits = |request: &OfferedRequest| match request.verb {
            OfferedVerb::Decide => matches!(command, "approve" | "deny" | "show"),
            OfferedVerb::Review => matches!(command, "review" | "show"),
            OfferedVerb::Withdraw => matches!(command, "cancel" | "redeem" | "show"),
            OfferedVerb::Show => command == "show",
        };
        let requests = self.client.iter().flat_map(Client::offered_requests);
        let requests = requests.filter(fits);
        requests.map(|it| (it.id.to_string(), it.role)).collect()
    }

    /// The topics of the manual, and the commands; behind a command, its own.
    fn pages(&self) -> Vec<Candidate> {
        let mut found = self.program;
        for word in &self.place.before {
            match found.find_subcommand(word) {
                Some(command) => found = command,
                None => return Vec::new(),
            }
        }
        let topics = match self.place.before.as_slice() {
            [] => manual::TOPICS,
            [_, ..] => &[],
        };
        let topics = topics.iter();
        let mut pages: Vec<_> = topics
            .map(|topic| (topic.name.to_owned(), topic.about().to_owned()))
            .collect();
        for command in commands(found) {
            if pages.iter().all(|(name, _)| *name != command.0) {
                pages.push(command);
            }
        }
        pages
    }
}

fn named(name: impl Into<String>) -> Candidate {
    (name.into(), String::new())
}

fn commands(command: &Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    let described = shown.map(|it| {
        let about = it.get_about().map(ToString::to_string);
        (it.get_name().to_owned(), about.unwrap_or_default())
    });
    described.collect()
}

fn options(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|it| !it.is_hide_set());
    let long = shown.filter_map(|it| {
        let about = it.get_help().map(ToString::to_string);
        Some((format!("--{}", it.get_long()?), about.unwrap_or_default()))
    });
    long.collect()
}
