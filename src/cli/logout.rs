//! `daypass logout`.

use super::{Failure, Global, target::Target};

/// Sign out: remove keys, token and passes, here and from the ssh-agent.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
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
