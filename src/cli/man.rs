//! `daypass man`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Failure, Global, failure::Code, output};

/// Print the manual pages, or write them to a folder.
///
/// To read them: daypass man | man --local-file -
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write one file for each command into this folder (`daypass.1`, `daypass-login.1`, ...).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Where stdout or the folder cannot be written.
    pub async fn run(self, _global: &Global) -> Result<(), Failure> {
        let pages = pages()?;
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
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Built, a command knows its full name and the options that it shares.
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let man = Man::new(command.clone()).manual("Daypass");
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    let visible = |command: &&Command| !command.is_hide_set();
    command
        .get_subcommands()
        .filter(visible)
        .try_for_each(|subcommand| collect(subcommand, pages))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_own_page() {
        let pages = pages().unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["daypass.1", "daypass-login.1", "daypass-serve.1"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len());
        for (name, page) in &pages {
            let text = String::from_utf8(page.clone()).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{name}");
        }
    }
}
