//! The connections of an administrator to a server whose restored ledger waits for its acceptance.

use super::{
    Client, Error, Signed, asking::Asking, credentials::authorized, key::Key,
    key_text::public_text, restored, witness,
};
use crate::{
    ledger::{
        checkpoint::Checkpoint,
        event::RevokeTarget,
        order::Target,
        restore::{Copy, RestoreStatement},
    },
    proto::v1,
    reason,
    ssh::sshsig::Namespace,
};

/// Entries beyond the largest known size that a statement skips: clients and hosts may know later
/// ones than the administrator.
const MARGIN: u64 = 1000;

/// What an administrator may accept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acceptable {
    /// The restored copy.
    pub(crate) copy: Copy,
    /// The size to go on from: past all that this client and the server know.
    pub(crate) through: u64,
}

impl Client {
    /// A connection for an administrator who locks: also to a restored ledger that waits for its
    /// acceptance, so that lost locks can be given again before it grants anything.
    ///
    /// # Errors
    /// As [`Client::signed_in`].
    pub(crate) async fn signed_in_to_lock(&self) -> Result<Signed, Error> {
        match self.signed_in().await {
            Err(error) if error.reason() == Some(reason::LEDGER_RESTORED) => {
                let (server, server_info) = self.connect().await?;
                self.say("note: the server's ledger was restored and waits for its acceptance; the lock counts in it");
                Ok(Signed {
                    server,
                    server_info,
                    login: self.login()?,
                    state: self.state.clone(),
                })
            }
            signed => signed,
        }
    }

    /// A connection for the administrator who accepts a restored ledger, and what they accept: a
    /// copy that the ledger proves to begin with.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if there is nothing to accept.
    pub(crate) async fn signed_in_to_accept(
        &self,
        past: u64,
    ) -> Result<(Signed, Acceptable), Error> {
        let login = self.login()?;
        let (server, server_info) = self.connect().await?;
        let keys = server_info.ledger_keys()?;
        let request = authorized(&login, v1::GetCheckpointRequest {})?;
        let wire = server.ledger().get_checkpoint(request).await?.into_inner();
        let new = witness::verify(&keys, &wire.checkpoint)?;
        let recovery = restored::recovery(&wire.recovery, &server_info)?;
        let restored = recovery.and_then(|recovery| recovery.restored);
        let copy = restored.as_ref().and_then(|restored| restored.copy());
        let is_pending = restored.is_some_and(|restored| restored.is_pending);
        let Some(copy) = copy.filter(|_| is_pending || past > 0) else {
            return Err(nothing_to_accept(copy));
        };
        let asking = Asking {
            server: &server,
            server_info: &server_info,
            login: &login,
            accept: None,
        };
        restored::expect_beginning(&asking, copy, &new).await?;
        let known = witness::last(&self.state, &server.address, &keys)?;
        let through = size_of(known.as_ref()).max(new.size).max(past);
        let through = through.saturating_add(MARGIN);
        let signed = Signed {
            server,
            server_info,
            login,
            state: self.state.clone(),
        };
        Ok((signed, Acceptable { copy, through }))
    }
}

impl Signed {
    /// Accepts the restored copy: signs the statement with `statement_key`, and the order that
    /// carries it with the session's `key`.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to, and the server's
    /// refusal of the statement.
    pub(crate) async fn accept_restore(
        &self,
        acceptable: Acceptable,
        reason: &str,
        statement_key: &Key,
        key: &Key,
    ) -> Result<v1::RevokeResponse, Error> {
        let Acceptable { copy, through } = acceptable;
        let message = RestoreStatement {
            server: &self.server_info.server_name,
            issuer: &self.login.issuer,
            subject: &self.login.subject,
            copy,
            through,
            reason,
        }
        .message();
        let restore = v1::RestoreStatement {
            size: copy.size,
            root: copy.root.to_vec(),
            public_key: public_text(&statement_key.public())?,
            signature: statement_key.sign_for(Namespace::Restore, &message).await?,
        };
        let target = RevokeTarget::Through(through);
        let seen = self.preview(&Target::from(&target)).await?;
        self.revoke_by(&target, reason, &seen, (key, Some(restore)))
            .await
    }
}

fn size_of(checkpoint: Option<&Checkpoint>) -> u64 {
    checkpoint.map_or(0, |checkpoint| checkpoint.size)
}

fn nothing_to_accept(copy: Option<Copy>) -> Error {
    Error::Usage(match copy {
        Some(_) => "the server's restored ledger is accepted already. For a client or host that knows more entries, name \
                    them with --past"
            .to_owned(),
        None => "nothing was restored, as far as the server knows. If files of an older copy were put back by hand: stop the \
                 server, run daypass restore --by-hand, start it, and accept again"
            .to_owned(),
    })
}
