//! The connections of an administrator to a server whose restored ledger waits for its acceptance.

use super::{Client, Error, Signed, credentials::authorized, witness};
use crate::{proto::v1, reason};

/// Entries beyond the largest known size that a statement skips: clients and hosts may know later
/// ones than the administrator.
const MARGIN: u64 = 1000;

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
                })
            }
            signed => signed,
        }
    }

    /// A connection for the administrator who accepts a restored ledger, and the size to go on
    /// from: past all that this client, the server and `past` know.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if there is nothing to accept.
    pub(crate) async fn signed_in_to_accept(&self, past: u64) -> Result<(Signed, u64), Error> {
        let login = self.login()?;
        let (server, server_info) = self.connect().await?;
        let verifier = server_info.verifier()?;
        let request = authorized(&login, v1::GetCheckpointRequest {})?;
        let wire = server.ledger().get_checkpoint(request).await?.into_inner();
        let new = witness::verify(&verifier, &wire.checkpoint)?;
        let known = witness::last(&self.state, &server.address, &verifier)?;
        let known = known.map_or(0, |known| known.size);
        if !wire.restored && past == 0 {
            return Err(Error::Usage(
                "the server's ledger does not wait for an acceptance: nothing was restored, or it is accepted already. For a \
                 client that knows more entries, name them with --past"
                    .to_owned(),
            ));
        }
        let through = new.size.max(known).max(past).saturating_add(MARGIN);
        let signed = Signed {
            server,
            server_info,
            login,
        };
        Ok((signed, through))
    }
}
