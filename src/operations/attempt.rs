//! An attempt of a proven identity, and the record of its refusal.

use ssh_key::PublicKey;

use super::{authority::Authority, error::Error, record};
use crate::{
    identity::{Identity, KeyHolder},
    ledger::EventKind,
    policy::{Ask, AuthMethod, Context},
    ssh::key::fingerprint,
};

/// An attempt of a proven identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// The caller, or the one on whose behalf the caller asks.
    pub identity: &'a Identity,
    /// The caller who asks on behalf of `identity`, if it is another.
    pub by: Option<&'a Identity>,
    /// The subject key, if it could be read. Its possession need not be proven.
    pub key: Option<&'a PublicKey>,
    /// The ask, as far as it could be read.
    pub ask: &'a Ask,
    /// When, and from where.
    pub context: Context,
}

impl<'a> Attempt<'a> {
    /// The attempt of a key holder.
    pub(crate) fn of(holder: &'a KeyHolder, ask: &'a Ask, context: Context) -> Self {
        Self {
            identity: holder.identity(),
            by: holder.on_behalf().map(|it| it.by()),
            key: Some(holder.key()),
            ask,
            context,
        }
    }

    /// Records the refusal of this attempt: one `denied` event, or beyond the rate of those, one
    /// more in a count (`ledger::denials`). Leaves out parameters that the role does not have,
    /// names and values.
    ///
    /// `code` is one of [`crate::reason`]. `detail` is a sentence without any secret or part of a
    /// token.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be written.
    pub(crate) async fn refuse(
        &self,
        authority: &Authority,
        code: &str,
        detail: &str,
    ) -> Result<(), Error> {
        let policy = authority.policy();
        let mut asked = record::asked(self.ask, self.context);
        let all = asked.params.len();
        asked
            .params
            .retain(|name, _| policy.has_parameter(&self.ask.role, name));
        let denied = EventKind::Denied {
            cut: asked.params.len() < all,
            by: self.by.map(|by| Box::new(record::who(by))),
            unbound: AuthMethod::of(self.identity) == AuthMethod::UnboundToken,
            who: record::who(self.identity),
            ask: asked,
            key: self.key.map(fingerprint),
            reason: code.to_owned(),
            detail: detail.to_owned(),
            policy: policy.hash().to_owned(),
        };
        authority.store.refuse(denied, self.context.now).await?;
        Ok(())
    }
}
