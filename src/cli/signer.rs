//! `daypass signer`.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{Failure, Global, failure::Code, output};
use crate::{
    config::SignerConfig,
    daemon::{self, Decision, SignerReport},
    finding::Level,
};

/// Keep the CA key in a process of its own, which signs only what the ledger has recorded.
///
/// Runs until SIGTERM or Ctrl-C. `daypass help signer` says how to set it up.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Args)]
struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// Check the configuration, the key and the memory, and whether an alarm waits for an
    /// operator, also beside a running signer. Exits with 1 if something is wrong.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The signer's configuration file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/daypass-signer/signer.toml"
    )]
    config: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Answer an alarm, or say what a new signer has seen. Run it as the signer's account, while
    /// the signer is stopped.
    ///
    /// Compare the ledger with what auditors and witnesses have before you give up what the signer
    /// remembers: an alarm means that a backup was restored, or that the ledger was changed.
    Accept(Accept),
}

#[derive(Debug, clap::Args)]
#[group(id = "decision", required = true, multiple = false)]
struct AcceptWhat {
    /// Go on from the checkpoint in this file (- for stdin) instead of what is remembered. No
    /// serial below the size that is remembered now is signed again.
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: Option<PathBuf>,
    /// Go on from what is remembered: the alarm was a false one.
    #[arg(long)]
    keep: bool,
    /// Begin a memory, for a new signer: it takes the first ledger that it is shown.
    #[arg(long)]
    new: bool,
}

#[derive(Debug, clap::Args)]
struct Accept {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    what: AcceptWhat,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the error that prevents the start, or what is wrong.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self.action {
            Some(Action::Accept(accept)) => accept.run(global),
            None if self.run.check => examine(&self.run.config.config, global).await,
            None => Ok(daemon::run_signer(&self.run.config.config).await?),
        }
    }
}

impl Accept {
    fn run(&self, global: &Global) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Accepted {
            remembered: u64,
        }
        let config = SignerConfig::load(&self.config.config)?;
        let decision = match (&self.what.checkpoint, self.what.new) {
            (Some(file), _) => Decision::From(note(file)?),
            (None, true) => Decision::New,
            (None, false) => Decision::Keep,
        };
        let remembered = daemon::accept_signer(&config, &decision)?;
        global.print(&Accepted { remembered }, |accepted| {
            let (size, server) = (accepted.remembered, output::clean(&config.server));
            format!("The signer goes on from a ledger of {server} with {size} events. Start it.")
        })
    }
}

fn note(file: &Path) -> Result<String, Failure> {
    let read = match file.to_str() {
        Some("-") => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        }
        _ => fs::read_to_string(file),
    };
    read.map_err(|error| {
        let message = format!("failed to read {}: {error}", file.display());
        Failure::new(Code::Failure, message)
    })
}

async fn examine(file: &Path, global: &Global) -> Result<(), Failure> {
    let config = SignerConfig::load(file)?;
    let report = daemon::examine_signer(&config).await;
    global.print(&report, describe)?;
    if report.healthy {
        return Ok(());
    }
    let wrong = report.findings.iter().filter(|it| it.is_wrong());
    let faults: Vec<&str> = wrong.map(|it| it.message.as_str()).collect();
    Err(Failure::new(Code::Failure, faults.join("\n")))
}

/// What is as it should be. What is wrong follows on stderr.
fn describe(report: &SignerReport) -> String {
    let server = output::clean(&report.server);
    let mut lines = vec![format!(
        "ok       it signs for {server} on {}",
        report.address
    )];
    let good = report.findings.iter();
    let good = good.filter(|finding| finding.level == Level::Good);
    lines.extend(good.map(|finding| format!("ok       {}", output::clean(&finding.message))));
    lines.push(String::new());
    lines.push(match report.healthy {
        true => "Nothing is wrong.".to_owned(),
        false => "Something is wrong:".to_owned(),
    });
    lines.join("\n")
}
