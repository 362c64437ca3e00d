//! `daypass logout`.

use super::{Failure, Global, target::Target};

/// Sign out, and remove keys, token and passes from disk and from the ssh-agent.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Sign out of every server.
    #[arg(long)]
    all: bool,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a file or an agent's key cannot be removed.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        let was_signed_in = match self.all {
            true => {
                let mut any = false;
                for client in client.all_servers()? {
                    any |= client.logout().await?;
                }
                any
            }
            false => client.logout().await?,
        };
        global.print(
            &serde_json::json!({ "signed_out": was_signed_in }),
            |_| match was_signed_in {
                true => "Signed out. Keys, token and passes are gone from this machine.".to_owned(),
                false => "You were not signed in.".to_owned(),
            },
        )
    }
}
