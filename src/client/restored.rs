//! A server whose ledger was restored from a backup: it contradicts the remembered checkpoint. The
//! client goes on only by an administrator's signed statement in the ledger, and says so.

use super::{
    Error,
    connect::Server,
    proofs,
    server_info::{self, ServerInfo},
    session::Login,
    state::State,
};
use crate::{
    ledger::{acceptance::Acceptance, checkpoint::Checkpoint, tree},
    proto::v1,
    reason,
};

/// What a server says of its restored ledger, with its checkpoint.
pub(super) struct Answer<'a> {
    pub(super) server: &'a Server,
    pub(super) server_info: &'a ServerInfo,
    pub(super) login: &'a Login,
    pub(super) wire: &'a v1::GetCheckpointResponse,
    pub(super) new: &'a Checkpoint,
}

impl Answer<'_> {
    /// Whether the server says that its ledger was restored.
    pub(super) fn is_restored(&self) -> bool {
        self.wire.restored || !self.wire.accepted.is_empty()
    }

    /// The statement by which this client goes on from the `old` checkpoint.
    ///
    /// # Errors
    /// Returns an error that says what an administrator must do if there is no statement, or none
    /// for a ledger as large as the `old` one, and [`Error::Untrusted`] if it is invalid.
    pub(super) async fn acceptance(&self, old: &Checkpoint) -> Result<Acceptance, Error> {
        let ask = format!(
            "Ask an administrator to run: daypass admin accept-restore --past {}",
            old.size
        );
        let waits = |why: &str| Error::Other {
            reason: Some(reason::LEDGER_RESTORED.to_owned()),
            message: format!(
                "the server's ledger was restored from a backup: this client knows {} entries of the lost one, and \
                 {why}. Nothing of the server is used until then. {ask}",
                old.size
            ),
        };
        if self.wire.accepted.is_empty() {
            return Err(waits("no administrator has accepted the restored one yet"));
        }
        let acceptance = self.verified().await?;
        if old.size > acceptance.through {
            let through = acceptance.through;
            return Err(waits(&format!(
                "an administrator accepted the loss of {through} at most"
            )));
        }
        if self.new.size < acceptance.through {
            return Err(waits(
                "the restored one is still being filled: try again in a minute",
            ));
        }
        Ok(acceptance)
    }

    /// Checks the statement's signature, and that the ledger contains it.
    async fn verified(&self) -> Result<Acceptance, Error> {
        let (index, leaf) = (self.wire.accepted_index, &self.wire.accepted);
        let untrusted = |why: String| {
            Error::Untrusted(format!(
                "its statement that a restored ledger goes on: {why}"
            ))
        };
        let acceptance = Acceptance::verify(index, leaf, &self.server_info.server_name);
        let acceptance = acceptance.map_err(untrusted)?;
        let size = self.new.size;
        let proof = proofs::inclusion(self.server, self.login, index, size).await?;
        let digest = tree::leaf_hash(leaf);
        match tree::verify_inclusion(&digest, index, size, &proof, &self.new.root) {
            true => Ok(acceptance),
            false => Err(untrusted("the ledger does not contain it".to_owned())),
        }
    }
}

/// What the user is told when the client goes on.
pub(super) fn spoken(acceptance: &Acceptance, old: &Checkpoint, new: &Checkpoint) -> String {
    let reason = match acceptance.reason.as_str() {
        "" => String::new(),
        reason => format!(" Their reason: {reason}."),
    };
    format!(
        "note: the server's ledger was restored from a backup, and entries are lost: this client knew {} and goes on at {}. \
         {} accepted that with the key {} (time: {}).{reason} All earlier passes are revoked. If you did not expect this, ask \
         your security team.",
        old.size, new.size, acceptance.who.label, acceptance.key, acceptance.at
    )
}

/// Keeps the checkpoint of the lost ledger as evidence, beside the new one.
pub(super) fn keep_old(state: &State, server: &Server, note: &str) -> Result<(), Error> {
    let file = server_info::file(&server.address, "checkpoint.before-restore");
    state.write(file, note.as_bytes())
}
