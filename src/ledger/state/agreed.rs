//! The time that may end things for good: what the daemon's clock and an issuer's clock both say. Pure.
//!
//! An event's own time is the daemon's clock, which can jump. A token's `iat` is the issuer's clock. So passes, requests and
//! challenges are forgotten by the earlier of both, never by one of them, and not by a single leap of both: a time that is
//! far ahead counts only once it has gone on for an hour. Any event lowers it; that only keeps things longer.

use time::OffsetDateTime;

use crate::{
    ledger::{Event, EventKind, event::Actor},
    unix_seconds::UnixSeconds,
};

/// As far as the time may be ahead of an event, in seconds.
const LEEWAY: u64 = 3600;

/// What is further ahead than this is a leap, in seconds. A token is at most a day old.
const LEAP: u64 = 24 * 3600;

/// A leap counts once it has gone on for so long, in seconds.
const CONFIRMED_AFTER: u64 = 3600;

/// The agreed time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Agreed {
    /// Unix seconds; none before the first token.
    time: Option<u64>,
    /// When the leap began that is not confirmed yet.
    leap: Option<u64>,
}

impl Agreed {
    /// Unix seconds; 0 before the first token.
    pub(super) fn seconds(&self) -> u64 {
        self.time.unwrap_or(0)
    }

    pub(super) fn time(&self) -> Option<OffsetDateTime> {
        UnixSeconds(self.time?).to_utc()
    }

    /// Takes in the next event.
    pub(super) fn hear(&mut self, event: &Event) {
        let at = UnixSeconds::from(event.at).get();
        self.time = self.time.map(|time| time.min(at.saturating_add(LEEWAY)));
        if let Some(issued_at) = witness(&event.what).and_then(issued_at) {
            self.raise(at.min(issued_at));
        }
    }

    fn raise(&mut self, seen: u64) {
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

/// The identity whose token this event took. A denial takes none: it must change nothing.
fn witness(what: &EventKind) -> Option<&Actor> {
    match what {
        // Registered keys stood for a token.
        EventKind::Issued(issued) => issued.emergency_proof.is_none().then_some(&issued.who),
        EventKind::Requested(asked) => Some(&asked.who),
        EventKind::Approved(decided)
        | EventKind::Refused(decided)
        | EventKind::Cancelled(decided)
        | EventKind::Reviewed(decided) => Some(&decided.who),
        EventKind::Revoked(revoked) => Some(&revoked.who),
        EventKind::Locked(locked) => Some(&locked.who),
        EventKind::Unlocked(unlocked) => Some(&unlocked.who),
        EventKind::Started { .. }
        | EventKind::PolicyLoaded { .. }
        | EventKind::SigningFailed { .. }
        | EventKind::Denied { .. }
        | EventKind::Denials(_)
        | EventKind::KeyStaged { .. }
        | EventKind::KeyActivated { .. }
        | EventKind::KeyRetired { .. } => None,
    }
}

/// The token's `iat` (a JSON number, RFC 7519 section 2).
fn issued_at(who: &Actor) -> Option<u64> {
    let value = who.claims.get("iat")?;
    value.as_u64().or_else(|| {
        let seconds = value
            .as_f64()
            .filter(|seconds| (0.0..1e12).contains(seconds))?;
        Some(seconds as u64)
    })
}

#[cfg(test)]
pub(super) mod tests;
