//! Revocations: which passes hosts must refuse. Pure.

use std::time::Duration;

use time::OffsetDateTime;

use super::{LedgerState, PassRecord, Rejection, Rule};
use crate::{
    ledger::{
        Event,
        event::{LockTarget, RevokeTarget, Revoked},
    },
    unix_seconds::UnixSeconds,
};

/// Difference between the clocks of servers that share a ledger, at most.
const CLOCKS_APART: Duration = Duration::from_secs(300);

impl LedgerState {
    /// Serials of the passes that a lock at `at` revokes: valid and not yet revoked.
    ///
    /// An emergency's pass also belongs to its signers, and one on behalf of its holder to the
    /// identity that asked.
    pub fn lockable(&self, target: &LockTarget, at: OffsetDateTime) -> Vec<u64> {
        self.out(at, |pass| match target {
            LockTarget::Identity(name) => self.is_of(pass, name),
            LockTarget::Key(key) => is_by(pass, key),
            LockTarget::Role(role) => pass.role == *role,
        })
    }

    /// Serials of the passes that a revocation at `at` revokes: valid and not yet revoked.
    ///
    /// A jump pass is revoked with the pass that it belongs to.
    pub fn revocable(&self, target: &RevokeTarget, at: OffsetDateTime) -> Vec<u64> {
        self.out(at, |pass| match target {
            RevokeTarget::Serial(serial) => pass.serial == *serial || pass.jump_of == Some(*serial),
            RevokeTarget::Key(key) => is_by(pass, key),
            RevokeTarget::Identity(name) => self.is_of(pass, name),
            RevokeTarget::Before(time) => UnixSeconds::from(pass.issued_at) < *time,
            RevokeTarget::Through(_) => true,
        })
    }

    /// Whether the holder or a signer of the pass has or had the name `name`.
    fn is_of(&self, pass: &PassRecord, name: &str) -> bool {
        let mut signers = pass.signers.iter();
        self.people.is_called(&pass.applicant(), name)
            || signers.any(|signer| self.people.is_called(&signer.applicant(), name))
    }

    /// Serials of valid passes that match. The clock at `at` may be ahead, so a pass has expired
    /// only if the agreed time says so too.
    fn out(&self, at: OffsetDateTime, is_hit: impl Fn(&PassRecord) -> bool) -> Vec<u64> {
        let agreed = self.agreed_time().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let at = at.min(agreed);
        let is_out = |pass: &&PassRecord| !pass.is_revoked && !pass.is_over(at) && is_hit(pass);
        let passes = self.passes().filter(is_out);
        passes.map(|pass| pass.serial).collect()
    }

    /// The revoked passes that a host might still accept.
    pub(crate) fn revoked(&self) -> impl Iterator<Item = &PassRecord> {
        self.passes().filter(|pass| pass.is_revoked)
    }

    /// Version of [`LedgerState::revoked`]: one more than the index of the event that changed it
    /// last; 0 before any.
    pub(crate) fn revocation_version(&self) -> u64 {
        self.locks.revision
    }

    /// Time of the event that changed [`LedgerState::revoked`] last; that of the first event before
    /// any change.
    pub(crate) fn revocations_changed_at(&self) -> UnixSeconds {
        self.locks.changed_at
    }

    /// Checks that an event revokes exactly the passes of its target.
    ///
    /// It may leave out those that expired by its own time, as older versions of daypass did.
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
                "it does not revoke exactly the passes of its target",
            )),
        }
    }

    /// Raises the version of the published revocation list.
    pub(super) fn changed_revocations(&mut self, event: &Event) {
        self.locks.revision = event.index.saturating_add(1);
        let (version, at) = (self.locks.revision, UnixSeconds::from(event.at));
        self.revocation_times.put(version, at);
        self.locks.changed_at = UnixSeconds::from(event.at);
    }

    /// Takes in a start. If the clock was set back by more than [`CLOCKS_APART`] since all passes
    /// were revoked, asks are accepted again.
    ///
    /// Otherwise the revocation goes on: another server of the same ledger may hold an ask from
    /// before it.
    pub(super) fn apply_started(&mut self, event: &Event) {
        let now = UnixSeconds::from(event.at);
        if now.saturating_add(CLOCKS_APART) < self.locks.before {
            self.locks.before = UnixSeconds::default();
        }
    }

    pub(super) fn admit_revoked(&self, event: &Event, revoked: &Revoked) -> Result<(), Rejection> {
        if let RevokeTarget::Serial(serial) = revoked.target
            && self.passes.get(serial).is_none()
        {
            return Err(Rejection::new(
                Rule::NoSuchPass,
                format!("no valid pass has serial {serial}"),
            ));
        }
        if let RevokeTarget::Through(through) = revoked.target {
            self.admit_through(event, through, revoked.restore.as_ref())?;
        }
        let due = self.revocable(&revoked.target, event.at);
        self.expect_serials(event, &revoked.serials, &due)
    }

    /// Checks that a pass was not revoked before it was recorded: an ask can wait (for a page, for
    /// example) while an administrator revokes all passes up to now.
    pub(super) fn expect_later(&self, event: &Event) -> Result<(), Rejection> {
        match UnixSeconds::from(event.at) < self.locks.before {
            false => Ok(()),
            true => Err(Rejection::new(
                Rule::RevokedMeanwhile,
                "all passes up to now were revoked while you waited: ask again",
            )),
        }
    }

    /// Takes in a revocation of all passes before a time. A time in the future does not affect asks
    /// until then.
    pub(super) fn apply_before(&mut self, event: &Event, target: &RevokeTarget) {
        let now = UnixSeconds::from(event.at);
        match target {
            RevokeTarget::Before(time) => {
                self.locks.before = self.locks.before.max((*time).min(now));
            }
            RevokeTarget::Through(_) => self.locks.before = self.locks.before.max(now),
            RevokeTarget::Serial(_) | RevokeTarget::Key(_) | RevokeTarget::Identity(_) => {}
        }
    }

    pub(super) fn apply_revoked(&mut self, event: &Event, serials: &[u64]) {
        if !serials.is_empty() {
            self.passes.revoke(serials);
            self.changed_revocations(event);
        }
    }
}

/// Whether the key with this fingerprint is the pass's subject key or signed for it.
fn is_by(pass: &PassRecord, key: &str) -> bool {
    pass.key == key || pass.signers.iter().any(|signer| signer.key == key)
}
