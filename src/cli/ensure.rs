//! `daypass ensure`: for `Match exec` in ssh_config. Silent, and without network where a good pass lies on disk.

use super::{
    Failure, Global,
    ssh::{SERVED, local_user},
    target::Target,
};

/// Make sure that a pass for a host is on disk; for `Match exec` in ssh_config (see `daypass ssh-config`).
///
/// Never asks anything. Only a role that demands no parameter and no reason is used. Beside the pass, a small ssh
/// configuration names its login and its files for the ssh that runs this; of several logins, it is your local name if the
/// pass has it, else the first by the alphabet.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// The host, as ssh's user spelt it.
    #[arg(long)]
    host: String,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 3 if it is denied, 4 if you are not signed in; 1, in silence, inside a `daypass ssh` to the same host.
    pub async fn run(self, _global: &Global) -> Result<(), Failure> {
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
