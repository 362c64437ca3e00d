//! `daypass jump`: what `ProxyCommand` runs. Becomes the `ssh` that forwards through a bastion.

use std::{os::unix::process::CommandExt, path::PathBuf, process::Command};

use super::{
    Failure, Global,
    failure::Code,
    ssh::{CONFIG, SERVED},
};
use crate::client::jump::place;

/// Forward through the bastion of a pass; for `ProxyCommand` in ssh_config (see `daypass ssh-config`).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The jump pass: the file with its key.
    #[arg(long, value_name = "PATH")]
    pass: PathBuf,
    /// An ssh configuration file, instead of ~/.ssh/config.
    #[arg(
        short = 'F',
        long = "ssh-config",
        env = CONFIG,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// The host behind the bastion.
    host: String,
    /// The port there.
    port: u16,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 2 where there is no jump pass; else ssh's own.
    pub(super) async fn run(self, _global: &Global) -> Result<(), Failure> {
        let (jump, via) = place(&self.pass)?;
        let config = self.config.filter(|path| !path.as_os_str().is_empty());
        let target = format!("[{}]:{}", self.host, self.port);
        let words = via.arguments(&jump, config.as_deref(), &target)?;
        // The bastion may be one of our hosts too, and this ssh needs no other pass for it.
        let error = Command::new("ssh")
            .args(words)
            .env(SERVED, &via.host)
            .exec();
        Err(Failure::new(
            Code::Failure,
            format!("failed to start ssh: {error}"),
        ))
    }
}
