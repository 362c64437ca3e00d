//! `daypass logout`.

use super::{Failure, Global, target::Target};

/// Sign out, and remove keys, token and passes from disk and from the ssh-agent.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a file or an agent's key cannot be removed.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let was_signed_in = self.target.client()?.logout().await?;
        global.print(
            &serde_json::json!({ "signed_out": was_signed_in }),
            |_| match was_signed_in {
                true => "Signed out. Keys, token and passes are gone from this machine.".to_owned(),
                false => "You were not signed in.".to_owned(),
            },
        )
    }
}
