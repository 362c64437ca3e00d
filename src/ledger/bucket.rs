//! Token buckets whose time is a parameter. Pure.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

/// Largest number of identities with a bucket.
///
/// At the limit, full buckets are evicted. If there are none, a new identity is not limited.
const MOST_IDENTITIES: usize = 8192;

/// A token bucket for each identity.
#[derive(Debug)]
pub(crate) struct Buckets {
    new: Bucket,
    identities: BTreeMap<(String, String), Bucket>,
}

impl Buckets {
    /// Creates buckets that allow `burst` calls at once, and one more after each `every`.
    pub(crate) fn new(burst: u32, every: Duration) -> Self {
        Self {
            new: Bucket::new(burst, every),
            identities: BTreeMap::new(),
        }
    }

    /// Takes one call from the identity's bucket. Returns `false` if the bucket is empty.
    pub(crate) fn take(&mut self, issuer: &str, subject: &str, now: OffsetDateTime) -> bool {
        self.take_many(1, issuer, subject, now)
    }

    /// Takes so many calls at once, or none.
    pub(crate) fn take_many(
        &mut self,
        count: usize,
        issuer: &str,
        subject: &str,
        now: OffsetDateTime,
    ) -> bool {
        if self.identities.len() >= MOST_IDENTITIES {
            self.identities.retain(|_, bucket| !bucket.is_empty(now));
            if self.identities.len() >= MOST_IDENTITIES {
                return true;
            }
        }
        let identity = (issuer.to_owned(), subject.to_owned());
        let new = || self.new.clone();
        let bucket = self.identities.entry(identity).or_insert_with(new);
        // Kept also if there is no room: if the clock was set back, time is counted from now on.
        bucket.settle(now);
        let mut taken = bucket.clone();
        let has_room = (0..count).all(|_| {
            let has_room = taken.has_room(now);
            taken.fill(now);
            has_room
        });
        if has_room {
            *bucket = taken;
        }
        has_room
    }
}

/// A token bucket: how full it was, and when that was.
///
/// A clock that is set back empties nothing and fills nothing: time is counted from then on. A
/// bucket that counted as full after it kept denials out of the ledger that had room.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    burst: u32,
    every: Duration,
    /// The time after `at` at which it is empty.
    filled: Duration,
    at: OffsetDateTime,
}

impl Bucket {
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self {
            burst,
            every,
            filled: Duration::ZERO,
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    /// Returns whether a call is allowed at `now`.
    pub(super) fn has_room(&mut self, now: OffsetDateTime) -> bool {
        self.settle(now);
        self.filled + self.every <= self.every * self.burst
    }

    fn settle(&mut self, now: OffsetDateTime) {
        self.filled = self.filled(now);
        self.at = now;
    }

    pub(super) fn fill(&mut self, now: OffsetDateTime) {
        self.settle(now);
        self.filled = (self.filled + self.every).min(self.every * self.burst);
    }

    pub(super) fn is_empty(&self, now: OffsetDateTime) -> bool {
        self.filled(now) <= Duration::ZERO
    }

    /// How full it is at `now`; as full as it was, if the clock was set back since.
    fn filled(&self, now: OffsetDateTime) -> Duration {
        let passed = (now - self.at).max(Duration::ZERO);
        (self.filled - passed).max(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 15:32:51 UTC);

    #[test]
    fn an_identity_has_a_burst_and_then_a_rate_of_its_own() {
        let mut buckets = Buckets::new(3, Duration::MINUTE);
        let mut take =
            |who: &str, seconds| buckets.take("issuer", who, NOW + Duration::seconds(seconds));
        assert_eq!(
            [0; 5].map(|at| take("bob", at)),
            [true, true, true, false, false]
        );
        assert!(take("alice", 0));
        assert!(!take("bob", 59));
        assert!(take("bob", 60) && !take("bob", 60));
    }

    #[test]
    fn idle_identities_are_evicted_and_no_identity_is_locked_out() {
        let mut buckets = Buckets::new(1, Duration::MINUTE);
        for n in 0..MOST_IDENTITIES {
            assert!(buckets.take("issuer", &n.to_string(), NOW));
        }
        assert!(buckets.take("issuer", "newcomer", NOW));
        assert!(buckets.take("issuer", "newcomer", NOW + Duration::HOUR));
        assert_eq!(buckets.identities.len(), 1);
    }

    /// A host that came for three at once, more often than it got one, lost each one that it got.
    #[test]
    fn several_calls_are_taken_together_or_not_at_all() {
        let start = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
        let mut buckets = Buckets::new(32, Duration::minutes(5));
        assert!((0..10).all(|_| buckets.take_many(3, "", "web-1", start)));
        let at = |minutes| start + Duration::minutes(minutes);
        let mut taken = (2..=20).step_by(2).map(at);
        let first = taken.find(|at| buckets.take_many(3, "", "web-1", *at));
        assert_eq!(
            first,
            Some(at(6)),
            "two are left, and one comes in five minutes"
        );
        assert!(!buckets.take_many(3, "", "web-1", at(8)));
    }

    /// Each refusal forgot that the clock had been set back, so a caller waited until the time of
    /// the clock that had been ahead. Later the bucket counted as full.
    #[test]
    fn a_clock_that_is_set_back_neither_fills_nor_empties_a_bucket() {
        let mut buckets = Buckets::new(3, Duration::MINUTE);
        assert!(buckets.take("issuer", "bob", NOW + Duration::days(30)));
        assert!(buckets.take("issuer", "bob", NOW));
        assert!(buckets.take("issuer", "bob", NOW));
        assert!(!buckets.take("issuer", "bob", NOW));
        assert!(!buckets.take("issuer", "bob", NOW - Duration::HOUR));
        let again = NOW - Duration::HOUR + Duration::MINUTE;
        assert!(!buckets.take("issuer", "bob", again - Duration::SECOND));
        assert!(buckets.take("issuer", "bob", again));
        assert!(!buckets.take("issuer", "bob", again));
    }
}
