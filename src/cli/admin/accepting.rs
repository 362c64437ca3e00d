//! `daypass admin accept-restore`.

use std::path::PathBuf;

use super::words::Reason;
use crate::{
    cli::{Failure, Global, failure::Code, login::is_interactive, waiting::asked},
    client::{Client, key::Key},
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
    #[command(flatten)]
    words: Reason,
    /// The administrator's key that signs the statement: a private key file, or a public key file
    /// whose private half is in the ssh-agent. By default the session's key.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

impl Args {
    /// Signs the statement, after a confirmation.
    ///
    /// # Errors
    /// Returns [`Code::Usage`] if it must ask and there is no terminal, and the server's refusal.
    pub(super) async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let (signed, acceptable) = client.signed_in_to_accept(self.past).await?;
        let key = Key::open(&signed.login.key, &client.state)?;
        let through = acceptable.through;
        let own = match &self.key {
            Some(path) => Some(Key::choose(path).await?.0),
            None => None,
        };
        let statement_key = own.as_ref().unwrap_or(&key);
        if !self.yes {
            confirm_acceptance(through, global).await?;
        }
        let answer = signed
            .accept_restore(acceptable, &self.words.reason, statement_key, &key)
            .await?;
        let fingerprint = statement_key.fingerprint();
        let accepted = serde_json::json!({
            "index": answer.index, "through": through, "serials": answer.serials, "key": fingerprint,
        });
        global.print(&accepted, |_| {
            format!(
                "Accepted with the key {fingerprint}: the ledger goes on from entry {through}, and every earlier pass is revoked.\n\
                 Clients and hosts that knew this key as an administrator's go on by themselves. Tell the others the fingerprint:\n  \
                 daypass ledger accept {fingerprint}       on a laptop\n  \
                 daypass host sync --accept-key {fingerprint}    on a host\n\
                 Locks that only the lost ledger had are gone. Lock again who must stay locked: daypass admin lock NAME\n\
                 Known hosts get new host certificates with their next daypass host sync; none from before counts."
            )
        })?;
        // This client knows the key that has just signed here.
        client.signed_in_accepting(Some(&fingerprint)).await?;
        Ok(())
    }
}

async fn confirm_acceptance(through: u64, global: &Global) -> Result<(), Failure> {
    let what = format!(
        "This accepts that entries of the ledger are lost. It goes on from entry {through}; every earlier pass is revoked; locks \
         that only the lost ledger had are gone, and hosts that it had removed are hosts again unless you remove them first"
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
