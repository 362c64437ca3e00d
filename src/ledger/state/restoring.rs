//! Going on after an older copy of the ledger was restored. Pure.
//!
//! A pass's serial is the index of its event, and clients and hosts know larger ones than the copy
//! has. So after a restored start nothing is granted until an administrator signs up to which size
//! the lost ledger may have been known. Their order revokes every pass, seen or lost, and the
//! ledger is filled with `skipped` events up to that size.

use std::time::Duration;

use super::{LedgerState, PassRecord, Rejection, Rule};
use crate::{
    ledger::{Event, EventKind, event::RevokeTarget, restore::SignedRestore},
    unix_seconds::UnixSeconds,
};

/// Events that one order may skip at most: hosts look at as many serials at each login.
pub(crate) const MOST_SKIPPED: u64 = 50_000;

/// The longest lifetime of a pass, by which a lost one has certainly ended.
const LONGEST_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

const WAITS: &str = "the server's ledger was restored from a backup, and no administrator has accepted that yet: \
                     daypass admin accept-restore";

/// Starts that are remembered at most.
const MOST_STARTS: usize = 64;

const NOT_RESTORED: &str = "nothing was restored, as far as the server knows. If files of an older copy were put back by hand: stop \
                            the server, run daypass restore --by-hand, start it, and accept again";

/// The part of an event in a restored ledger.
enum Part {
    /// It takes the place of a lost event.
    Filler,
    /// A daemon starts.
    Start,
    /// It grants a pass, or leads to one.
    Grant,
    /// An order, a denial, a key.
    Other,
}

impl Part {
    fn of(what: &EventKind) -> Self {
        match what {
            EventKind::Skipped => Self::Filler,
            EventKind::Started { .. } | EventKind::PolicyLoaded { .. } => Self::Start,
            EventKind::Issued(_)
            | EventKind::Requested(_)
            | EventKind::Approved(_)
            | EventKind::Refused(_)
            | EventKind::Cancelled(_)
            | EventKind::Reviewed(_)
            | EventKind::HostJoined(_)
            | EventKind::HostCertified(_) => Self::Grant,
            EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Revoked(_)
            | EventKind::Locked(_)
            | EventKind::Unlocked(_)
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::LedgerKeyChanged(_)
            | EventKind::HostAdded(_)
            | EventKind::HostRemoved(_)
            | EventKind::CaKeyOrdered(_)
            | EventKind::HostBehind(_)
            | EventKind::HostCurrent { .. }
            | EventKind::ForeignLogin(_) => Self::Other,
        }
    }
}

impl LedgerState {
    /// Whether an administrator must accept a restored copy before anything is granted.
    pub(crate) fn waits_for_acceptance(&self) -> bool {
        self.restoring.is_pending
    }

    /// Refuses an order that a restored copy must not carry out before it is accepted.
    pub(crate) fn expect_accepted(&self) -> Result<(), Rejection> {
        match self.restoring.is_pending {
            true => Err(Rejection::new(Rule::Restoring, WAITS)),
            false => Ok(()),
        }
    }

    /// The number of events in the last restored copy, with that of its first start; `None` if
    /// nothing was restored.
    pub(crate) fn restored_copy(&self) -> Option<u64> {
        self.restoring.copy
    }

    /// The size up to which a restored ledger was filled; 0 before any acceptance.
    pub(crate) fn accepted_through(&self) -> u64 {
        self.restoring.through
    }

    /// The index of the last order that accepted a restored copy.
    pub(crate) fn acceptance(&self) -> Option<u64> {
        self.restoring.accepted
    }

    /// Number of events to skip in a ledger of this size.
    pub(crate) fn to_skip(&self, size: u64) -> u64 {
        self.restoring.through.saturating_sub(size)
    }

