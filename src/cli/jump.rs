//! `daypass jump`, which `ProxyCommand` runs: becomes the ssh that forwards through a bastion.

use std::{os::unix::process::CommandExt, path::PathBuf, process::Command};

use super::{
    Failure, Global,
    failure::Code,
    ssh::{CONFIG, SERVED},
};
use crate::client::{jump, ssh::watched::LOG};

/// Forward through the bastion of a pass; for `ProxyCommand` in ssh_config (see `daypass
/// ssh-config`).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key file of the jump pass.
    #[arg(long, value_name = "PATH")]
    pass: PathBuf,
    /// An ssh configuration file, instead of ~/.ssh/config.
    #[arg(
        short = 'F',
        long = "ssh-config",
        env = CONFIG,
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// The host behind the bastion.
    host: String,
    /// Its port.
    port: u16,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 2 if there is no jump pass. Else the exit code is ssh's own.
    pub(super) async fn run(self, _global: &Global) -> Result<(), Failure> {
        let (jump, via) = jump::open(&self.pass)?;
        let config = self.config.filter(|path| !path.as_os_str().is_empty());
        let target = format!("[{}]:{}", self.host, self.port);
        let known_hosts = via.known_hosts(&jump, config.as_deref(), (SERVED, via.host.as_ref()));
        let words = via.arguments(&jump, config.as_deref(), known_hosts, &target)?;
        let mut ssh = Command::new("ssh");
        // The `daypass ssh` that watches the login watches this part of it too.
        if let Some(log) = std::env::var_os(LOG).filter(|path| !path.is_empty()) {
            ssh.arg("-E").arg(log);
        }
        // The bastion may be a host of the policy too. This ssh needs no other pass for it.
        let error = ssh.args(words).env(SERVED, &via.host).exec();
        Err(Failure::new(
            Code::Failure,
            format!("failed to start ssh: {error}"),
        ))
    }
}
