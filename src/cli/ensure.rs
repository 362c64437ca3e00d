//! `daypass ensure`: for `Match exec` in ssh_config. Silent, and without network where a good pass lies on disk.

use super::{Failure, Global, ssh::SERVED, target::Target};
use crate::client::choose::Wish;

/// Make sure that a pass for a host is on disk; for `Match exec` in ssh_config (see `daypass ssh-config`).
///
/// Never asks anything. Only a role that demands no parameter and no reason is used.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// The host, as ssh's user spelt it.
    #[arg(long)]
    host: String,
    /// Get nothing: only say, by the exit code, whether the pass on disk goes through a bastion.
    #[arg(long)]
    through_bastion: bool,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 3 where it is denied, 4 where nobody is signed in; 1, in silence, inside a `daypass ssh` to the same host, and where
    /// the pass on disk goes through no bastion.
    pub async fn run(self, _global: &Global) -> Result<(), Failure> {
        if std::env::var_os(SERVED).is_some_and(|host| *host == *self.host) {
            return Err(silent());
        }
        let wish = Wish {
            host: Some(self.host),
            ..Wish::default()
        };
        let client = self.target.client()?;
        if self.through_bastion {
            let found = client.cached(&wish)?;
            let via = found.and_then(|(place, _)| place.via());
            return via.map(|_| ()).ok_or_else(silent);
        }
        client.obtain(&wish).await?;
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
