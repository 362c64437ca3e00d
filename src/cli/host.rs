//! `daypass host`.

mod doctor;
mod setup;
mod sync;

use std::{path::PathBuf, time::Duration};

use super::{Failure, Global, failure::Code};
use crate::{
    daemon::chain,
    host::{Error, files::Layout},
};

/// Set up this host for passes, update its revocations, and check it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Setup(setup::Args),
    Sync(sync::Args),
    Doctor(doctor::Args),
}

/// The folder of the host's files.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// A folder to use in place of `/`. All files are in its etc/ssh, and name each other there.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
}

/// Time limit for the server.
#[derive(Clone, Debug, clap::Args)]
struct Patience {
    /// Time limit for one request to the server.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 6 if the server does not answer, and 1 for any other failure.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self.action {
            Action::Setup(args) => args.run(global).await,
            Action::Sync(args) => args.run(global).await,
            Action::Doctor(args) => args.run(global).await,
        }
    }
}

impl Place {
    fn layout(&self) -> Result<Layout, Failure> {
        Ok(Layout::new(&std::path::absolute(&self.root)?))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Usage(_) => Code::Usage,
            Error::Unreachable { .. } => Code::Unreachable,
            Error::NotSetUp | Error::Refused(_) | Error::Sshd(_) | Error::File { .. } => {
                Code::Failure
            }
        };
        Self::new(code, chain(&error)).because(error.reason())
    }
}
