//! Locking and revoking, for those whom the server's policy lets.

use super::{Error, Signed, connect::authorized};
use crate::proto::v1::{self, lock_target::Target, retry_webhooks_request, revoke_request};

impl Signed {
    /// Gives no new pass to the target, and revokes those it has.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn lock(&self, target: Target, reason: &str) -> Result<v1::LockResponse, Error> {
        let request = v1::LockRequest {
            target: wire(target),
            reason: reason.to_owned(),
        };
        let request = authorized(&self.login.token, request)?;
        Ok(self.server.admin().lock(request).await?.into_inner())
    }

    /// Gives the target passes again; answers with the event's index.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn unlock(&self, target: Target, reason: &str) -> Result<u64, Error> {
        let request = v1::UnlockRequest {
            target: wire(target),
            reason: reason.to_owned(),
        };
        let request = authorized(&self.login.token, request)?;
        Ok(self
            .server
            .admin()
            .unlock(request)
            .await?
            .into_inner()
            .index)
    }

    /// The locks in force.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn locks(&self) -> Result<Vec<v1::Lock>, Error> {
        let request = authorized(&self.login.token, v1::ListLocksRequest {})?;
        Ok(self
            .server
            .admin()
            .list_locks(request)
            .await?
            .into_inner()
            .locks)
    }

    /// What became of webhooks.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn webhooks(&self) -> Result<Vec<v1::Webhook>, Error> {
        let request = authorized(&self.login.token, v1::ListWebhooksRequest {})?;
        let answer = self.server.admin().list_webhooks(request).await?;
        Ok(answer.into_inner().webhooks)
    }

    /// Lets dead letters be tried again; how many those are.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn retry_webhooks(
        &self,
        name: &str,
        which: retry_webhooks_request::Which,
    ) -> Result<u64, Error> {
        let request = v1::RetryWebhooksRequest {
            name: name.to_owned(),
            which: Some(which),
        };
        let request = authorized(&self.login.token, request)?;
        let answer = self.server.admin().retry_webhooks(request).await?;
        Ok(answer.into_inner().count)
    }

    /// Makes hosts refuse passes that are out.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn revoke(
        &self,
        target: revoke_request::Target,
        reason: &str,
    ) -> Result<v1::RevokeResponse, Error> {
        let request = v1::RevokeRequest {
            target: Some(target),
            reason: reason.to_owned(),
        };
        let request = authorized(&self.login.token, request)?;
        Ok(self.server.admin().revoke(request).await?.into_inner())
    }
}

fn wire(target: Target) -> Option<v1::LockTarget> {
    Some(v1::LockTarget {
        target: Some(target),
    })
}
