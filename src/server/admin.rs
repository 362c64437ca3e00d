//! Handlers of `daypass.v1.Admin`. Each converts its request, calls one operation, and converts the
//! answer.

use tonic::{Request, async_trait};

use super::{
    answer::Answer,
    call::Call,
    convert::{admin as convert, ca_keys as convert_ca_keys, hosts, webhooks as deliveries},
    services::Services,
    status::CallError,
};
use crate::{
    identity::{self, Identity, KeyHolder},
    ledger::{
        event::LockTarget,
        order::{AdminOrder, Proof, Target, Verb},
        state::Lock,
    },
    operations::{
        admin::{self, Done, Signed, SignedOrder},
        attempt::Attempt,
        ca_keys,
        webhooks::{self, DeadLetters},
    },
    policy::Ask,
    proto::v1::{self, admin_server::Admin},
    ssh::{key, sshsig::Namespace},
};

#[async_trait]
impl Admin for Services {
    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Answer<v1::RevokeResponse> {
        let method = "Admin/Revoke";
        self.answer_known(method, request, async |call, identity, request| {
            let target = convert::revoke_target(request.target.as_ref())?;
            let order = Unproven::new(Verb::Revoke, &target, request.order);
            let order = self.proven(call, identity, order).await?;
            let restore = convert::restore(request.restore)?;
            let done = self.order(call, &order).revoke(target, restore).await?;
            Ok(convert::revoked(done))
        })
        .await
    }

    async fn lock(&self, request: Request<v1::LockRequest>) -> Answer<v1::LockResponse> {
        let method = "Admin/Lock";
        self.answer_known(method, request, async |call, identity, request| {
            let target = convert::lock_target(request.target.as_ref())?;
            let order = Unproven::new(Verb::Lock, &target, request.order);
            let order = self.proven(call, identity, order).await?;
            let done = self.order(call, &order).lock(target.clone()).await?;
            Ok(order.locked(target, done))
        })
        .await
    }

    async fn unlock(&self, request: Request<v1::UnlockRequest>) -> Answer<v1::UnlockResponse> {
        let method = "Admin/Unlock";
        self.answer_known(method, request, async |call, identity, request| {
            let target = convert::lock_target(request.target.as_ref())?;
            let order = Unproven::new(Verb::Unlock, &target, request.order);
            let order = self.proven(call, identity, order).await?;
            let index = self.order(call, &order).unlock(target).await?;
            Ok(v1::UnlockResponse { index })
        })
        .await
    }

    async fn list_locks(
        &self,
        request: Request<v1::ListLocksRequest>,
    ) -> Answer<v1::ListLocksResponse> {
        let method = "Admin/ListLocks";
        self.answer_known(method, request, async |call, identity, _| {
            let locks = admin::locks(&self.authority, &identity, call.context()).await?;
            let locks = locks.into_iter().map(convert::lock).collect();
            Ok(v1::ListLocksResponse { locks })
        })
        .await
    }

    async fn preview(&self, request: Request<v1::PreviewRequest>) -> Answer<v1::PreviewResponse> {
        let method = "Admin/Preview";
        self.answer_known(method, request, async |call, identity, request| {
            let target = convert::preview_target(request.target.as_ref())?;
            let (authority, context) = (&self.authority, call.context());
            let preview = admin::preview(authority, &identity, &target, context).await?;
            Ok(convert::preview(preview))
        })
        .await
    }

