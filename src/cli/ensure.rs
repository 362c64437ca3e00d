//! `daypass ensure`, for `Match exec` in ssh_config. Silent, and without network if a valid pass is
//! on disk.

use super::{Failure, Global, login_name::local_user, ssh::SERVED, target::Target};

/// Get a pass for a host if none is on disk; ssh runs this (see `daypass ssh-config`).
///
/// Never asks. Uses only a role that demands no parameter and no reason. Writes a small ssh
/// configuration beside the pass, with its login and files, for the ssh that runs this. If the pass
/// has several logins, it names your local one if it is among them, else the first in alphabetical
/// order.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// The host, as the user typed it.
    #[arg(long)]
    host: String,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the server denies the pass, and 4 if you are not signed in. Returns code
    /// 1, without a message, inside a `daypass ssh` to the same host.
    pub(crate) async fn run(self, _global: &Global) -> Result<(), Failure> {
        if std::env::var_os(SERVED).is_some_and(|host| *host == *self.host) {
            return Err(silent());
        }
        let client = self.target.client()?;
        let program = std::env::current_exe()?;
        client
            .ensure(&self.host, &program, local_user().as_deref())
            .await?;
        Ok(())
    }
}

fn silent() -> Failure {
    Failure {
        code: 1,
        message: String::new(),
        reason: None,
    }
}
