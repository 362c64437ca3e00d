//! Administrators' orders about hosts.

use super::{Error, expect_allowed, known};
use crate::{
    ledger::{
        EventKind,
        event::{HostAdded, HostRemoved, NewHost},
        state::expect_invitation,
    },
    operations::{admin::SignedOrder, record},
    unix_seconds::UnixSeconds,
};

impl SignedOrder<'_> {
    /// Lets a host join. Returns the event's index.
    ///
    /// # Errors
    /// Returns [`Error::AdminDenied`] if the policy does not name this identity, and
    /// [`Error::Rejection`] if the host cannot be added so; both are recorded. Returns
    /// [`Error::Invalid`] if a name is outside of the configured ones, the policy has no such
    /// group, or a join code is not valid for so long.
    pub(crate) async fn add_host(self, host: NewHost) -> Result<u64, Error> {
        self.expect_permitted(&format!("add host {}", host.name))
            .await?;
        let names = std::iter::once(&host.name).chain(&host.aliases);
        let hosts = known(self.authority)?;
        expect_allowed(self.authority, hosts, names.map(String::as_str))?;
        // A mistyped option is no denial that an auditor should read of.
        expect_invitation(self.context.now.into(), host.expires_at)
            .map_err(|why| Error::Invalid(why.to_owned()))?;
        // A host keeps its group. The rules of the ledger refuse one without any.
        if !host.rekey && !host.group.is_empty() {
            let policy = self.authority.policy();
            policy.expect_group(&host.group).map_err(Error::Invalid)?;
        }
        let added = EventKind::HostAdded(Box::new(HostAdded {
            who: record::who(self.holder.identity()),
            host: host.name,
            group: host.group,
            aliases: host.aliases,
            code: host.code,
            expires_at: host.expires_at,
            rekey: host.rekey,
            reason: self.signed.reason,
            proof: Some(self.signed.proof),
        }));
        Ok(self.authority.store.record(added, self.context.now).await?)
    }

    /// Forgets a host. Returns the event's index, and the serials of its certificates that were
    /// still valid, and are revoked now.
    ///
    /// # Errors
    /// Returns [`Error::AdminDenied`] if the policy does not name this identity, and
    /// [`Error::Rejection`] if there is no such host; both are recorded.
    pub(crate) async fn remove_host(self, name: String) -> Result<(u64, Vec<u64>), Error> {
        self.expect_permitted(&format!("remove host {name}"))
            .await?;
        known(self.authority)?;
        let (store, now) = (&self.authority.store, self.context.now);
        let seconds = UnixSeconds::from(now);
        let valid = store.state(|state| {
            let host = state.host(&name);
            host.map(|host| host.valid_certificates(seconds))
        });
        let removed = EventKind::HostRemoved(Box::new(HostRemoved {
            who: record::who(self.holder.identity()),
            host: name.clone(),
            reason: self.signed.reason,
            proof: Some(self.signed.proof),
        }));
        let index = store.record(removed, now).await?;
        // The host is removed, and no report of an earlier join counts. An error here would say
        // that it is not, and keep the serials from the administrator.
        if let Err(error) = store.remove_report(name.clone()).await {
            tracing::warn!(host = name, %error, "the last report of a removed host stays");
        }
        Ok((index, valid.unwrap_or_default()))
    }
}
