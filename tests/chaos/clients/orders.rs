//! Administrators: lock, unlock, revoke.

use daypass::proto::v1::{lock_target, preview_request, revoke_request};
use rand::Rng;

use super::{Client, asks::VICTIMS};
use crate::{
    history::{Expected, Outcome, Target, What},
    support::{api::Caller, user::TestUser},
};

impl Client {
    /// Locks, sees that nothing is issued, and unlocks; the lock may stay if the server fails.
    pub(super) async fn lock(&mut self) {
        let (daemon, other) = (self.daemon(), self.daemon());
        let name = format!(
            "victim-{}-{}",
            self.chance.gen_range(0..VICTIMS),
            self.tags / 40
        );
        let key = Caller::new();
        let victim = self.user_on(other, &name, &["sre"], key);
        let ask = self.ask("shell");
        self.issue(other, &victim, ask, Expected::Anything).await;
        let target = match self.chance.gen_range(0..8) {
            0 => Target::Role("own".to_owned()),
            1..=3 => Target::Key(victim.fingerprint()),
            _ => Target::Identity(name),
        };
        self.lock_or_unlock(daemon, &target, true).await;
        if self.chance.gen_ratio(1, 2) {
            self.revocations_of(other).await;
        }
        let ask = self.ask("shell");
        self.issue(other, &victim, ask, Expected::Anything).await;
        if !matches!(target, Target::Key(_)) || self.chance.gen_ratio(1, 2) {
            self.lock_or_unlock(other, &target, false).await;
        }
    }

    pub(super) async fn revoke(&mut self) {
        let daemon = self.daemon();
        let Some(serial) = self.serials.pop() else {
            return;
        };
        let target = match self.chance.gen_range(0..4) {
            0 => Target::Identity(format!("user-{}", self.number)),
            _ => Target::Serial(serial),
        };
        self.order_revocation(daemon, target).await;
        if self.chance.gen_ratio(2, 3) {
            let other = self.daemon();
            self.revocations_of(other).await;
        }
    }

    /// Revokes the pass that this client got last.
    pub(crate) async fn revoke_last(&mut self, daemon: usize) {
        if let Some(serial) = self.serials.pop() {
            self.order_revocation(daemon, Target::Serial(serial)).await;
        }
    }

    async fn order_revocation(&mut self, daemon: usize, target: Target) {
        let carol = self.administrator(daemon);
        let wire = match &target {
            Target::Serial(serial) => revoke_request::Target::Serial(*serial),
            Target::Identity(name) => revoke_request::Target::Identity(name.clone()),
            Target::Key(key) => revoke_request::Target::Key(key.clone()),
            Target::Role(_) => return,
        };
        let preview = previewed(&target);
        let answer = async {
            let after = carol.preview(preview).await?.after;
            let serials = carol.send_revoke(carol.revoke_request(wire, after)).await?;
            Ok(Outcome::Ordered {
                index: None,
                serials,
            })
        };
        self.record(daemon, What::Revoke(target), answer).await;
    }

    async fn lock_or_unlock(&mut self, daemon: usize, target: &Target, is_lock: bool) {
        let carol = self.administrator(daemon);
        let wire = match target {
            Target::Identity(name) => lock_target::Target::Identity(name.clone()),
            Target::Key(key) => lock_target::Target::Key(key.clone()),
            Target::Role(role) => lock_target::Target::Role(role.clone()),
            Target::Serial(_) => return,
        };
        let preview = previewed(target);
        let what = match is_lock {
            true => What::Lock(target.clone()),
            false => What::Unlock(target.clone()),
        };
        let answer = async {
            let after = carol.preview(preview).await?.after;
            if is_lock {
                let locked = carol.send_lock(carol.lock_request(wire, after)).await?;
                let index = locked.lock.map(|lock| lock.index);
                return Ok(Outcome::Ordered {
                    index,
                    serials: locked.serials,
                });
            }
            let index = carol.send_unlock(carol.unlock_request(wire, after)).await?;
            Ok(Outcome::Ordered {
                index: Some(index),
                serials: Vec::new(),
            })
        };
        self.record(daemon, what, answer).await;
    }

    pub(super) fn administrator(&self, daemon: usize) -> TestUser {
        self.user_on(
            daemon,
            &format!("carol-{}", self.number),
            &["security"],
            self.key.clone(),
        )
    }
}

fn previewed(target: &Target) -> preview_request::Target {
    match target.clone() {
        Target::Identity(name) => preview_request::Target::Identity(name),
        Target::Key(key) => preview_request::Target::Key(key),
        Target::Role(role) => preview_request::Target::Role(role),
        Target::Serial(serial) => preview_request::Target::Serial(serial),
    }
}
