//! `daypass admin ledger-key`: hand the ledger over to another key.

use serde::Serialize;

use super::words::Reason;
use crate::{
    cli::{Failure, Global, failure::Code},
    client::{Signed, key::Key},
    ledger::checkpoint::Verifier,
};

/// Hand the ledger over to another key.
///
/// Every server of the ledger must have it as `next_key` first. The old key signs the new one, so
/// clients, witnesses and signers follow by themselves. See `daypass help ledger-key`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The new verifier key (NAME+HASH+KEY), as `daypass serve --check` prints it on the server.
    key: String,
    #[command(flatten)]
    words: Reason,
}

#[derive(Serialize)]
struct Changed {
    index: u64,
    key: String,
}

impl Args {
    pub(super) async fn run(
        self,
        signed: &Signed,
        key: &Key,
        global: &Global,
    ) -> Result<(), Failure> {
        let new = Verifier::parse(&self.key).map_err(|error| {
            let message = format!(
                "invalid key: {}. On the server, daypass serve --check prints the key that the ledger can be handed over \
                 to",
                error.why()
            );
            Failure::new(Code::Usage, message)
        })?;
        let index = signed
            .change_ledger_key(&new, &self.words.reason, key)
            .await?;
        let changed = Changed {
            index,
            key: new.to_string(),
        };
        global.print(&changed, |it| {
            format!(
                "The ledger has the key {} from entry {} on. The old key signs beside it until it is taken out of the \
                 configuration.",
                it.key, it.index
            )
        })
    }
}
