//! Locks and revocations: who gets no pass, and which passes hosts must refuse. Pure.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{Objection, Pass, Rule, Standing, Verb, people};
use crate::ledger::{
    Event,
    approval::fingerprint,
    event::{
        Applicant, Covered, Decided, Issued, LockTarget, Locked, RevokeTarget, Revoked, Unlocked,
    },
    order::Target,
};

/// A lock in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What is locked.
    pub target: LockTarget,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// Who locked it: their label.
    pub by: String,
    /// When.
    pub at: OffsetDateTime,
    /// The `locked` event's index.
    pub index: u64,
    /// Everyone whom it covers by now.
    pub covers: Vec<Covered>,
}

/// The locks in force, and how often something was revoked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Locks {
    by_target: BTreeMap<LockTarget, Lock>,
    revision: u64,
    /// Unix seconds: whatever was asked for before has been revoked, also what is recorded only now.
    before: u64,
}

impl Standing {
    /// The locks in force.
    pub fn locks(&self) -> impl Iterator<Item = Lock> {
        let locks = self.locks.by_target.values();
        locks.map(|lock| self.with_covers(lock))
    }

    /// The lock on exactly this target.
    pub fn lock(&self, target: &LockTarget) -> Option<Lock> {
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

    /// Whether exactly this is locked.
    pub(super) fn is_locked(&self, target: &LockTarget) -> bool {
        self.locks.by_target.contains_key(target)
    }

    /// Checks that no lock is on the applicant: on any name that the ledger has seen them under, on
    /// the key or on the role.
    ///
    /// # Errors
    /// [`Rule::Locked`], naming what is locked.
    pub fn expect_unlocked(&self, applicant: &Applicant<'_>) -> Result<(), Objection> {
        if self.locks.by_target.is_empty() {
            return Ok(());
        }
        let names = self.people.names(applicant);
        let names = names.map(|name| LockTarget::Identity(name.to_owned()));
        let key = applicant.key.map(|key| LockTarget::Key(key.to_owned()));
        let role = applicant.role.map(|role| LockTarget::Role(role.to_owned()));
        match names.chain(key).chain(role).find(|it| self.is_locked(it)) {
            None => Ok(()),
            Some(target) => Err(Objection::new(
                Rule::Locked,
                format!("{target} is locked; whoever keeps this CA's locks can say why"),
            )),
        }
    }

    /// The passes that a lock at `at` revokes, by serial: those that are out and not yet revoked. An emergency's pass is also
    /// its signers'.
    pub fn lockable(&self, target: &LockTarget, at: OffsetDateTime) -> Vec<u64> {
        self.out(at, |pass| match target {
            LockTarget::Identity(name) => self.is_of(pass, name),
            LockTarget::Key(key) => is_by(pass, key),
            LockTarget::Role(role) => pass.role == *role,
        })
    }

    /// The passes that a revocation at `at` revokes, by serial: those that are out and not yet revoked. A jump pass goes
    /// with the pass that it belongs to.
    pub fn revocable(&self, target: &RevokeTarget, at: OffsetDateTime) -> Vec<u64> {
        self.out(at, |pass| match target {
            RevokeTarget::Serial(serial) => pass.serial == *serial || pass.jump_of == Some(*serial),
            RevokeTarget::Key(key) => is_by(pass, key),
            RevokeTarget::Identity(name) => self.is_of(pass, name),
            RevokeTarget::Before(time) => pass.issued_at.unix_timestamp().max(0) < signed(*time),
        })
    }

    /// Whether the pass is that of an identity that is or was called `name`, or was signed for by one.
    fn is_of(&self, pass: &Pass, name: &str) -> bool {
        let mut signers = pass.signers.iter();
        self.people.is_called(&pass.applicant(), name)
            || signers.any(|signer| self.people.is_called(&signer.applicant(), name))
    }

    /// The clock at `at` may be ahead: a pass is over only if it is over by the agreed time too.
    fn out(&self, at: OffsetDateTime, is_hit: impl Fn(&Pass) -> bool) -> Vec<u64> {
        let agreed = self.agreed_time().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let at = at.min(agreed);
        let is_out = |pass: &&Pass| !pass.is_revoked && !pass.is_over(at) && is_hit(pass);
        let passes = self.passes().filter(is_out);
        passes.map(|pass| pass.serial).collect()
    }

    /// The revoked passes that a host might still take.
    pub fn revoked(&self) -> impl Iterator<Item = &Pass> {
        self.passes().filter(|pass| pass.is_revoked)
    }

    /// Grows whenever [`Standing::revoked`] changes, and it changes with events only: one more than the index of the last
    /// event that did; 0 before any.
    pub fn revocation_version(&self) -> u64 {
        self.locks.revision
    }

    /// An event revokes exactly what it is aimed at; those that ended by its own time it may leave out, as older versions
    /// of daypass did.
    fn expect_serials(&self, event: &Event, stated: &[u64], due: &[u64]) -> Result<(), Objection> {
        let is_over = |serial: u64| {
            let pass = self.passes.get(serial);
            pass.is_none_or(|pass| pass.is_over(event.at))
        };
        let mut due = due.iter().copied().peekable();
        let mut is_exact = true;
        for serial in stated {
            while due
                .next_if(|next| next < serial && is_over(*next))
                .is_some()
            {}
            is_exact &= due.next() == Some(*serial);
        }
        match is_exact && due.all(is_over) {
            true => Ok(()),
            false => Err(Objection::new(
                Rule::Serials,
                "it does not revoke exactly the passes that it is aimed at",
            )),
        }
    }

    /// Takes in that what revokes or is revoked changed: the published list is another one from here on.
    pub(super) fn changed_revocations(&mut self, event: &Event) {
        self.locks.revision = event.index.saturating_add(1);
    }

    /// Takes in a start: nothing that was asked for before it can still be recorded.
    pub(super) fn apply_started(&mut self) {
        self.locks.before = 0;
    }

    pub(super) fn admit_revoked(&self, event: &Event, revoked: &Revoked) -> Result<(), Objection> {
        if let RevokeTarget::Serial(serial) = revoked.target
            && self.passes.get(serial).is_none()
        {
            return Err(Objection::new(
                Rule::NoSuchPass,
                format!("no pass that is still valid has serial {serial}"),
            ));
        }
        let due = self.revocable(&revoked.target, event.at);
        self.expect_serials(event, &revoked.serials, &due)
    }

    pub(super) fn admit_locked(&self, event: &Event, locked: &Locked) -> Result<(), Objection> {
        let due = self.lockable(&locked.target, event.at);
        self.expect_serials(event, &locked.serials, &due)
    }

    pub(super) fn admit_unlocked(&self, unlocked: &Unlocked) -> Result<(), Objection> {
        match self.is_locked(&unlocked.target) {
            true => Ok(()),
            false => Err(Objection::new(
                Rule::NoSuchLock,
                match self.covering(&unlocked.target) {
                    Some(other) => format!(
                        "{} is not locked by that name; {other} is, and covers it: unlock that",
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

    /// A lock by another name on one of those who are called as `target` says.
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

    /// A request that somebody who is locked by now has approved is no longer redeemed.
    pub(super) fn expect_unlocked_approvers(&self, issued: &Issued) -> Result<(), Objection> {
        let request = issued.ask.request.and_then(|id| self.request(id));
        let decisions = request.iter().flat_map(|request| &request.decisions);
        for decision in decisions.filter(|decision| decision.verb == Verb::Approve) {
            let key = fingerprint(&decision.key);
            let approver = Applicant::new(&decision.who, key.as_deref(), None);
            self.expect_unlocked(&approver).map_err(|objection| {
                let detail =
                    format!("an approver was locked since: {objection}; open a new request");
                Objection::new(objection.rule, detail)
            })?;
        }
        Ok(())
    }

    /// The word of somebody who is locked counts for nothing, nor does a locked key's.
    pub(super) fn expect_unlocked_decider(&self, decided: &Decided) -> Result<(), Objection> {
        let key = fingerprint(&decided.key);
        self.expect_unlocked(&Applicant::new(&decided.who, key.as_deref(), None))
    }

    /// A pass that was asked for before "all before" were revoked, and is recorded after (somebody was paged meanwhile), is
    /// one of them.
    pub(super) fn expect_later(&self, event: &Event) -> Result<(), Objection> {
        match event.at.unix_timestamp().max(0) < signed(self.locks.before) {
            false => Ok(()),
            true => Err(Objection::new(
                Rule::RevokedMeanwhile,
                "all that was asked for until now was revoked meanwhile: ask again",
            )),
        }
    }

    /// Takes in a revocation of all before a time; one that lies ahead says nothing of what is asked for until then.
    pub(super) fn apply_before(&mut self, event: &Event, target: &RevokeTarget) {
        let now = u64::try_from(event.at.unix_timestamp()).unwrap_or(0);
        if let RevokeTarget::Before(time) = target {
            self.locks.before = self.locks.before.max((*time).min(now));
        }
    }

    pub(super) fn apply_revoked(&mut self, event: &Event, serials: &[u64]) {
        if !serials.is_empty() {
            self.passes.revoke(serials);
            self.changed_revocations(event);
        }
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

/// Whether the pass is for the key of this fingerprint, or was signed for by it.
fn is_by(pass: &Pass, key: &str) -> bool {
    pass.key == key || pass.signers.iter().any(|signer| signer.key == key)
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
