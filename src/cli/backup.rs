//! `daypass backup` and `daypass restore`.

use std::path::PathBuf;

use super::{Failure, Global, output::clean};
use crate::{
    config::Config,
    daemon::{self, BackupReport, RestoreOptions},
};

/// Copy a server's ledger and files into a folder, also while the server runs.
///
/// Run it as the server's own account, such as: runuser -u daypass -- daypass backup DIR. Say
/// whether the private keys are copied, too: a person who has them can log in everywhere.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The folder to make.
    dir: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// The server's configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/daypass/daypass.toml")]
    config: PathBuf,
}

/// Exactly one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Keys {
    /// Copy the private keys of CA, ledger and TLS, too.
    #[arg(long)]
    with_keys: bool,
    /// Leave the private keys out. A restore needs them from elsewhere.
    #[arg(long)]
    without_keys: bool,
}

/// Put a backup back into a server's empty state folder.
///
/// Files that are missing (configuration, policy, keys) are put back; no file is overwritten. After
/// an older copy is restored, the server grants nothing until an administrator has accepted the
/// loss: daypass admin accept-restore.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// The folder of the backup.
    #[arg(required_unless_present = "by_hand")]
    dir: Option<PathBuf>,
    /// Files of an older copy are in the state folder already, put there by hand: only mark the
    /// ledger as restored. Without that, a server on an older copy does not know that it is one.
    #[arg(long, conflicts_with = "dir")]
    by_hand: bool,
    /// The configuration file to use, instead of the one in the backup, or with --by-hand of
    /// /etc/daypass/daypass.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Accept a backup without a signature, as earlier versions made them. Only if no other person
    /// could write to it.
    #[arg(long, conflicts_with = "by_hand")]
    unsigned: bool,
}

impl BackupArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the error of the file that failed.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let config = Config::load(&std::path::absolute(&self.config)?)?;
        let report = daemon::back_up(&config, &self.dir, self.keys.with_keys).await?;
        global.print(&report, |it| {
            let keys = match it.has_keys {
                true => "It has the private keys: keep it as secret as they are.",
                false => "It has no private key: a restore needs them from elsewhere.",
            };
            format!(
                "Backed up {} entries of {} to {}.\n{keys}",
                it.size,
                it.server,
                shown(&it.folder)
            )
        })
    }
}

impl RestoreArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the reason why the backup is not put back.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let report = match &self.dir {
            Some(dir) => {
                let options = RestoreOptions {
                    configuration: self.config.as_deref(),
                    unsigned: self.unsigned,
                };
                daemon::restore(dir, options).await?
            }
            None => {
                let usual = PathBuf::from("/etc/daypass/daypass.toml");
                daemon::mark_by_hand(&std::path::absolute(self.config.unwrap_or(usual))?).await?
            }
        };
        let verb = if self.by_hand { "Marked" } else { "Restored" };
        global.print(&report, |report| text(verb, report))
    }
}

fn text(verb: &str, report: &BackupReport) -> String {
    let mut text = format!(
        "{verb} {} entries of {} in {}.\n",
        report.size,
        report.server,
        shown(&report.folder)
    );
    if !report.is_signed {
        text.push_str("The backup has no signature: whether it was changed is not known.\n");
    }
    for path in &report.written {
        text.push_str(&format!("written  {}\n", shown(path)));
    }
    text + "\nNext:\n  1. Start the server. It grants nothing yet, and clients and hosts refuse it.\n  \
            2. As an administrator, lock again who was locked after the backup: daypass admin lock NAME\n  \
            3. As an administrator: daypass admin accept-restore --reason TEXT\n     \
            Every pass that was issued before is then revoked, and clients and hosts go on."
}

fn shown(path: &std::path::Path) -> String {
    clean(&path.display().to_string()).into_owned()
}
