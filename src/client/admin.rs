//! Administration: locks, revocations, webhooks. The server's policy says who may.
//!
//! Each call that changes something is signed by the session's key, over what the administrator was
//! shown.

use super::{Error, Signed, credentials::authorized, key::Key, key_text::public_text};
use crate::{
    ledger::{
        checkpoint::Verifier,
        event::{LockTarget, RevokeTarget},
        order::{AdminOrder, Target, Verb},
    },
    proto::v1::{
        self, PreviewResponse as Preview, lock_target, preview_request, retry_webhooks_request,
        revoke_request,
    },
    reason,
    ssh::sshsig::Namespace,
};

/// Most repetitions of an order if another one came first.
const RETRIES: usize = 3;

impl Signed {
    /// Shows what an order about the target would affect. It changes nothing.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn preview(&self, target: &Target) -> Result<Preview, Error> {
        use preview_request::Target as Wire;
        let target = match target.clone() {
            Target::Identity(name) => Wire::Identity(name),
            Target::Key(key) => Wire::Key(key),
            Target::Role(role) => Wire::Role(role),
            Target::Serial(serial) => Wire::Serial(serial),
            Target::Before(time) => Wire::Before(time.get()),
            Target::Through(size) => Wire::Through(size),
            Target::Host(name) => Wire::Host(name),
            Target::NewHost(host) => Wire::Host(host.name),
            Target::CaKey { key, .. } => Wire::CaKey(key),
            Target::LedgerKey(key) => Wire::LedgerKey(key),
        };
        let target = Some(target);
        let request = authorized(&self.login, v1::PreviewRequest { target })?;
        Ok(self.server.admin().preview(request).await?.into_inner())
    }

    /// Locks the target: it gets no new pass, and the passes it has are revoked. `seen` is the
    /// preview that the user was shown.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn lock(
        &self,
        target: &LockTarget,
        reason: &str,
        seen: &Preview,
        key: &Key,
    ) -> Result<v1::LockResponse, Error> {
        let about = Target::from(target);
        self.repeat(
            (seen, is_same_people),
            async || self.preview(&about).await,
            async |after| {
                let order = self
                    .prove_order(Verb::Lock, &about, reason, after, key)
                    .await?;
                let request = v1::LockRequest {
                    target: wire(target),
                    order: Some(order),
                };
                let request = authorized(&self.login, request)?;
                Ok(self.server.admin().lock(request).await?.into_inner())
            },
        )
        .await
    }

    /// Unlocks the target; returns the event's index. `seen` is the preview that the user was
    /// shown.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn unlock(
        &self,
        target: &LockTarget,
        reason: &str,
        seen: &Preview,
        key: &Key,
    ) -> Result<u64, Error> {
        let about = Target::from(target);
        self.repeat(
            (seen, is_same_lock),
            async || self.preview(&about).await,
            async |after| {
                let order = self
                    .prove_order(Verb::Unlock, &about, reason, after, key)
                    .await?;
                let request = v1::UnlockRequest {
                    target: wire(target),
                    order: Some(order),
                };
                let request = authorized(&self.login, request)?;
                let answer = self.server.admin().unlock(request).await?;
                Ok(answer.into_inner().index)
            },
        )
        .await
    }

    /// The locks in force.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn locks(&self) -> Result<Vec<v1::Lock>, Error> {
        let request = authorized(&self.login, v1::ListLocksRequest {})?;
        Ok(self
            .server
            .admin()
            .list_locks(request)
            .await?
            .into_inner()
            .locks)
    }

    /// The deliveries of webhooks.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn webhooks(&self) -> Result<Vec<v1::Webhook>, Error> {
        let request = authorized(&self.login, v1::ListWebhooksRequest {})?;
        let answer = self.server.admin().list_webhooks(request).await?;
        Ok(answer.into_inner().webhooks)
    }

    /// Queues failed deliveries again; returns how many.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn retry_webhooks(
        &self,
        name: &str,
        which: retry_webhooks_request::Which,
    ) -> Result<u64, Error> {
        let request = v1::RetryWebhooksRequest {
            name: name.to_owned(),
            which: Some(which),
        };
        let request = authorized(&self.login, request)?;
        let answer = self.server.admin().retry_webhooks(request).await?;
        Ok(answer.into_inner().count)
    }

    /// Sends a test notification to one webhook now; returns its receiver's answer.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn test_webhook(&self, name: &str) -> Result<v1::TestWebhookResponse, Error> {
        let name = name.to_owned();
        let request = authorized(&self.login, v1::TestWebhookRequest { name })?;
        Ok(self
            .server
            .admin()
            .test_webhook(request)
            .await?
            .into_inner())
    }

    /// Revokes passes: hosts refuse them. `seen` is the preview that the user was shown.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn revoke(
        &self,
        target: &RevokeTarget,
        reason: &str,
        seen: &Preview,
        key: &Key,
    ) -> Result<v1::RevokeResponse, Error> {
        self.revoke_by(target, reason, seen, (key, None)).await
    }

    /// [`Signed::revoke`], by the session's key and with a statement about a restored copy.
    pub(super) async fn revoke_by(
        &self,
        target: &RevokeTarget,
        reason: &str,
        seen: &Preview,
        (key, restore): (&Key, Option<v1::RestoreStatement>),
    ) -> Result<v1::RevokeResponse, Error> {
        use revoke_request::Target as Wire;
        let about = Target::from(target);
        let to = match target.clone() {
            RevokeTarget::Serial(serial) => Wire::Serial(serial),
            RevokeTarget::Key(key) => Wire::Key(key),
            RevokeTarget::Identity(name) => Wire::Identity(name),
            RevokeTarget::Before(time) => Wire::Before(time.get()),
            RevokeTarget::Through(size) => Wire::Through(size),
        };
        self.repeat(
            (seen, is_same_people),
            async || self.preview(&about).await,
            async |after| {
                let order = self
                    .prove_order(Verb::Revoke, &about, reason, after, key)
                    .await?;
                let request = v1::RevokeRequest {
                    target: Some(to.clone()),
                    order: Some(order),
                    restore: restore.clone(),
                };
                let request = authorized(&self.login, request)?;
                Ok(self.server.admin().revoke(request).await?.into_inner())
            },
        )
        .await
    }

    /// Hands the ledger over to the key `new`, which the server must have. Returns the event's
    /// index.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to, and the server's
    /// refusal of the key.
    pub(crate) async fn change_ledger_key(
        &self,
        new: &Verifier,
        reason: &str,
        key: &Key,
    ) -> Result<u64, Error> {
        let about = Target::LedgerKey(new.to_string());
        let seen = self.preview(&about).await?;
        // Another handover since then is another ledger key than the administrator saw.
        let is_same = |seen: &Preview, now: &Preview| seen.after == now.after;
        self.repeat(
            (&seen, is_same),
            async || self.preview(&about).await,
            async |after| {
                let proof = self.prove_order(Verb::ChangeLedgerKey, &about, reason, after, key);
                let request = v1::ChangeLedgerKeyRequest {
                    new_key: new.to_string(),
                    order: Some(proof.await?),
                };
                let request = authorized(&self.login, request)?;
                let answer = self.server.admin().change_ledger_key(request).await?;
                Ok(answer.into_inner().event)
            },
        )
        .await
    }

    /// Gives an order, and repeats it if another administrator's order came first and changed
    /// nothing that the user was shown. `look` previews it again. `attempt` gets the index of the
    /// last order about the target.
    pub(super) async fn repeat<T>(
        &self,
        (seen, is_same): (&Preview, fn(&Preview, &Preview) -> bool),
        look: impl AsyncFn() -> Result<Preview, Error>,
        attempt: impl AsyncFn(u64) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut after = seen.after;
        for _ in 0..RETRIES {
            match attempt(after).await {
                Err(error) if error.reason() == Some(reason::ORDER_STALE) => {
                    let now = look().await?;
                    if !is_same(seen, &now) {
                        return Err(Error::Other {
                            reason: Some(reason::ORDER_STALE.to_owned()),
                            message:
                                "another order about the same target came first and changed what \
                                      this one would do: nothing was done; run the command again"
                                    .to_owned(),
                        });
                    }
                    after = now.after;
                }
                done => return done,
            }
        }
        attempt(after).await
    }

    /// Signs the order with the session's key.
    pub(super) async fn prove_order(
        &self,
        verb: Verb,
        target: &Target,
        reason: &str,
        after: u64,
        key: &Key,
    ) -> Result<v1::AdminOrder, Error> {
        let message = AdminOrder {
            server: &self.server_info.server_name,
            issuer: &self.login.issuer,
            subject: &self.login.subject,
            token: &self.login.token_hash(),
            verb,
            target,
            reason,
            after,
        }
        .message();
        let public = public_text(&key.public())?;
        let signature = key.sign_for(Namespace::Admin, &message).await?;
        Ok(v1::AdminOrder {
            reason: reason.to_owned(),
            after,
            proof: Some(v1::KeyProof {
                public_key: public,
                binding_secret: self.login.secret()?,
                signature,
            }),
        })
    }
}

pub(super) fn is_same_people(seen: &Preview, now: &Preview) -> bool {
    (&seen.covers, seen.covers_caller) == (&now.covers, now.covers_caller)
}

fn is_same_lock(seen: &Preview, now: &Preview) -> bool {
    let index = |preview: &Preview| preview.lock.as_ref().map(|lock| lock.index);
    index(seen) == index(now)
}

fn wire(target: &LockTarget) -> Option<v1::LockTarget> {
    use lock_target::Target as Wire;
    let target = match target.clone() {
        LockTarget::Identity(name) => Wire::Identity(name),
        LockTarget::Key(key) => Wire::Key(key),
        LockTarget::Role(role) => Wire::Role(role),
    };
    Some(v1::LockTarget {
        target: Some(target),
    })
}
