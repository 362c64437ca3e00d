//! `daypass serve`.

use std::path::PathBuf;

use super::{Failure, Global, failure::Code, output};
use crate::{
    config::Config,
    daemon::{self, Summary},
};

/// Run the server of a configuration file, until SIGTERM or Ctrl-C.
///
/// SIGHUP reads the policy and the TLS certificate again; what is broken stays as it was, and the log says why.
/// Works under systemd as Type=notify with a watchdog, and takes its socket.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/daypass/daypass.toml")]
    config: PathBuf,
    /// Read configuration, keys, certificate and policy, say what is wrong with them, and start nothing.
    #[arg(long)]
    check: bool,
    /// Begin a new, empty ledger. Only for a server that has never run, or whose ledger is lost for good: locks and
    /// revocations of the old one are gone, and clients and hosts that know it refuse the new one.
    #[arg(long, conflicts_with = "check")]
    new_ledger: bool,
    /// Start although the clock is behind the ledger, because the ledger's times are the wrong ones.
    #[arg(long, conflicts_with = "check")]
    accept_clock: bool,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// What keeps the server from starting. What ends it later is in its log.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
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
        match error {
            daemon::Error::Logged => Self::new(Code::Failure, ""),
            error => Self::from_error(&error),
        }
    }
}
