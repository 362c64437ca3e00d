//! Somebody signed in with a key: what they ask for, and what they do to locks and passes.

use base64::prelude::*;
use daypass::{
    ledger::{
        approval,
        order::{Target, Verb},
        state,
        tree::Hash,
    },
    proto::v1::{
        Ask, IssueResponse, ListLocksRequest, Lock, LockRequest, LockResponse, LockTarget,
        PreviewRequest, PreviewResponse, RevokeRequest, UnlockRequest, admin_client::AdminClient,
        lock_target, preview_request, revoke_request,
    },
};
use ssh_key::HashAlg;
use tonic::transport::Channel;

use super::{
    api::{Caller, Refusal, with_token},
    env::TestEnv,
};

/// A key with a token that is bound to it.
pub struct TestUser {
    pub caller: Caller,
    pub token: String,
}

impl TestUser {
    /// Signs in with a fresh key.
    pub fn new(scene: &TestEnv, name: &str, groups: &[&str]) -> Self {
        let caller = Caller::new();
        let token = scene.sign(scene.claims(&caller, name, groups));
        Self { caller, token }
    }

    /// Their key's fingerprint.
    pub fn fingerprint(&self) -> String {
        self.caller.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Asks for a pass.
    pub async fn issue(&self, scene: &TestEnv, ask: Ask) -> Result<IssueResponse, Refusal> {
        let name = scene.door.server_name();
        let attempt = self.caller.attempt(name, &self.token, ask);
        scene.door.issue(&attempt).await
    }

    /// What an order about the target has to name now.
    pub fn after(scene: &TestEnv, target: &Target) -> u64 {
        let authority = scene.world.daemon().unwrap().authority();
        authority.store.state(|state| state.after(target))
    }

    /// A lock that was signed by this person, to be sent as often as a test likes.
    pub fn lock_request(
        &self,
        scene: &TestEnv,
        target: lock_target::Target,
        after: u64,
    ) -> LockRequest {
        let (name, reason) = (scene.door.server_name(), "laptop stolen");
        let signed = (Verb::Lock, &about(&target), reason, after);
        let (public_key, binding_secret, signature) = self.caller.prove(name, &self.token, signed);
        LockRequest {
            target: wire(target),
            reason: reason.into(),
            public_key,
            binding_secret,
            signature,
            after,
        }
    }

    /// The same for an unlock.
    pub fn unlock_request(
        &self,
        scene: &TestEnv,
        target: lock_target::Target,
        after: u64,
    ) -> UnlockRequest {
        let name = scene.door.server_name();
        let signed = (Verb::Unlock, &about(&target), "", after);
        let (public_key, binding_secret, signature) = self.caller.prove(name, &self.token, signed);
        UnlockRequest {
            target: wire(target),
            reason: String::new(),
            public_key,
            binding_secret,
            signature,
            after,
        }
    }

    /// The same for a revocation.
    pub fn revoke_request(
        &self,
        scene: &TestEnv,
        target: revoke_request::Target,
        after: u64,
    ) -> RevokeRequest {
        let name = scene.door.server_name();
        let signed = (Verb::Revoke, &revoked(&target), "", after);
        let (public_key, binding_secret, signature) = self.caller.prove(name, &self.token, signed);
        RevokeRequest {
            target: Some(target),
            reason: String::new(),
            public_key,
            binding_secret,
            signature,
            after,
        }
    }

    pub async fn lock(
        &self,
        scene: &TestEnv,
        target: lock_target::Target,
    ) -> Result<LockResponse, Refusal> {
        let after = Self::after(scene, &about(&target));
        let request = self.lock_request(scene, target, after);
        self.send_lock(scene, request).await
    }

    pub async fn send_lock(
        &self,
        scene: &TestEnv,
        request: LockRequest,
    ) -> Result<LockResponse, Refusal> {
        let answer = admin(scene).lock(with_token(request, &self.token)).await?;
        Ok(answer.into_inner())
    }

    pub async fn unlock(
        &self,
        scene: &TestEnv,
        target: lock_target::Target,
    ) -> Result<u64, Refusal> {
        let after = Self::after(scene, &about(&target));
        let request = self.unlock_request(scene, target, after);
        self.send_unlock(scene, request).await
    }

    pub async fn send_unlock(
        &self,
        scene: &TestEnv,
        request: UnlockRequest,
    ) -> Result<u64, Refusal> {
        let answer = admin(scene)
            .unlock(with_token(request, &self.token))
            .await?;
        Ok(answer.into_inner().index)
    }

    pub async fn revoke(
        &self,
        scene: &TestEnv,
        target: revoke_request::Target,
    ) -> Result<Vec<u64>, Refusal> {
        let after = Self::after(scene, &revoked(&target));
        let request = self.revoke_request(scene, target, after);
        let answer = admin(scene)
            .revoke(with_token(request, &self.token))
            .await?;
        Ok(answer.into_inner().serials)
    }

    pub async fn preview(
        &self,
        scene: &TestEnv,
        target: preview_request::Target,
    ) -> Result<PreviewResponse, Refusal> {
        let target = Some(target);
        let request = with_token(PreviewRequest { target }, &self.token);
        Ok(admin(scene).preview(request).await?.into_inner())
    }

    pub async fn locks(&self, scene: &TestEnv) -> Result<Vec<Lock>, Refusal> {
        let request = with_token(ListLocksRequest {}, &self.token);
        Ok(admin(scene).list_locks(request).await?.into_inner().locks)
    }
}

/// What the person with this token signs to decide about a request with that digest.
pub fn decision(
    token: &str,
    verb: state::Verb,
    server_name: &str,
    digest: &Hash,
    comment: &str,
) -> Vec<u8> {
    let payload = token.split('.').nth(1).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let message = approval::Message {
        verb,
        server_name,
        issuer: claims["iss"].as_str().unwrap(),
        subject: claims["sub"].as_str().unwrap(),
        digest,
        comment,
    };
    message.to_bytes()
}

/// The service, for calls that are made by hand.
pub fn admin(scene: &TestEnv) -> AdminClient<Channel> {
    AdminClient::new(scene.door.channel())
}

/// A target as the wire has it.
pub fn wire(target: lock_target::Target) -> Option<LockTarget> {
    Some(LockTarget {
        target: Some(target),
    })
}

/// A lock's target as orders name it.
pub fn about(target: &lock_target::Target) -> Target {
    match target.clone() {
        lock_target::Target::Identity(name) => Target::Identity(name),
        lock_target::Target::Key(key) => Target::Key(key),
        lock_target::Target::Role(role) => Target::Role(role),
    }
}

/// A revocation's target as orders name it.
pub fn revoked(target: &revoke_request::Target) -> Target {
    match target.clone() {
        revoke_request::Target::Serial(serial) => Target::Serial(serial),
        revoke_request::Target::Key(key) => Target::Key(key),
        revoke_request::Target::Identity(name) => Target::Identity(name),
        revoke_request::Target::Before(time) => Target::Before(time),
    }
}
