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

/// Make this host take passes, keep its revocations fresh, and find out what it refuses.
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

/// Where the host's files are.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// Another folder in place of `/`: everything is in its etc/ssh, and the files name each other there.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
}

/// How long the server may take.
#[derive(Clone, Debug, clap::Args)]
struct Patience {
    /// How long one request to the server may take.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 6 where the server does not answer, 1 where something else is wrong.
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
