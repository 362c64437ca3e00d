//! Revocations: which passes hosts must refuse. Pure.

use time::OffsetDateTime;

use super::{LedgerState, PassRecord, Rejection, Rule};
use crate::{
    ledger::{
        Event,
        event::{LockTarget, RevokeTarget, Revoked},
    },
    unix_seconds::UnixSeconds,
};

impl LedgerState {
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
            RevokeTarget::Before(time) => UnixSeconds::from(pass.issued_at).get() < *time,
        })
    }

    /// Whether the pass is that of an identity that is or was called `name`, or was signed for by one.
    fn is_of(&self, pass: &PassRecord, name: &str) -> bool {
        let mut signers = pass.signers.iter();
        self.people.is_called(&pass.applicant(), name)
            || signers.any(|signer| self.people.is_called(&signer.applicant(), name))
    }

    /// The clock at `at` may be ahead: a pass is over only if it is over by the agreed time too.
    fn out(&self, at: OffsetDateTime, is_hit: impl Fn(&PassRecord) -> bool) -> Vec<u64> {
        let agreed = self.agreed_time().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let at = at.min(agreed);
        let is_out = |pass: &&PassRecord| !pass.is_revoked && !pass.is_over(at) && is_hit(pass);
        let passes = self.passes().filter(is_out);
        passes.map(|pass| pass.serial).collect()
    }

    /// The revoked passes that a host might still take.
    pub fn revoked(&self) -> impl Iterator<Item = &PassRecord> {
        self.passes().filter(|pass| pass.is_revoked)
    }

    /// Grows whenever [`LedgerState::revoked`] changes, and it changes with events only: one more than the index of the last
    /// event that did; 0 before any.
    pub fn revocation_version(&self) -> u64 {
        self.locks.revision
    }

    /// An event revokes exactly what it is aimed at; those that ended by its own time it may leave out, as older versions
    /// of daypass did.
    pub(super) fn expect_serials(
        &self,
        event: &Event,
        stated: &[u64],
        due: &[u64],
    ) -> Result<(), Rejection> {
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
            false => Err(Rejection::new(
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

    pub(super) fn admit_revoked(&self, event: &Event, revoked: &Revoked) -> Result<(), Rejection> {
        if let RevokeTarget::Serial(serial) = revoked.target
            && self.passes.get(serial).is_none()
        {
            return Err(Rejection::new(
                Rule::NoSuchPass,
                format!("no pass that is still valid has serial {serial}"),
            ));
        }
        let due = self.revocable(&revoked.target, event.at);
        self.expect_serials(event, &revoked.serials, &due)
    }

    /// A pass that was asked for before "all before" were revoked, and is recorded after (somebody was paged meanwhile), is
    /// one of them.
    pub(super) fn expect_later(&self, event: &Event) -> Result<(), Rejection> {
        match UnixSeconds::from(event.at).get() < self.locks.before {
            false => Ok(()),
            true => Err(Rejection::new(
                Rule::RevokedMeanwhile,
                "all that was asked for until now was revoked meanwhile: ask again",
            )),
        }
    }

    /// Takes in a revocation of all before a time; one that lies ahead says nothing of what is asked for until then.
    pub(super) fn apply_before(&mut self, event: &Event, target: &RevokeTarget) {
        let now = UnixSeconds::from(event.at).get();
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
}

/// Whether the pass is for the key of this fingerprint, or was signed for by it.
fn is_by(pass: &PassRecord, key: &str) -> bool {
    pass.key == key || pass.signers.iter().any(|signer| signer.key == key)
}
