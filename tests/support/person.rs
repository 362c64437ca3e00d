//! Somebody signed in with a key: what they ask for, and what they do to locks and passes.

use daypass::proto::{
    order::Order,
    v1::{
        Ask, IssueResponse, ListLocksRequest, Lock, LockRequest, LockResponse, LockTarget,
        RevokeRequest, UnlockRequest, admin_client::AdminClient, lock_target, revoke_request,
    },
};
use ssh_key::HashAlg;
use tonic::transport::Channel;

use super::{
    door::{Caller, Refusal, with_token},
    scene::Scene,
};

/// A key with a token that is bound to it.
pub struct Person {
    pub caller: Caller,
    pub token: String,
}

impl Person {
    /// Signs in with a fresh key.
    pub fn new(scene: &Scene, name: &str, groups: &[&str]) -> Self {
        let caller = Caller::new();
        let token = scene.sign(scene.claims(&caller, name, groups));
        Self { caller, token }
    }

    /// Their key's fingerprint.
    pub fn fingerprint(&self) -> String {
        self.caller.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Asks for a pass.
    pub async fn issue(&self, scene: &Scene, ask: Ask) -> Result<IssueResponse, Refusal> {
        let name = scene.door.server_name();
        let attempt = self.caller.attempt(name, &self.token, ask);
        scene.door.issue(&attempt).await
    }

    /// Public key, binding secret and signature of an order.
    pub fn prove(&self, scene: &Scene, order: Order<'_>) -> (String, Vec<u8>, String) {
        let name = scene.door.server_name();
        self.caller.prove(name, &self.token, order)
    }

    pub async fn lock(
        &self,
        scene: &Scene,
        target: lock_target::Target,
    ) -> Result<LockResponse, Refusal> {
        let mut request = LockRequest {
            target: wire(target),
            reason: "laptop stolen".into(),
            ..LockRequest::default()
        };
        let proof = self.prove(scene, Order::Lock(&request));
        (
            request.public_key,
            request.binding_secret,
            request.signature,
        ) = proof;
        let answer = admin(scene).lock(with_token(request, &self.token)).await?;
        Ok(answer.into_inner())
    }

    pub async fn unlock(&self, scene: &Scene, target: lock_target::Target) -> Result<u64, Refusal> {
        let mut request = UnlockRequest {
            target: wire(target),
            ..UnlockRequest::default()
        };
        let proof = self.prove(scene, Order::Unlock(&request));
        (
            request.public_key,
            request.binding_secret,
            request.signature,
        ) = proof;
        let answer = admin(scene)
            .unlock(with_token(request, &self.token))
            .await?;
        Ok(answer.into_inner().index)
    }

    pub async fn revoke(
        &self,
        scene: &Scene,
        target: revoke_request::Target,
    ) -> Result<Vec<u64>, Refusal> {
        let mut request = RevokeRequest {
            target: Some(target),
            ..RevokeRequest::default()
        };
        let proof = self.prove(scene, Order::Revoke(&request));
        (
            request.public_key,
            request.binding_secret,
            request.signature,
        ) = proof;
        let answer = admin(scene)
            .revoke(with_token(request, &self.token))
            .await?;
        Ok(answer.into_inner().serials)
    }

    pub async fn locks(&self, scene: &Scene) -> Result<Vec<Lock>, Refusal> {
        let request = with_token(ListLocksRequest {}, &self.token);
        Ok(admin(scene).list_locks(request).await?.into_inner().locks)
    }
}

/// The service, for calls that are made by hand.
pub fn admin(scene: &Scene) -> AdminClient<Channel> {
    AdminClient::new(scene.door.channel())
}

/// A target as the wire has it.
pub fn wire(target: lock_target::Target) -> Option<LockTarget> {
    Some(LockTarget {
        target: Some(target),
    })
}
