//! Administrators' signed orders: lock, unlock, revoke.

use daypass::{
    ledger::order::{Target, Verb},
    proto::v1::{
        AdminOrder, KeyProof, ListLocksRequest, Lock, LockRequest, LockResponse, LockTarget,
        PreviewRequest, PreviewResponse, RevokeRequest, UnlockRequest, lock_target,
        preview_request, revoke_request,
    },
    unix_seconds::UnixSeconds,
};

use super::{
    api::{Refusal, with_token},
    user::TestUser,
};

/// The reason of every lock.
pub const REASON: &str = "laptop stolen";

impl TestUser {
    /// A signed lock, to be changed or sent as often as a test likes. `after` is the index that it
    /// follows.
    pub fn lock_request(&self, target: lock_target::Target, after: u64) -> LockRequest {
        let order = self.order((Verb::Lock, &about(&target), REASON, after));
        LockRequest {
            target: wire(target),
            order,
        }
    }

    /// The same for an unlock.
    pub fn unlock_request(&self, target: lock_target::Target, after: u64) -> UnlockRequest {
        let order = self.order((Verb::Unlock, &about(&target), "", after));
        UnlockRequest {
            target: wire(target),
            order,
        }
    }

    /// The same for a revocation.
    pub fn revoke_request(&self, target: revoke_request::Target, after: u64) -> RevokeRequest {
        let order = self.order((Verb::Revoke, &revoked(&target), "", after));
        RevokeRequest {
            restore: None,
            target: Some(target),
            order,
        }
    }

    pub fn order(&self, signed: (Verb, &Target, &str, u64)) -> Option<AdminOrder> {
        let (_, _, reason, after) = signed;
        let server = self.api.server_name();
        let (public_key, binding_secret, signature) =
            self.caller.prove(server, &self.token, signed);
        Some(AdminOrder {
            reason: reason.to_owned(),
            after,
            proof: Some(KeyProof {
                public_key,
                binding_secret,
                signature,
            }),
        })
    }

    /// Locks; the daemon must run in this process, as for `unlock` and `revoke`.
    pub async fn lock(&self, target: lock_target::Target) -> Result<LockResponse, Refusal> {
        let after = self.api.after(&about(&target));
        self.send_lock(self.lock_request(target, after)).await
    }

    pub async fn send_lock(&self, request: LockRequest) -> Result<LockResponse, Refusal> {
        let request = with_token(request, &self.token);
        Ok(self.api.admin().lock(request).await?.into_inner())
    }

    pub async fn unlock(&self, target: lock_target::Target) -> Result<u64, Refusal> {
        let after = self.api.after(&about(&target));
        self.send_unlock(self.unlock_request(target, after)).await
    }

    pub async fn send_unlock(&self, request: UnlockRequest) -> Result<u64, Refusal> {
        let request = with_token(request, &self.token);
        Ok(self.api.admin().unlock(request).await?.into_inner().index)
    }

    /// The serials that it revoked.
    pub async fn revoke(&self, target: revoke_request::Target) -> Result<Vec<u64>, Refusal> {
        let after = self.api.after(&revoked(&target));
        self.send_revoke(self.revoke_request(target, after)).await
    }

    pub async fn send_revoke(&self, request: RevokeRequest) -> Result<Vec<u64>, Refusal> {
        let request = with_token(request, &self.token);
        let answer = self.api.admin().revoke(request).await?;
        Ok(answer.into_inner().serials)
    }

    pub async fn preview(
        &self,
        target: preview_request::Target,
    ) -> Result<PreviewResponse, Refusal> {
        let target = Some(target);
        let request = with_token(PreviewRequest { target }, &self.token);
        Ok(self.api.admin().preview(request).await?.into_inner())
    }

    pub async fn locks(&self) -> Result<Vec<Lock>, Refusal> {
        let request = with_token(ListLocksRequest {}, &self.token);
        let answer = self.api.admin().list_locks(request).await?;
        Ok(answer.into_inner().locks)
    }
}

/// A lock's target: the identity of this name.
pub fn identity(name: &str) -> lock_target::Target {
    lock_target::Target::Identity(name.to_owned())
}

/// A target as the wire has it.
pub fn wire(target: lock_target::Target) -> Option<LockTarget> {
    let target = Some(target);
    Some(LockTarget { target })
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
        revoke_request::Target::Before(time) => Target::Before(UnixSeconds(time)),
        revoke_request::Target::Through(size) => Target::Through(size),
    }
}
