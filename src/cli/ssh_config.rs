//! `daypass ssh-config`.

use std::path::{Path, PathBuf};

use super::{Failure, Global, target::Target};
use crate::client::ssh_config::{BlockOptions, SharedPath, users_file};

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
    Print(Lines),
    /// Write the lines to a file of Daypass, and add one Include line to ~/.ssh/config.
    Install {
        #[command(flatten)]
        lines: Lines,
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

#[derive(Debug, clap::Args)]
struct Lines {
    /// Host name patterns. By default those that the server names.
    #[arg(long = "host", value_name = "PATTERN")]
    hosts: Vec<String>,
    /// When your sign-in has ended, an ssh at a terminal opens the browser, or shows a code, and
    /// waits. Without this option it only says that you must sign in.
    #[arg(long)]
    sign_in: bool,
}

impl From<Lines> for BlockOptions {
    fn from(lines: Lines) -> Self {
        Self {
            patterns: lines.hosts,
            sign_in: lines.sign_in,
        }
    }
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
            Action::Print(lines) => {
                let block = client.ssh_config(&program, &lines.into()).await?;
                global.print(&serde_json::json!({ "ssh_config": block }), |_| {
                    block.clone()
                })
            }
            Action::Install { lines, config } => {
                let (config, options) = (file(config)?, lines.into());
                let changed = client.install_ssh_config(&program, &options, &config);
                let changed = changed.await?;
                for path in client.shared_paths(&config)? {
                    global.say(&shared(&config, &path));
                }
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

/// Says which line of the user's shares connections, and what to do about it.
fn shared(config: &Path, path: &SharedPath) -> String {
    let place = format!("{}:{}", config.display(), path.line);
    let why = "a shared connection keeps the rights of the pass that opened it, also after that pass was revoked";
    match &path.alias {
        None => format!(
            "warning: {place}: this ControlPath counts for hosts of passes: {why}; move it below the Include line \
             of Daypass"
        ),
        Some(alias) => format!(
            "warning: {place}: this ControlPath counts for {alias}, another name of a host of passes: {why}; \
             write `ControlPath none` below `Host {alias}`, above this line"
        ),
    }
}

fn report(global: &Global, changed: bool, config: &Path, what: &str) -> Result<(), Failure> {
    let value = serde_json::json!({ "changed": changed, "config": config });
    global.print(&value, |_| match changed {
        true => format!("{} {what}.", config.display()),
        false => format!("{} needed no change.", config.display()),
    })
}
