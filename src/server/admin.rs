//! `daypass.v1.Admin`: one operation each.

use tonic::{Request, Response, Status, async_trait};

use super::{
    Services,
    call::Call,
    convert::{admin as convert, webhooks as deliveries},
    status::Refusal,
};
use crate::{
    ca::subject,
    identity::{self, Holder, Identity},
    ledger::standing::Lock,
    operations::{admin, issue, webhooks},
    policy::Ask,
    proto::{
        order::{self, Order},
        v1::{self, admin_server::Admin},
    },
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
    ) -> Result<v1::RevokeResponse, Refusal> {
        let identity = self.authenticate(call).await?;
        let target = convert::revoke_target(request.target.as_ref())?;
        let reason = convert::reason(&request.reason)?;
        let wanted = format!("revoke {target}");
        let order = Order::Revoke(&request);
        let holder = self.holder(call, identity, order, &wanted).await?;
        let (authority, context) = (&self.authority, call.context());
        let done = admin::revoke(authority, &holder, target, reason, context).await?;
        Ok(convert::revoked(done))
    }

    async fn put_lock(
        &self,
        call: &mut Call,
        request: v1::LockRequest,
    ) -> Result<v1::LockResponse, Refusal> {
        let identity = self.authenticate(call).await?;
        let target = convert::lock_target(request.target.as_ref())?;
        let reason = convert::reason(&request.reason)?;
        let wanted = format!("lock {target}");
        let order = Order::Lock(&request);
        let holder = self.holder(call, identity, order, &wanted).await?;
        let (authority, context) = (&self.authority, call.context());
        let (to, why) = (target.clone(), reason.clone());
        let done = admin::lock(authority, &holder, to, why, context).await?;
        let lock = Lock {
            target,
            reason,
            by: holder.identity().label().to_owned(),
            at: done.at,
            index: done.index,
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
    ) -> Result<v1::UnlockResponse, Refusal> {
        let identity = self.authenticate(call).await?;
        let target = convert::lock_target(request.target.as_ref())?;
        let reason = convert::reason(&request.reason)?;
        let wanted = format!("unlock {target}");
        let order = Order::Unlock(&request);
        let holder = self.holder(call, identity, order, &wanted).await?;
        let (authority, context) = (&self.authority, call.context());
        let index = admin::unlock(authority, &holder, target, reason, context).await?;
        Ok(v1::UnlockResponse { index })
    }

    async fn locks(&self, call: &mut Call) -> Result<v1::ListLocksResponse, Refusal> {
        let identity = self.authenticate(call).await?;
        let locks = admin::locks(&self.authority, &identity, call.context()).await?;
        Ok(v1::ListLocksResponse {
            locks: locks.into_iter().map(convert::lock).collect(),
        })
    }

    /// The proof that this call is of the token's bound key. One without it is recorded, once.
    async fn holder(
        &self,
        call: &Call,
        identity: Identity,
        order: Order<'_>,
        wanted: &str,
    ) -> Result<Holder, Refusal> {
        let message = order.message(&self.authority.server_name, identity.token_hash());
        let refusal = match hold(&identity, order, &message) {
            Ok(holder) => return Ok(holder),
            Err(refusal) => refusal,
        };
        let key = subject::parse(order.proof().public_key).ok();
        let (reason, detail) = (refusal.reason(), format!("{wanted}: {refusal}"));
        let (authority, ask, context) = (&self.authority, Ask::default(), call.context());
        let key = key.as_ref();
        issue::refuse(authority, &identity, key, &ask, context, reason, &detail).await?;
        Err(refusal)
    }

    async fn webhooks(&self, call: &mut Call) -> Result<v1::ListWebhooksResponse, Refusal> {
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
    ) -> Result<v1::RetryWebhooksResponse, Refusal> {
        let identity = self.authenticate(call).await?;
        let (name, which) = deliveries::retry(&request)?;
        let (authority, context) = (&self.authority, call.context());
        let count = webhooks::retry(authority, &identity, &name, which, context).await?;
        Ok(v1::RetryWebhooksResponse { count })
    }
}

fn hold(identity: &Identity, order: Order<'_>, message: &[u8]) -> Result<Holder, Refusal> {
    let proof = order.proof();
    if proof.public_key.is_empty() {
        return Err(identity::Error::ProofKind("the call carries none").into());
    }
    let key = subject::parse(proof.public_key).map_err(Refusal::SubjectKey)?;
    let (secret, signature) = (proof.binding_secret, proof.signature);
    let identity = identity.clone();
    Ok(identity.hold_for(order::NAMESPACE, key, secret, message, signature)?)
}
