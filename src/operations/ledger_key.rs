//! The change of the ledger's key, by an administrator's order.

use super::{admin::SignedOrder, authority::Authority, error::Error, record};
use crate::ledger::{checkpoint::Verifier, handover::PublishedKeys};

impl SignedOrder<'_> {
    /// Hands the ledger over to the key `new`, which this server must have. Returns the event's
    /// index. Every later checkpoint is signed by that key.
    ///
    /// # Errors
    /// Returns [`Error::AdminDenied`] if the policy does not name this identity, and
    /// [`Error::Rejection`] if the ledger cannot get this key; both are recorded, unless this
    /// server does not have the key.
    pub(crate) async fn change_ledger_key(self, new: Verifier) -> Result<u64, Error> {
        self.expect_permitted(&format!("hand the ledger over to {new}"))
            .await?;
        let who = record::who(self.holder.identity());
        let order = (who, self.signed.reason, self.signed.proof);
        let store = &self.authority.store;
        Ok(store.hand_over(new, order, self.context.now).await?)
    }
}

/// The ledger's key, and the handovers that led to it. As new as every checkpoint that a server of
/// this ledger has shown.
pub(crate) async fn published(authority: &Authority) -> PublishedKeys {
    authority.store.follow_handover().await;
    authority.store.published_keys()
}
