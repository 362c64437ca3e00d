//! The part of an authority that knows hosts: their CA and their settings.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::{ca::HostCa, ledger::bucket::Buckets};

/// Host certificates that one host may get at once: eight times one for each of four keys.
const CERTIFIED_AT_ONCE: u32 = 32;

/// Time after which it may get one more. Each server counts for itself.
const CERTIFIED_EVERY: time::Duration = time::Duration::minutes(5);

/// How long a host waits after its first certificate that could not be signed.
const FIRST_PAUSE: time::Duration = time::Duration::minutes(2);

/// How long it waits at most.
const LONGEST_PAUSE: time::Duration = time::Duration::days(1);

/// The part of an authority that knows hosts.
pub struct HostAuthority {
    pub(super) ca: HostCa,
    pub(super) settings: Settings,
    /// Certificates that each host has got lately.
    pub(super) certified: Mutex<Buckets>,
    /// Hosts whose certificates could not be signed lately.
    pub(super) failures: Failures,
    /// The list of revoked host certificates that was made last, and its version.
    pub(super) revoked: Mutex<Option<(u64, Bytes)>>,
}

/// Settings of known hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Patterns of the names that a host may have; none: those of the policy's host groups.
    pub names: Option<Vec<String>>,
    /// How long a host certificate is valid.
    pub lifetime: Duration,
    /// Time without a report after which a host is behind.
    pub behind_after: Duration,
}

impl HostAuthority {
    /// Knows hosts by this CA and these settings.
    pub fn new(ca: HostCa, settings: Settings) -> Self {
        let buckets = Buckets::new(CERTIFIED_AT_ONCE, CERTIFIED_EVERY);
        Self {
            ca,
            settings,
            certified: Mutex::new(buckets),
            failures: Failures::default(),
            revoked: Mutex::default(),
        }
    }

    /// The keys that sign host certificates.
    pub(crate) fn ca(&self) -> &HostCa {
        &self.ca
    }
}

/// Hosts whose certificates could not be signed. Each failure is two events and revokes a serial,
/// so a host is made to wait twice as long after each, up to a day.
#[derive(Default)]
pub(super) struct Failures(Mutex<BTreeMap<String, Failing>>);

/// Failures of one host, one after the other.
struct Failing {
    count: u32,
    last: OffsetDateTime,
}

impl Failures {
    /// How long the host must wait at `now`; none if it need not.
    pub(super) fn pause(&self, host: &str, now: OffsetDateTime) -> Option<time::Duration> {
        let failing = self.0.lock();
        let failing = failing.get(host)?;
        let wait = FIRST_PAUSE.saturating_mul(1 << failing.count.saturating_sub(1).min(10));
        let left = wait.min(LONGEST_PAUSE) - (now - failing.last);
        // More is left than ever was if the clock was put back.
        (left.is_positive() && left <= LONGEST_PAUSE).then_some(left)
    }

    pub(super) fn add(&self, host: &str, now: OffsetDateTime) {
        let mut failing = self.0.lock();
        let count = failing.get(host).map_or(0, |it| it.count).saturating_add(1);
        failing.insert(host.to_owned(), Failing { count, last: now });
    }

    pub(super) fn forget(&self, host: &str) {
        self.0.lock().remove(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_waits_twice_as_long_after_each_failure_and_at_most_a_day() {
        let failures = Failures::default();
        let now = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(failures.pause("web-1", now), None);
        for minutes in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440, 1440] {
            failures.add("web-1", now);
            let left = failures.pause("web-1", now);
            assert_eq!(left, Some(time::Duration::minutes(minutes)));
            assert_eq!(
                failures.pause("web-1", now + time::Duration::minutes(minutes)),
                None
            );
            assert_eq!(failures.pause("web-2", now), None);
        }
        assert_eq!(
            failures.pause("web-1", now - time::Duration::hours(1)),
            None,
            "a clock that was put back"
        );
        failures.forget("web-1");
        assert_eq!(failures.pause("web-1", now), None);
    }
}