    /// Checks that an event may come in a ledger that was restored: before the acceptance nothing
    /// is granted, and until the ledger is filled nothing but what fills it.
    pub(super) fn admit_restoring(&self, event: &Event) -> Result<(), Rejection> {
        let is_filling = self.to_skip(event.index) > 0;
        let refuse = |detail: &str| Err(Rejection::new(Rule::Restoring, detail));
        match Part::of(&event.what) {
            Part::Filler if !is_filling => refuse("there is nothing to skip"),
            Part::Other | Part::Grant if is_filling => {
                refuse("the restored ledger is being filled: try again in some seconds")
            }
            Part::Grant if self.restoring.is_pending => refuse(WAITS),
            Part::Filler | Part::Start | Part::Other | Part::Grant => Ok(()),
        }
    }

    /// Checks that an order accepts the copy that was restored last, and the size up to which it
    /// skips.
    pub(super) fn admit_through(
        &self,
        event: &Event,
        through: u64,
        restore: Option<&SignedRestore>,
    ) -> Result<(), Rejection> {
        let Some(copy) = self.restoring.copy else {
            return Err(Rejection::new(Rule::Restoring, NOT_RESTORED));
        };
        if restore.map(|restore| restore.size) != Some(copy) {
            return Err(Rejection::new(
                Rule::Restoring,
                "the statement is not about the copy that was restored last: run daypass admin accept-restore again",
            ));
        }
        let next = event.index.saturating_add(1);
        if through <= next {
            return Err(Rejection::new(
                Rule::Through,
                format!("the ledger has {next} entries already: name a larger size"),
            ));
        }
        if through - next > MOST_SKIPPED {
            return Err(Rejection::new(
                Rule::Through,
                format!(
                    "at most {MOST_SKIPPED} entries are skipped at once: name a size up to {}",
                    next + MOST_SKIPPED
                ),
            ));
        }
        Ok(())
    }

    /// Takes in a start: a restored copy waits for its acceptance from then on.
    ///
    /// The first start on a copy that was put back by hand is one of those that the ledger knows.
    /// Passes of a lost ledger that parted before the last days' starts are over.
    pub(super) fn apply_restored(&mut self, event: &Event, is_restored: bool, by_hand: bool) {
        let now = UnixSeconds::from(event.at);
        let restoring = &mut self.restoring;
        restoring.starts.push((event.index, now));
        let is_recent = |at: UnixSeconds| at.saturating_add(LONGEST_LIFETIME) >= now;
        restoring.starts.retain(|(_, at)| is_recent(*at));
        if restoring.starts.len() > MOST_STARTS {
            // The second counts as long as the first did: rather too early than too late.
            let (_, at) = restoring.starts.remove(1);
            if let Some(first) = restoring.starts.first_mut() {
                first.1 = first.1.max(at);
            }
        }
        if is_restored {
            let first = restoring.starts.first().filter(|_| by_hand);
            restoring.from = first.map_or(event.index, |(index, _)| *index);
            restoring.is_pending = true;
            restoring.copy = Some(event.index.saturating_add(1));
        }
    }

    /// Takes in the acceptance: the lost passes are revoked, and every host certificate.
    pub(super) fn apply_through(&mut self, event: &Event, target: &RevokeTarget) {
        let RevokeTarget::Through(through) = target else {
            return;
        };
        // The lost ledger may have had a pass at every index that this one has used since.
        let from = self.restoring.from;
        let earliest = through.saturating_sub(2 * MOST_SKIPPED);
        self.restoring.is_pending = false;
        self.restoring.through = *through;
        self.restoring.accepted = Some(event.index);
        let end = UnixSeconds::from(event.at).saturating_add(LONGEST_LIFETIME);
        let lost = from.max(earliest)..*through;
        let agreed = self.agreed.seconds();
        self.hosts.accept_restored(event, lost.clone(), agreed);
        for serial in lost {
            self.passes.add(PassRecord::lost(serial, event.at, end));
        }
        self.changed_revocations(event);
    }

    /// Takes in a skipped event. The published list gets the version of the last one, which is
    /// larger than every version that a host may have seen.
    pub(super) fn apply_skipped(&mut self, event: &Event) {
        self.changed_revocations(event);
    }
}

#[cfg(test)]
mod tests;