    async fn list_webhooks(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Answer<v1::ListWebhooksResponse> {
        let method = "Admin/ListWebhooks";
        self.answer_known(method, request, async |call, identity, _| {
            let reports = webhooks::list(&self.authority, &identity, call.context()).await?;
            let webhooks = reports.into_iter().map(deliveries::webhook).collect();
            Ok(v1::ListWebhooksResponse { webhooks })
        })
        .await
    }

    async fn retry_webhooks(
        &self,
        request: Request<v1::RetryWebhooksRequest>,
    ) -> Answer<v1::RetryWebhooksResponse> {
        let method = "Admin/RetryWebhooks";
        self.answer_known(method, request, async |call, identity, request| {
            let (webhook, which) = deliveries::retry(&request)?;
            let letters = DeadLetters {
                webhook: &webhook,
                which,
            };
            let (authority, context) = (&self.authority, call.context());
            let count = webhooks::retry(authority, &identity, letters, context).await?;
            Ok(v1::RetryWebhooksResponse { count })
        })
        .await
    }

    async fn test_webhook(
        &self,
        request: Request<v1::TestWebhookRequest>,
    ) -> Answer<v1::TestWebhookResponse> {
        let method = "Admin/TestWebhook";
        self.answer_known(method, request, async |call, identity, request| {
            let webhook = deliveries::name(&request.name)?;
            let (authority, context) = (&self.authority, call.context());
            let report = webhooks::test(authority, &identity, &webhook, context).await?;
            Ok(deliveries::tested(report))
        })
        .await
    }

    async fn add_host(&self, request: Request<v1::AddHostRequest>) -> Answer<v1::AddHostResponse> {
        let method = "Admin/AddHost";
        self.answer_known(method, request, async |call, identity, request| {
            let host = hosts::new_host(&request)?;
            let order = Unproven::new(Verb::AddHost, &host, request.order);
            let order = self.proven(call, identity, order).await?;
            let event = self.order(call, &order).add_host(host).await?;
            Ok(v1::AddHostResponse { event })
        })
        .await
    }

    async fn change_ledger_key(
        &self,
        request: Request<v1::ChangeLedgerKeyRequest>,
    ) -> Answer<v1::ChangeLedgerKeyResponse> {
        let method = "Admin/ChangeLedgerKey";
        self.answer_known(method, request, async |call, identity, request| {
            let key = convert::ledger_key(&request.new_key)?;
            let order = Unproven {
                verb: Verb::ChangeLedgerKey,
                target: Target::LedgerKey(key.to_string()),
                order: request.order.unwrap_or_default(),
            };
            let order = self.proven(call, identity, order).await?;
            let event = self.order(call, &order).change_ledger_key(key).await?;
            Ok(v1::ChangeLedgerKeyResponse { event })
        })
        .await
    }

    async fn remove_host(
        &self,
        request: Request<v1::RemoveHostRequest>,
    ) -> Answer<v1::RemoveHostResponse> {
        let method = "Admin/RemoveHost";
        self.answer_known(method, request, async |call, identity, request| {
            let name = hosts::name(&request.name)?;
            let order = Unproven {
                verb: Verb::RemoveHost,
                target: Target::Host(name.clone()),
                order: request.order.unwrap_or_default(),
            };
            let order = self.proven(call, identity, order).await?;
            let removed = self.order(call, &order).remove_host(name).await?;
            let (event, certificates) = removed;
            Ok(v1::RemoveHostResponse {
                event,
                certificates,
            })
        })
        .await
    }

    async fn list_ca_keys(
        &self,
        request: Request<v1::ListCaKeysRequest>,
    ) -> Answer<v1::ListCaKeysResponse> {
        let method = "Admin/ListCaKeys";
        self.answer_known(method, request, async |call, identity, _| {
            let (authority, context) = (&self.authority, call.context());
            let listed = ca_keys::list(authority, &identity, hosts::kept, context).await?;
            Ok(convert_ca_keys::listed(listed))
        })
        .await
    }

    async fn order_ca_key(
        &self,
        request: Request<v1::OrderCaKeyRequest>,
    ) -> Answer<v1::OrderCaKeyResponse> {
        let method = "Admin/OrderCaKey";
        self.answer_known(method, request, async |call, identity, request| {
            let step = convert_ca_keys::step(&request)?;
            let order = Unproven {
                verb: Verb::from(step.step),
                target: step.target(),
                order: request.order.unwrap_or_default(),
            };
            let order = self.proven(call, identity, order).await?;
            let ordered = self.order(call, &order).order_ca_key(step, hosts::kept);
            let (event, untrusting) = Box::pin(ordered).await?;
            Ok(v1::OrderCaKeyResponse {
                event,
                untrusting: convert_ca_keys::count(untrusting),
            })
        })
        .await
    }
}

/// Administrator's order as received, before its signature is verified.
pub(super) struct Unproven {
    verb: Verb,
    target: Target,
    order: v1::AdminOrder,
}

/// Administrator's order with a valid signature by the caller's key.
pub(super) struct Proven {
    holder: KeyHolder,
    signed: Signed,
}

impl Services {
    /// Proves that an order was signed by the key to which the token is bound. Records an order
    /// without that proof as one refusal.
    pub(super) async fn proven(
        &self,
        call: &Call,
        identity: Identity,
        order: Unproven,
    ) -> Result<Proven, CallError> {
        let reason = convert::reason(&order.order.reason)?;
        let proof = order.order.proof.clone().unwrap_or_default();
        let refusal = match order.prove_possession(&identity, &self.authority.server_name, &proof) {
            Ok((holder, proof)) => {
                let signed = Signed { reason, proof };
                return Ok(Proven { holder, signed });
            }
            Err(refusal) => refusal,
        };
        let key = key::parse(&proof.public_key).ok();
        let attempt = Attempt {
            by: None,
            identity: &identity,
            key: key.as_ref(),
            ask: &Ask::default(),
            context: call.context(),
        };
        let detail = format!("{} {}: {refusal}", order.verb.as_str(), order.target);
        Err(self.recorded(attempt, refusal, &detail).await)
    }

