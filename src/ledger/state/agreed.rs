//! The agreed time: the time that both the daemon's clock and an issuer's clock have passed. Pure.
//!
//! An event's time is the daemon's clock, which can jump. A token's `iat` is the issuer's clock.
//! Passes, requests and challenges are forgotten by the earlier of the two. If both leap far ahead,
//! the leap counts only after it has lasted for an hour. Any event can lower the agreed time, which
//! only keeps things longer.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    ledger::{Event, EventKind, event::Actor},
    unix_seconds::UnixSeconds,
};

/// Largest lead of the agreed time over an event.
const LEEWAY: Duration = Duration::from_secs(3600);

/// A larger lead is a leap. A token is at most a day old.
const LEAP: Duration = Duration::from_secs(24 * 3600);

/// Duration after which a leap is accepted.
const CONFIRMED_AFTER: Duration = Duration::from_secs(3600);

/// The agreed time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Agreed {
    /// `None` before the first token.
    time: Option<UnixSeconds>,
    /// Start of a leap that is not yet accepted.
    leap: Option<UnixSeconds>,
}

impl Agreed {
    /// 0 before the first token.
    pub(super) fn seconds(&self) -> UnixSeconds {
        self.time.unwrap_or_default()
    }

    pub(super) fn time(&self) -> Option<OffsetDateTime> {
        self.time?.to_utc()
    }

    /// Takes in the next event.
    pub(super) fn hear(&mut self, event: &Event) {
        let at = UnixSeconds::from(event.at);
        self.time = self.time.map(|time| time.min(at.saturating_add(LEEWAY)));
        if let Some(issued_at) = witness(&event.what).and_then(|who| who.claims.issued_at()) {
            self.raise(at.min(issued_at));
        }
    }

    fn raise(&mut self, seen: UnixSeconds) {
        let Some(time) = self.time else {
            self.time = Some(seen);
            return;
        };
        if seen <= time.saturating_add(LEAP) {
            self.time = Some(time.max(seen));
            self.leap = None;
            return;
        }
        match self.leap {
            Some(leap) if seen >= leap.saturating_add(CONFIRMED_AFTER) => {
                self.time = Some(seen);
                self.leap = None;
            }
            Some(leap) => self.leap = Some(leap.min(seen)),
            None => self.leap = Some(seen),
        }
    }
}

/// The identity whose token this event used. A denial counts for none, because it must change
/// nothing.
fn witness(what: &EventKind) -> Option<&Actor> {
    match what {
        // A pass by registered keys used no token.
        EventKind::Issued(issued) => issued.emergency_proof.is_none().then_some(&issued.who),
        EventKind::Requested(asked) => Some(&asked.who),
        EventKind::Approved(decided)
        | EventKind::Refused(decided)
        | EventKind::Cancelled(decided)
        | EventKind::Reviewed(decided) => Some(&decided.who),
        EventKind::Revoked(revoked) => Some(&revoked.who),
        EventKind::Locked(locked) => Some(&locked.who),
        EventKind::Unlocked(unlocked) => Some(&unlocked.who),
        EventKind::LedgerKeyChanged(changed) => Some(&changed.who),
        EventKind::HostAdded(added) => Some(&added.who),
        EventKind::HostRemoved(removed) => Some(&removed.who),
        EventKind::CaKeyOrdered(ordered) => Some(&ordered.who),
        EventKind::HostJoined(joined) => joined.who.as_ref(),
        EventKind::Started { .. }
        | EventKind::PolicyLoaded { .. }
        | EventKind::SigningFailed { .. }
        | EventKind::Denied { .. }
        | EventKind::Denials(_)
        | EventKind::Skipped
        | EventKind::KeyStaged { .. }
        | EventKind::KeyActivated { .. }
        | EventKind::KeyRetired { .. }
        | EventKind::HostCertified(_)
        | EventKind::HostBehind(_)
        | EventKind::HostCurrent { .. }
        | EventKind::ForeignLogin(_) => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
