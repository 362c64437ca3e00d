//! `daypass admin accept-restore`.

use crate::{
    cli::{Failure, Global, failure::Code, login::is_interactive, waiting::asked},
    client::{Signed, key::Key},
    ledger::{event::RevokeTarget, order},
    reason,
};

/// The options of the command.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A size of the lost ledger that a client or host knows, if it is larger than this
    /// client's.
    #[arg(
        long,
        value_name = "SIZE",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(super) past: u64,
    /// Why; it is kept in the ledger.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

impl Args {
    /// Signs the statement, after a confirmation.
    ///
    /// # Errors
    /// Returns [`Code::Usage`] if it must ask and there is no terminal, and the server's refusal.
    pub(super) async fn run(
        &self,
        signed: &Signed,
        through: u64,
        key: &Key,
        global: &Global,
    ) -> Result<(), Failure> {
        if !self.yes {
            confirm_acceptance(through, global).await?;
        }
        let target = RevokeTarget::Through(through);
        let seen = signed.preview(&order::Target::from(&target)).await?;
        let answer = signed.revoke(&target, &self.reason, &seen, key).await?;
        let accepted = serde_json::json!({
            "index": answer.index, "through": through, "serials": answer.serials,
        });
        global.print(&accepted, |_| {
        format!(
            "Accepted: the ledger goes on from entry {through}, and every earlier pass is revoked.\nLocks that only the \
             lost ledger had are gone. Lock again who must stay locked: daypass admin lock NAME"
        )
    })
    }
}

async fn confirm_acceptance(through: u64, global: &Global) -> Result<(), Failure> {
    let what = format!(
        "This accepts that entries of the ledger are lost. It goes on from entry {through}; every earlier pass is revoked; locks \
         that only the lost ledger had are gone"
    );
    if !is_interactive(global) {
        let message = format!("{what}. To accept it, add --yes");
        return Err(Failure::new(Code::Usage, message).because(reason::CONFIRMATION_NEEDED));
    }
    let answer = asked(&format!("{what}. To accept it, type yes: ")).await?;
    match answer.eq_ignore_ascii_case("yes") {
        true => Ok(()),
        false => Err(Failure::new(Code::Failure, "nothing was changed")),
    }
}
