//! Locking and revoking, for those whom the server's policy lets. Each call that changes something is signed by the session's
//! key.

use super::{
    Error, Signed,
    connect::authorized,
    key::{self, Key},
};
use crate::proto::{
    order::{self, Order},
    v1::{self, lock_target::Target, retry_webhooks_request, revoke_request},
};

impl Signed {
    /// Gives no new pass to the target, and revokes those it has.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn lock(
        &self,
        target: Target,
        reason: &str,
        key: &Key,
    ) -> Result<v1::LockResponse, Error> {
        let mut request = v1::LockRequest {
            target: wire(target),
            reason: reason.to_owned(),
            ..v1::LockRequest::default()
        };
        let proof = self.prove_order(Order::Lock(&request), key).await?;
        (
            request.public_key,
            request.binding_secret,
            request.signature,
        ) = proof;
        let request = authorized(&self.login.token, request)?;
        Ok(self.server.admin().lock(request).await?.into_inner())
    }

    /// Gives the target passes again; answers with the event's index.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity.
    pub async fn unlock(&self, target: Target, reason: &str, key: &Key) -> Result<u64, Error> {
        let mut request = v1::UnlockRequest {
            target: wire(target),
            reason: reason.to_owned(),
            ..v1::UnlockRequest::default()
        };
        let proof = self.prove_order(Order::Unlock(&request), key).await?;
        (
            request.public_key,
            request.binding_secret,
            request.signature,
        ) = proof;
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
        key: &Key,
    ) -> Result<v1::RevokeResponse, Error> {
        let mut request = v1::RevokeRequest {
            target: Some(target),
            reason: reason.to_owned(),
            ..v1::RevokeRequest::default()
        };
        let proof = self.prove_order(Order::Revoke(&request), key).await?;
        (
            request.public_key,
            request.binding_secret,
            request.signature,
        ) = proof;
        let request = authorized(&self.login.token, request)?;
        Ok(self.server.admin().revoke(request).await?.into_inner())
    }

    /// Public key, binding secret and signature: the proof that the session's key gives this order.
    async fn prove_order(
        &self,
        order: Order<'_>,
        key: &Key,
    ) -> Result<(String, Vec<u8>, String), Error> {
        let message = order.message(&self.trust.server_name, &self.login.token_hash());
        let public = key::public_line(&key.public())?.trim_end().to_owned();
        let signature = key.sign_for(order::NAMESPACE, &message).await?;
        Ok((public, self.login.secret()?, signature))
    }
}

fn wire(target: Target) -> Option<v1::LockTarget> {
    Some(v1::LockTarget {
        target: Some(target),
    })
}
