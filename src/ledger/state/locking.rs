//! Locks: which identities, keys and roles get no pass. Pure.

use std::collections::BTreeMap;

use super::{LedgerState, Lock, Rejection, Rule, people};
use crate::ledger::{
    Event,
    approval::fingerprint,
    event::{Actor, Applicant, Issued, LockTarget, Locked, RequestDecision, Target, Unlocked},
};

impl LedgerState {
    /// The locks in force.
    pub(crate) fn locks(&self) -> impl Iterator<Item = Lock> {
        let locks = self.locks.by_target.values();
        locks.map(|lock| self.with_covers(lock))
    }

    /// The names of the locked roles. Unlike [`LedgerState::locks`], looks up no identities.
    pub(crate) fn locked_roles(&self) -> impl Iterator<Item = &str> {
        let targets = self.locks.by_target.keys();
        targets.filter_map(|target| match target {
            LockTarget::Role(role) => Some(role.as_str()),
            LockTarget::Identity(_) | LockTarget::Key(_) => None,
        })
    }

    /// The lock on exactly this target.
    pub(crate) fn lock(&self, target: &LockTarget) -> Option<Lock> {
        let lock = self.locks.by_target.get(target)?;
        Some(self.with_covers(lock))
    }

    fn with_covers(&self, lock: &Lock) -> Lock {
        let called = match &lock.target {
            LockTarget::Identity(name) => self.people.called(name),
            LockTarget::Key(_) | LockTarget::Role(_) => BTreeMap::new(),
        };
        Lock {
            covers: people::covered(called),
            ..lock.clone()
        }
    }

    /// Whether exactly this target is locked.
    pub(super) fn is_locked(&self, target: &LockTarget) -> bool {
        self.locks.by_target.contains_key(target)
    }

    /// Checks that no lock covers the applicant: by any name that the ledger has seen, by the key
    /// or by the role.
    ///
    /// # Errors
    /// Returns a rejection with [`Rule::Locked`] that names the target.
    pub(crate) fn expect_unlocked(&self, applicant: &Applicant<'_>) -> Result<(), Rejection> {
        if self.locks.by_target.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "deliberate-bugs")]
        if crate::deliberate::drops_locks() {
            return Ok(());
        }
        let names = self.people.names(applicant);
        let names = names.map(|name| LockTarget::Identity(name.to_owned()));
        let key = applicant.key.map(|key| LockTarget::Key(key.to_owned()));
        let role = applicant.role.map(|role| LockTarget::Role(role.to_owned()));
        match names.chain(key).chain(role).find(|it| self.is_locked(it)) {
            None => Ok(()),
            Some(target) => Err(Rejection::new(
                Rule::Locked,
                format!("{target} is locked; ask an administrator of this CA"),
            )),
        }
    }

    pub(super) fn admit_locked(&self, event: &Event, locked: &Locked) -> Result<(), Rejection> {
        let due = self.lockable(&locked.target, event.at);
        self.expect_serials(event, &locked.serials, &due)
    }

    pub(super) fn admit_unlocked(&self, unlocked: &Unlocked) -> Result<(), Rejection> {
        match self.is_locked(&unlocked.target) {
            true => Ok(()),
            false => Err(Rejection::new(
                Rule::NoSuchLock,
                match self.covering(&unlocked.target) {
                    Some(other) => format!(
                        "{} is not locked by that name, but {other} is and covers it: unlock that one",
                        unlocked.target
                    ),
                    None => format!(
                        "{} is not locked; `daypass admin locks` lists the locks",
                        unlocked.target
                    ),
                },
            )),
        }
    }

    /// A lock by another name that covers an identity with the name of `target`.
    fn covering(&self, target: &LockTarget) -> Option<LockTarget> {
        let LockTarget::Identity(name) = target else {
            return None;
        };
        let called = self.people.called(name);
        called.iter().find_map(|((issuer, subject), label)| {
            let one = Applicant {
                issuer,
                subject,
                label,
                key: None,
                role: None,
            };
            let names = self.people.names(&one);
            let mut names = names.map(|name| LockTarget::Identity(name.to_owned()));
            names.find(|it| self.is_locked(it))
        })
    }

    /// Checks that no approver of the redeemed request has been locked since.
    pub(super) fn expect_unlocked_approvers(&self, issued: &Issued) -> Result<(), Rejection> {
        let request = issued.ask.request.and_then(|id| self.request(id));
        let approvals = request.iter().flat_map(|request| request.approvals());
        for approval in approvals {
            for key in approval.keys() {
                let unlocked = self.expect_unlocked_key(&approval.who, key);
                unlocked.map_err(|rejection| {
                    let detail = format!(
                        "an approver was locked after approving: {rejection}; open a new request"
                    );
                    Rejection::new(rejection.rule, detail)
                })?;
            }
        }
        Ok(())
    }

    fn expect_unlocked_key(&self, who: &Actor, key: &str) -> Result<(), Rejection> {
        let key = fingerprint(key);
        self.expect_unlocked(&Applicant::new(who, key.as_deref(), None))
    }

    /// Checks that neither the decider nor one of the decider's keys is locked.
    pub(super) fn expect_unlocked_decider(
        &self,
        decided: &RequestDecision,
    ) -> Result<(), Rejection> {
        let mut keys = decided.keys();
        keys.try_for_each(|key| self.expect_unlocked_key(&decided.who, key))
    }

    pub(super) fn apply_locked(&mut self, event: &Event, locked: &Locked) {
        self.apply_revoked(event, &locked.serials);
        let lock = Lock {
            target: locked.target.clone(),
            reason: locked.reason.clone(),
            by: locked.who.label.clone(),
            at: event.at,
            index: event.index,
            covers: Vec::new(),
        };
        self.orders
            .apply(&Target::from(&locked.target), event.index);
        self.locks.by_target.insert(locked.target.clone(), lock);
    }

    pub(super) fn apply_unlocked(&mut self, event: &Event, unlocked: &Unlocked) {
        self.orders
            .apply(&Target::from(&unlocked.target), event.index);
        self.locks.by_target.remove(&unlocked.target);
    }
}

#[cfg(test)]
mod tests;