    pub(super) fn order<'a>(&'a self, call: &Call, order: &'a Proven) -> SignedOrder<'a> {
        SignedOrder {
            authority: &self.authority,
            holder: &order.holder,
            signed: order.signed.clone(),
            context: call.context(),
        }
    }
}

impl Proven {
    /// The answer to an order that locked `target`.
    pub(super) fn locked(self, target: LockTarget, done: Done) -> v1::LockResponse {
        let lock = Lock {
            target,
            reason: self.signed.reason,
            by: self.holder.identity().label().to_owned(),
            at: done.at,
            index: done.index,
            covers: done.covers,
        };
        v1::LockResponse {
            lock: Some(convert::lock(lock)),
            serials: done.serials,
        }
    }
}

impl Unproven {
    pub(super) fn new<'a, T>(verb: Verb, target: &'a T, order: Option<v1::AdminOrder>) -> Self
    where
        Target: From<&'a T>,
    {
        Self {
            verb,
            target: Target::from(target),
            order: order.unwrap_or_default(),
        }
    }

    fn prove_possession(
        &self,
        identity: &Identity,
        server: &str,
        wire: &v1::KeyProof,
    ) -> Result<(KeyHolder, Proof), CallError> {
        if wire.public_key.is_empty() {
            return Err(identity::Error::ProofMissing.into());
        }
        let message = AdminOrder {
            server,
            issuer: identity.issuer(),
            subject: identity.subject(),
            token: identity.token_hash(),
            verb: self.verb,
            target: &self.target,
            reason: &self.order.reason,
            after: self.order.after,
        }
        .message();
        let key = key::parse(&wire.public_key).map_err(CallError::SubjectKey)?;
        let (secret, signature) = (&wire.binding_secret, &wire.signature);
        let token = *identity.token_hash();
        let identity = identity.clone();
        let holder =
            identity.prove_possession_for(Namespace::Admin, key, secret, &message, signature)?;
        let key = holder.key().to_openssh()?;
        let proof = Proof::new(key, signature, &token, self.order.after);
        Ok((holder, proof))
    }
}
