//! Administrators' orders: the identities that they cover, and that each order counts once. Pure.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::{LedgerState, Lock, Rejection, Rule, people};
use crate::ledger::{
    Event,
    event::{Actor, Applicant, Covered, LockTarget, RevokeTarget},
    order::{LATEST, RecordedOrder, Target},
};

/// The effect that an order about a target would have now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preview {
    /// Identities that the target's name covers.
    pub covers: Vec<Covered>,
    /// Whether the asking administrator is among them.
    pub covers_caller: bool,
    /// Number of valid passes that the order would revoke.
    pub passes: usize,
    /// Known names with a spelling close to the target's.
    pub near: Vec<String>,
    /// The lock on exactly this target, if there is one.
    pub lock: Option<Lock>,
    /// The value that the order must name ([`crate::ledger::order::AdminOrder::after`]).
    pub after: u64,
}

impl LedgerState {
    /// Returns the effect that an order by `who` about `target` would have at `at`.
    pub(crate) fn preview(&self, target: &Target, who: &Actor, at: OffsetDateTime) -> Preview {
        let (lock, passes) = match target {
            Target::Identity(name) => self.meets(LockTarget::Identity(name.clone()), at),
            Target::Key(key) => self.meets(LockTarget::Key(key.clone()), at),
            Target::Role(role) => self.meets(LockTarget::Role(role.clone()), at),
            Target::Serial(serial) => (
                None,
                self.revocable(&RevokeTarget::Serial(*serial), at).len(),
            ),
            Target::Before(time) => (None, self.revocable(&RevokeTarget::Before(*time), at).len()),
            Target::Through(size) => (
                None,
                self.revocable(&RevokeTarget::Through(*size), at).len(),
            ),
            Target::Host(_) | Target::NewHost(_) | Target::CaKey { .. } | Target::LedgerKey(_) => {
                (None, 0)
            }
        };
        let covers_caller = match target {
            Target::Identity(name) => {
                let caller = Applicant::new(who, None, None);
                self.people.is_called(&caller, name)
            }
            Target::Key(_)
            | Target::Role(_)
            | Target::Serial(_)
            | Target::Before(_)
            | Target::Through(_)
            | Target::Host(_)
            | Target::NewHost(_)
            | Target::CaKey { .. }
            | Target::LedgerKey(_) => false,
        };
        Preview {
            covers: self.covered(target, who),
            covers_caller,
            passes,
            near: match target {
                Target::Identity(name) => self.people.near(name),
                Target::Key(_)
                | Target::Role(_)
                | Target::Serial(_)
                | Target::Before(_)
                | Target::Through(_)
                | Target::Host(_)
                | Target::NewHost(_)
                | Target::CaKey { .. }
                | Target::LedgerKey(_) => Vec::new(),
            },
            lock,
            after: self.after(target),
        }
    }

    fn meets(&self, target: LockTarget, at: OffsetDateTime) -> (Option<Lock>, usize) {
        let passes = self.lockable(&target, at).len();
        (self.lock(&target), passes)
    }

    /// The value of `after` for the next order about `target`.
    pub fn after(&self, target: &Target) -> u64 {
        let last = self.orders.0.get(&target.chain());
        last.copied().unwrap_or(0)
    }

    /// Identities that the name of `target` covers: each one that the ledger has seen under it, and
    /// the ordering administrator if it is their name.
    pub fn covered(&self, target: &Target, by: &Actor) -> Vec<Covered> {
        let Target::Identity(name) = target else {
            return Vec::new();
        };
        let mut called = self.people.called(name);
        if self.people.is_called(&Applicant::new(by, None, None), name) {
            let identity = (by.issuer.clone(), by.subject.clone());
            called.insert(identity, by.label.clone());
        }
        people::covered(called)
    }

    /// The identities that the ledger has seen under this subject or label.
    pub(crate) fn called(&self, name: &str) -> Vec<Covered> {
        people::covered(self.people.called(name))
    }

    /// Every name of the identities that the ledger has seen under `name`, with `name` itself.
    pub(crate) fn names_with(&self, name: &str) -> BTreeSet<String> {
        self.people.names_with(name)
    }

    /// Known names of identities with a spelling close to `name`, closest first.
    pub(crate) fn near_people(&self, name: &str) -> Vec<String> {
        self.people.near(name)
    }

    /// Checks that this order may come next.
    pub(super) fn admit_order(&self, order: &RecordedOrder<'_>) -> Result<(), Rejection> {
        let Some(proof) = order.proof else {
            return Err(Rejection::new(
                Rule::Unsigned,
                "an order needs its administrator's signature",
            ));
        };
        let key = proof.fingerprint();
        self.expect_unlocked(&Applicant::new(order.who, key.as_deref(), None))?;
        if let Target::Before(time) = order.target
            && time > LATEST
        {
            return Err(Rejection::new(
                Rule::Time,
                "the time of an order is at most 9999-12-31T23:59:59Z",
            ));
        }
        if proof.after != self.after(&order.target) {
            return Err(Rejection::new(
                Rule::Stale,
                "another order about this target came first: run the command again",
            ));
        }
        let is_all = |covers| covers == self.covered(&order.target, order.who);
        match order.covers.is_none_or(is_all) {
            true => Ok(()),
            false => Err(Rejection::new(
                Rule::Covers,
                "its list of covered identities is wrong",
            )),
        }
    }

    /// Learns the identities of an event. If one turns out to have a locked name, that lock covers
    /// it from then on and revokes its valid passes.
    pub(super) fn learn(&mut self, event: &Event) {
        for who in event.what.people() {
            if !self.people.learn(who) {
                continue;
            }
            let name = LockTarget::Identity(who.label.clone());
            if self.is_locked(&name) {
                let serials = self.lockable(&name, event.at);
                self.apply_revoked(event, &serials);
            }
        }
    }
}

#[cfg(test)]
mod tests;
