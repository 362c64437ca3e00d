//! `daypass host`.

mod doctor;
mod options;
mod remove;
mod setup;
mod sync;

use std::io;

use super::{Failure, Global, failure::Code};
use crate::{daemon::chain, host::Error};

/// Set up this host for passes, update its revocations, and check it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Setup(Box<setup::Args>),
    Sync(sync::Args),
    Doctor(doctor::Args),
    Remove(remove::Args),
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 6 if the server does not answer, and 1 for any other failure.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self.action {
            Action::Setup(args) => args.run(global).await,
            Action::Sync(args) => args.run(global).await,
            Action::Doctor(args) => args.run(global).await,
            Action::Remove(args) => args.run(global).await,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Usage(_) => Code::Usage,
            Error::Unreachable { .. } | Error::Certificate { .. } => Code::Unreachable,
            Error::NotSetUp
            | Error::Refused(_)
            | Error::Declined(_)
            | Error::Sshd(_)
            | Error::Busy(_)
            | Error::File { .. } => Code::Failure,
        };
        let mut message = chain(&error);
        if wants_root(&error) && !rustix::process::geteuid().is_root() {
            message = format!("{}; run it as root", message.trim_end_matches('.'));
        }
        Self::new(code, message).because(error.reason())
    }
}

/// Whether the files are another account's. sshd says so of its host keys in words of its own.
fn wants_root(error: &Error) -> bool {
    match error {
        Error::File { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
        Error::Sshd(said) => said.contains("no hostkeys available"),
        _ => false,
    }
}
