//! `daypass.v1.Admin`: one operation each.

use tonic::{Request, Response, Status, async_trait};

use super::{
    Services,
    call::Call,
    convert::{admin as convert, webhooks as deliveries},
    status::CallError,
};
use crate::{
    identity::{self, Identity, KeyHolder},
    ledger::{
        order::{AdminOrder, Proof, Target, Verb},
        state::Lock,
    },
    operations::{
        admin::{self, Signed, SignedOrder},
        attempt::Attempt,
        webhooks::{self, DeadLetters},
    },
    policy::Ask,
    proto::v1::{self, admin_server::Admin},
    ssh::key,
    ssh::sshsig::Namespace,
};

#[async_trait]
impl Admin for Services {
    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        let (mut call, request) = Call::open("Admin/Revoke", request);
        let outcome = self.revoke_passes(&mut call, request).await;
        call.close(outcome)
    }

    async fn lock(
        &self,
        request: Request<v1::LockRequest>,
    ) -> Result<Response<v1::LockResponse>, Status> {
        let (mut call, request) = Call::open("Admin/Lock", request);
        let outcome = self.put_lock(&mut call, request).await;
        call.close(outcome)
    }

    async fn unlock(
        &self,
        request: Request<v1::UnlockRequest>,
    ) -> Result<Response<v1::UnlockResponse>, Status> {
        let (mut call, request) = Call::open("Admin/Unlock", request);
        let outcome = self.remove_lock(&mut call, request).await;
        call.close(outcome)
    }

    async fn list_locks(
        &self,
        request: Request<v1::ListLocksRequest>,
    ) -> Result<Response<v1::ListLocksResponse>, Status> {
        let (mut call, _) = Call::open("Admin/ListLocks", request);
        let outcome = self.locks(&mut call).await;
        call.close(outcome)
    }

    async fn preview(
        &self,
        request: Request<v1::PreviewRequest>,
    ) -> Result<Response<v1::PreviewResponse>, Status> {
        let (mut call, request) = Call::open("Admin/Preview", request);
        let outcome = self.preview_order(&mut call, request).await;
        call.close(outcome)
    }

    async fn list_webhooks(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksResponse>, Status> {
        let (mut call, _) = Call::open("Admin/ListWebhooks", request);
        let outcome = self.webhooks(&mut call).await;
        call.close(outcome)
    }

    async fn retry_webhooks(
        &self,
        request: Request<v1::RetryWebhooksRequest>,
    ) -> Result<Response<v1::RetryWebhooksResponse>, Status> {
        let (mut call, request) = Call::open("Admin/RetryWebhooks", request);
        let outcome = self.retry_dead(&mut call, request).await;
        call.close(outcome)
    }
}

