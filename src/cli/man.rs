//! `daypass man`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, roman};

use super::{Failure, failure::Code, help, manual, output};

/// Print the man pages, or write them to a folder.
///
/// To read them: daypass man | man --local-file -
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write one file for each page into this folder (`daypass.1`, `daypass-login.1`,
    /// `daypass.toml.5`, `daypass-host.7`, ...).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    /// Runs the command, for the pages of `program`.
    ///
    /// # Errors
    /// Returns an error if stdout or the folder cannot be written.
    pub(crate) async fn run(self, program: Command) -> Result<(), Failure> {
        let pages = pages(program)?;
        match &self.out {
            Some(folder) => write(folder, &pages).map_err(|error| {
                let message = format!("failed to write to {}: {error}", folder.display());
                Failure::new(Code::Failure, message)
            }),
            None => pages
                .iter()
                .try_for_each(|(_, page)| output::write_bytes(page)),
        }
    }
}

fn write(folder: &Path, pages: &[(String, Vec<u8>)]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    pages
        .iter()
        .try_for_each(|(name, page)| fs::write(folder.join(name), page))
}

/// File name and text of every page, the program's own first.
fn pages(program: Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut command = help::with_pages(program);
    // Built, a command knows its full name and the options that it shares.
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    for topic in manual::TOPICS {
        let (name, page) = topic.man_page()?;
        pages.push((name, page.into_bytes()));
    }
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let man = Man::new(command.clone()).manual("Daypass");
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(see_also(command).into_bytes());
    pages.push((man.get_filename(), page));
    let visible = |command: &&Command| !command.is_hide_set();
    command
        .get_subcommands()
        .filter(visible)
        .try_for_each(|subcommand| collect(subcommand, pages))
}

/// The references of a page. The program's own page names all topics. A command's page names the
/// program, the topic of the same name, and the file that the command reads.
fn see_also(command: &Command) -> String {
    let name = command.get_name();
    let is_program = name == "daypass";
    let is_of = |topic: &str| match topic {
        "configuration" => matches!(name, "init" | "serve" | "backup" | "restore" | "migrate"),
        topic => topic == name,
    };
    let topics = manual::TOPICS.iter();
    let topics = topics.filter(|topic| is_program || is_of(topic.name));
    let topics = topics.map(manual::Topic::man_reference);
    let program = (!is_program).then(|| "daypass(1)".to_owned());
    let pages: Vec<_> = program.into_iter().chain(topics).collect();
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"])
        .text([roman(pages.join(", "))]);
    roff.to_roff()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
mod tests {
    use std::process;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_its_own_page() {
        let pages = pages(Cli::command()).unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["daypass.1", "daypass-login.1", "daypass-serve.1"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len());
        let commands = pages.iter().filter(|(name, _)| name.ends_with(".1"));
        for (name, page) in commands {
            let text = String::from_utf8(page.clone()).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{name}");
        }
    }

    #[test]
    fn every_topic_has_its_page_and_the_program_names_them_all() {
        let pages = pages(Cli::command()).unwrap();
        let text = |name: &str| {
            let found = pages.iter().find(|(it, _)| it == name);
            let (_, page) = found.unwrap_or_else(|| panic!("no {name}"));
            String::from_utf8(page.clone()).unwrap()
        };
        let program = text("daypass.1");
        for topic in manual::TOPICS {
            let (file, _) = topic.man_page().unwrap();
            assert!(text(&file).contains(".SH DESCRIPTION"));
            let named = topic.man_reference().replace('-', "\\-");
            assert!(program.contains(&named), "{named}");
        }
        assert!(text("daypass-serve.1").contains("daypass(1), daypass.toml(5)"));
        for (file, key) in [
            ("daypass.toml.5", "requests_per_identity"),
            ("daypass-policy.5", "verify_required"),
        ] {
            assert!(text(file).contains(&format!("\\fB{key}\\fR")), "{file}");
        }
        assert!(text("daypass-host.1").contains("daypass(1), daypass\\-host(7)"));
    }

    #[test]
    fn groff_accepts_every_page_without_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        for (name, page) in pages(Cli::command()).unwrap() {
            let file = folder.path().join(&name);
            fs::write(&file, page).unwrap();
            let output = process::Command::new("groff")
                .args(["-man", "-ww", "-Tascii", "-rHY=0"])
                .arg(&file)
                .stdin(process::Stdio::null())
                .output()
                .expect("groff is missing: apt-get install groff-base");
            let complaints = String::from_utf8_lossy(&output.stderr);
            let is_clean = output.status.success() && complaints.is_empty();
            assert!(is_clean, "{name}: {complaints}");
        }
    }
}
