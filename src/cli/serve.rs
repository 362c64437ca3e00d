//! `daypass serve`.

use std::path::PathBuf;

use super::{Failure, Global, failure::Code, output};
use crate::{
    config::Config,
    daemon::{self, CheckReport, Purpose, Reach},
    finding::Level,
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
    /// Check configuration, keys and their owner, certificate, policy, state folder, webhooks and
    /// identity providers, and do not start.
    #[arg(long)]
    check: bool,
    /// With --check, do not ask the identity providers.
    #[arg(long, requires = "check")]
    offline: bool,
    /// With --check, refuse only what a reload of the running server would take in. What is wrong
    /// elsewhere is a warning. Asks no identity provider.
    #[arg(long, requires = "check")]
    reload: bool,
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
            return self.examine(global).await;
        }
        let options = daemon::Options {
            new_ledger: self.new_ledger,
            accept_clock: self.accept_clock,
        };
        Ok(daemon::run(&self.config, options).await?)
    }

    async fn examine(&self, global: &Global) -> Result<(), Failure> {
        let purpose = match (self.reload, self.offline) {
            (true, _) => Purpose::Reload,
            (false, true) => Purpose::Start(Reach::Offline),
            (false, false) => Purpose::Start(Reach::Online),
        };
        let config = match purpose {
            Purpose::Start(_) => Config::load(&self.config)?,
            Purpose::Reload => Config::load_for_reload(&self.config)?,
        };
        let report = daemon::examine(&config, purpose).await;
        global.print(&report, describe)?;
        if report.healthy {
            return Ok(());
        }
        let faults: Vec<&str> = report.faults().collect();
        Err(Failure::new(Code::Failure, faults.join("\n")))
    }
}

/// What is as it should be, and the warnings. What is wrong follows on stderr.
fn describe(report: &CheckReport) -> String {
    let mut lines = vec![format!(
        "ok       {} listens on {}",
        output::clean(&report.name),
        report.listen
    )];
    for finding in &report.findings {
        let mark = match finding.level {
            Level::Good => "ok     ".into(),
            Level::Note => "note   ".into(),
            Level::Warning => output::bold("WARNING"),
            Level::Wrong => continue,
        };
        lines.push(format!("{mark}  {}", output::clean(&finding.message)));
    }
    lines.push(String::new());
    lines.push(match report.healthy {
        true => "Nothing is wrong.".to_owned(),
        false => "Something is wrong:".to_owned(),
    });
    lines.join("\n")
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