impl Services {
    async fn revoke_passes(
        &self,
        call: &mut Call,
        request: v1::RevokeRequest,
    ) -> Result<v1::RevokeResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let target = convert::revoke_target(request.target.as_ref())?;
        let wanted = format!("revoke {target}");
        let brought = Brought {
            verb: Verb::Revoke,
            target: Target::from(&target),
            reason: &request.reason,
            after: request.after,
            public_key: &request.public_key,
            binding_secret: &request.binding_secret,
            signature: &request.signature,
        };
        let (holder, signed) = self.signed(call, identity, &brought, &wanted).await?;
        let order = SignedOrder {
            authority: &self.authority,
            holder: &holder,
            signed,
            context: call.context(),
        };
        let done = order.revoke(target).await?;
        Ok(convert::revoked(done))
    }

    async fn put_lock(
        &self,
        call: &mut Call,
        request: v1::LockRequest,
    ) -> Result<v1::LockResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let target = convert::lock_target(request.target.as_ref())?;
        let wanted = format!("lock {target}");
        let brought = Brought {
            verb: Verb::Lock,
            target: Target::from(&target),
            reason: &request.reason,
            after: request.after,
            public_key: &request.public_key,
            binding_secret: &request.binding_secret,
            signature: &request.signature,
        };
        let (holder, signed) = self.signed(call, identity, &brought, &wanted).await?;
        let order = SignedOrder {
            authority: &self.authority,
            holder: &holder,
            signed,
            context: call.context(),
        };
        let (to, reason) = (target.clone(), order.signed.reason.clone());
        let done = order.lock(to).await?;
        let lock = Lock {
            target,
            reason,
            by: holder.identity().label().to_owned(),
            at: done.at,
            index: done.index,
            covers: done.covers,
        };
        Ok(v1::LockResponse {
            lock: Some(convert::lock(lock)),
            serials: done.serials,
        })
    }

    async fn remove_lock(
        &self,
        call: &mut Call,
        request: v1::UnlockRequest,
    ) -> Result<v1::UnlockResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let target = convert::lock_target(request.target.as_ref())?;
        let wanted = format!("unlock {target}");
        let brought = Brought {
            verb: Verb::Unlock,
            target: Target::from(&target),
            reason: &request.reason,
            after: request.after,
            public_key: &request.public_key,
            binding_secret: &request.binding_secret,
            signature: &request.signature,
        };
        let (holder, signed) = self.signed(call, identity, &brought, &wanted).await?;
        let order = SignedOrder {
            authority: &self.authority,
            holder: &holder,
            signed,
            context: call.context(),
        };
        let index = order.unlock(target).await?;
        Ok(v1::UnlockResponse { index })
    }

    async fn preview_order(
        &self,
        call: &mut Call,
        request: v1::PreviewRequest,
    ) -> Result<v1::PreviewResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let target = convert::preview_target(request.target.as_ref())?;
        let (authority, context) = (&self.authority, call.context());
        let preview = admin::preview(authority, &identity, &target, context).await?;
        Ok(convert::preview(preview))
    }

    async fn locks(&self, call: &mut Call) -> Result<v1::ListLocksResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let locks = admin::locks(&self.authority, &identity, call.context()).await?;
        Ok(v1::ListLocksResponse {
            locks: locks.into_iter().map(convert::lock).collect(),
        })
    }

    /// The proof that this order is of the token's bound key. An order without it is recorded, once.
    async fn signed(
        &self,
        call: &Call,
        identity: Identity,
        brought: &Brought<'_>,
        wanted: &str,
    ) -> Result<(KeyHolder, Signed), CallError> {
        let reason = convert::reason(brought.reason)?;
        let refusal = match brought.hold(&identity, &self.authority.server_name) {
            Ok((holder, proof)) => return Ok((holder, Signed { reason, proof })),
            Err(refusal) => refusal,
        };
        let key = key::parse(brought.public_key).ok();
        let (reason, detail) = (refusal.reason(), format!("{wanted}: {refusal}"));
        let attempt = Attempt {
            identity: &identity,
            key: key.as_ref(),
            ask: &Ask::default(),
            context: call.context(),
        };
        attempt.refuse(&self.authority, reason, &detail).await?;
        Err(refusal)
    }

    async fn webhooks(&self, call: &mut Call) -> Result<v1::ListWebhooksResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let reports = webhooks::list(&self.authority, &identity, call.context()).await?;
        Ok(v1::ListWebhooksResponse {
            webhooks: reports.into_iter().map(deliveries::webhook).collect(),
        })
    }

    async fn retry_dead(
        &self,
        call: &mut Call,
        request: v1::RetryWebhooksRequest,
    ) -> Result<v1::RetryWebhooksResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let (webhook, which) = deliveries::retry(&request)?;
        let letters = DeadLetters {
            webhook: &webhook,
            which,
        };
        let (authority, context) = (&self.authority, call.context());
        let count = webhooks::retry(authority, &identity, letters, context).await?;
        Ok(v1::RetryWebhooksResponse { count })
    }
}

/// An order as it came, with the proof of the caller's key.
struct Brought<'a> {
    verb: Verb,
    target: Target,
    reason: &'a str,
    after: u64,
    public_key: &'a str,
    binding_secret: &'a [u8],
    signature: &'a str,
}

impl Brought<'_> {
    fn hold(&self, identity: &Identity, server: &str) -> Result<(KeyHolder, Proof), CallError> {
        if self.public_key.is_empty() {
            return Err(identity::Error::ProofMissing.into());
        }
        let message = AdminOrder {
            server,
            issuer: identity.issuer(),
            subject: identity.subject(),
            token: identity.token_hash(),
            verb: self.verb,
            target: &self.target,
            reason: self.reason,
            after: self.after,
        }
        .message();
        let key = key::parse(self.public_key).map_err(CallError::SubjectKey)?;
        let (secret, signature) = (self.binding_secret, self.signature);
        let token = *identity.token_hash();
        let identity = identity.clone();
        let holder = identity.hold_for(Namespace::Admin, key, secret, &message, signature)?;
        let key = holder.key().to_openssh()?;
        let proof = Proof::new(key, signature, &token, self.after);
        Ok((holder, proof))
    }
}
