//! `daypass serve`.

use std::path::PathBuf;

use super::{Failure, Global, failure::Code, output};
use crate::{
    config::Config,
    daemon::{self, Summary},
};

/// Run the server until SIGTERM or Ctrl-C.
///
/// SIGHUP reads the policy and the TLS certificate again. A file that does not load changes
/// nothing, and the log says why. Works under systemd as Type=notify, with a watchdog and its
/// socket.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/daypass/daypass.toml")]
    config: PathBuf,
    /// Check configuration, keys, certificate and policy, and do not start.
    #[arg(long)]
    check: bool,
    /// Begin a new, empty ledger. Only for a server that has never run, or whose ledger is lost:
    /// its locks and revocations are gone, and clients and hosts that know it refuse the new one.
    #[arg(long, conflicts_with = "check")]
    new_ledger: bool,
    /// Start although the clock is behind the ledger, if the ledger's times are wrong.
    #[arg(long, conflicts_with = "check")]
    accept_clock: bool,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the error that prevents the start. Later errors are in the log.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.check {
            let summary = daemon::check(&Config::load(&self.config)?)?;
            return global.print(&summary, describe);
        }
        let options = daemon::Options {
            new_ledger: self.new_ledger,
            accept_clock: self.accept_clock,
        };
        Ok(daemon::run(&self.config, options).await?)
    }
}

fn describe(summary: &Summary) -> String {
    let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
    output::table(&[
        row("server", &summary.name),
        row("listens on", &summary.listen),
        row("CA key", &summary.ca_key),
        row("ledger", &summary.ledger),
        row("policy", &summary.policy),
        row("issuers", &summary.issuers.join(", ")),
        row("", "all of it loads"),
    ])
}

impl From<crate::config::Error> for Failure {
    fn from(error: crate::config::Error) -> Self {
        Self::from_error(&error)
    }
}

impl From<daemon::Error> for Failure {
    fn from(error: daemon::Error) -> Self {
        if matches!(error, daemon::Error::Logged) {
            return Self::new(Code::Failure, "");
        }
        Self::from_error(&error)
    }
}
