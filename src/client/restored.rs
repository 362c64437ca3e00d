//! A server whose ledger was restored from a backup: it contradicts the remembered checkpoint. The
//! client goes on only by the statement of an administrator whose key it knew before, and says so.

use super::{
    Error,
    asking::Asking,
    clock::now,
    connect::Server,
    proofs,
    server_info::{self, ServerInfo},
    state::State,
};
use crate::{
    ledger::{
        acceptance::Acceptance,
        administrators::Known,
        checkpoint::Checkpoint,
        going_on::{Party, Prior, Stopped},
        recovery::Recovery,
        restore::Copy,
        tree::{self, Hash},
    },
    reason,
    unix_seconds::UnixSeconds,
};

/// A server's answer about its restored ledger, with its checkpoint.
pub(super) struct Answer<'a> {
    pub(super) asking: &'a Asking<'a>,
    pub(super) state: &'a State,
    pub(super) recovery: &'a Recovery,
    pub(super) new: &'a Checkpoint,
}

impl Answer<'_> {
    /// The statement by which this client goes on from the `old` checkpoint.
    ///
    /// # Errors
    /// Returns an error that says what to do if there is no statement, none for a ledger as large
    /// as the `old` one, or none by a key that counts here, and [`Error::Untrusted`] if it is
    /// invalid.
    pub(super) async fn acceptance(&self, old: &Checkpoint) -> Result<Acceptance, Error> {
        let administrators = known(self.state, self.asking.server)?.unwrap_or_default();
        let prior = Prior {
            party: Party::Client,
            size: old.size,
            administrators: &administrators,
            accept: self.asking.accept,
            now: UnixSeconds(now()),
        };
        let acceptance =
            prior
                .go_on(self.recovery, self.new.size)
                .map_err(|stopped| match stopped {
                    Stopped::Invalid(fault) => untrusted(fault),
                    Stopped::Waiting(message) => Error::Other {
                        reason: Some(reason::LEDGER_RESTORED.to_owned()),
                        message,
                    },
                })?;
        self.expect_contained(&acceptance).await?;
        Ok(acceptance)
    }

    /// Checks that the ledger contains the statement and begins with the copy that it names.
    async fn expect_contained(&self, acceptance: &Acceptance) -> Result<(), Error> {
        let Some(accepted) = &self.recovery.accepted else {
            return Err(untrusted("it is missing".to_owned()));
        };
        let (index, size) = (accepted.index, self.new.size);
        let Asking { server, login, .. } = self.asking;
        let proof = proofs::inclusion(server, login, index, size).await?;
        let digest = tree::leaf_hash(accepted.leaf.as_bytes());
        if !tree::verify_inclusion(&digest, index, size, &proof, &self.new.root) {
            return Err(untrusted("the ledger does not contain it".to_owned()));
        }
        expect_beginning(self.asking, acceptance.copy, self.new).await
    }
}

/// Checks that the ledger of the checkpoint begins with this copy.
///
/// # Errors
/// Returns [`Error::Untrusted`] if it does not.
pub(super) async fn expect_beginning(
    asking: &Asking<'_>,
    copy: Copy,
    new: &Checkpoint,
) -> Result<(), Error> {
    let proof: Vec<Hash> = match copy.size < new.size {
        true => proofs::consistency(asking.server, asking.login, copy.size, new.size).await?,
        false => Vec::new(),
    };
    let is_beginning = match copy.size == new.size {
        true => copy.root == new.root,
        false => tree::verify_consistency(copy.size, &copy.root, new.size, &new.root, &proof),
    };
    match is_beginning {
        true => Ok(()),
        false => Err(untrusted(
            "its ledger does not begin with the restored copy".to_owned(),
        )),
    }
}

/// Reads what the server says of its administrators' keys and of a restored ledger; none if it is
/// older than that.
///
/// # Errors
/// Returns [`Error::Untrusted`] if it is invalid, or another server's.
pub(super) fn recovery(bytes: &[u8], server_info: &ServerInfo) -> Result<Option<Recovery>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let recovery = Recovery::parse(bytes).map_err(|error| {
        Error::Untrusted(format!("what it says of administrators' keys: {error}"))
    })?;
    match recovery.server == server_info.server_name {
        true => Ok(Some(recovery)),
        false => Err(Error::Untrusted(format!(
            "what it says of administrators' keys is of the server {:?}",
            recovery.server
        ))),
    }
}

/// Remembers the administrators' keys of a good answer, for the day on which the ledger is
/// restored.
///
/// # Errors
/// Returns [`Error::File`] if that fails.
pub(super) fn remember(
    state: &State,
    server: &Server,
    recovery: Option<&Recovery>,
) -> Result<(), Error> {
    // Keys of an older policy are nothing to learn.
    let is_pending = |recovery: &&Recovery| {
        let restored = recovery.restored.as_ref();
        restored.is_some_and(|restored| restored.is_pending)
    };
    let Some(recovery) = recovery.filter(|recovery| !is_pending(recovery)) else {
        return Ok(());
    };
    let old = known(state, server)?;
    let keys = &recovery.administrators;
    let new = match &old {
        None => Known::first(keys),
        Some(old) => old.then(keys, UnixSeconds(now())),
    };
    if old.as_ref() == Some(&new) {
        return Ok(());
    }
    let text = serde_json::to_vec(&new).map_err(|error| Error::other(error.to_string()))?;
    state.write(file(server), &text)
}

/// The administrators' keys that this client knows; none if it never learned any. A damaged file
/// knows no key.
fn known(state: &State, server: &Server) -> Result<Option<Known>, Error> {
    let text = state.read(file(server))?;
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or_default()))
}

fn file(server: &Server) -> std::path::PathBuf {
    server_info::file(&server.address, "administrators.json")
}

fn untrusted(why: String) -> Error {
    Error::Untrusted(format!(
        "its statement that a restored ledger goes on: {why}"
    ))
}

/// What the user is told when the client goes on.
pub(super) fn spoken(acceptance: &Acceptance, old: &Checkpoint, new: &Checkpoint) -> String {
    format!(
        "note: the server's ledger was restored from a backup, and entries are lost: this client knew {} and goes on at {}. \
         {} All earlier passes are revoked. If you did not expect this, ask your security team.",
        old.size,
        new.size,
        acceptance.spoken()
    )
}

/// Keeps the checkpoint of the lost ledger as evidence, beside the new one.
pub(super) fn keep_old(state: &State, server: &Server, note: &str) -> Result<(), Error> {
    let file = server_info::file(&server.address, "checkpoint.before-restore");
    state.write(file, note.as_bytes())
}
