//! `daypass ssh-config`.

use std::path::PathBuf;

use super::{Failure, Global, target::Target};
use crate::client::ssh_config::users_file;

/// Let plain ssh (and scp, rsync, git, editors) use passes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print the lines for ssh_config.
    Print {
        /// Host name patterns. By default those that the server names.
        #[arg(long = "host", value_name = "PATTERN")]
        hosts: Vec<String>,
    },
    /// Write the lines to a file of Daypass, and add one Include line to ~/.ssh/config.
    Install {
        /// Host name patterns. By default those that the server names.
        #[arg(long = "host", value_name = "PATTERN")]
        hosts: Vec<String>,
        /// The file to add the line to.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Remove the Include line and the file.
    Remove {
        /// The file to remove the line from.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written, or no hosts are known.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        let program = std::env::current_exe()?;
        match self.action {
            Action::Print { hosts } => {
                let block = client.ssh_config(&program, &hosts).await?;
                global.print(&serde_json::json!({ "ssh_config": block }), |_| {
                    block.clone()
                })
            }
            Action::Install { hosts, config } => {
                let config = file(config)?;
                let changed = client.install_ssh_config(&program, &hosts, &config).await?;
                report(
                    global,
                    changed,
                    &config,
                    "now includes the lines of Daypass",
                )
            }
            Action::Remove { config } => {
                let config = file(config)?;
                let changed = client.remove_ssh_config(&config)?;
                report(
                    global,
                    changed,
                    &config,
                    "no longer includes the lines of Daypass",
                )
            }
        }
    }
}

fn file(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    Ok(match named {
        Some(path) => path,
        None => users_file()?,
    })
}

fn report(
    global: &Global,
    changed: bool,
    config: &std::path::Path,
    what: &str,
) -> Result<(), Failure> {
    let value = serde_json::json!({ "changed": changed, "config": config });
    global.print(&value, |_| match changed {
        true => format!("{} {what}.", config.display()),
        false => format!("{} needed no change.", config.display()),
    })
}
