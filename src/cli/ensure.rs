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
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 3 where it is denied, 4 where nobody is signed in; 1, in silence, inside a `daypass ssh` to the same host.
    pub async fn run(self, _global: &Global) -> Result<(), Failure> {
        if std::env::var_os(SERVED).is_some_and(|host| *host == *self.host) {
            return Err(Failure {
                code: 1,
                message: String::new(),
                reason: None,
            });
        }
        let wish = Wish {
            host: Some(self.host),
            ..Wish::default()
        };
        self.target.client()?.obtain(&wish).await?;
        Ok(())
    }
}
