//! Rate limits of callers. Pure apart from the monotonic clock.
//!
//! Memory is bounded: callers are hashed into a fixed number of slots with a key of this process.
//! So an attacker with any number of addresses or identities fills no more than those slots, and
//! cannot aim at the slot of another caller.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use super::limits::Rate;

/// Number of slots. Two callers share a slot, and so their rate, with a chance of one in this many.
const SLOTS: u64 = 1 << 18;

/// Number of checks after which the slots of callers at rest are freed.
const SWEEP_EVERY: u32 = 1 << 16;

pub(super) struct RateLimit {
    limiter: DefaultKeyedRateLimiter<u32>,
    hasher: RandomState,
    checks: AtomicU32,
}

impl RateLimit {
    pub(super) fn new(rate: Rate) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst));
        Self {
            limiter: RateLimiter::keyed(quota),
            hasher: RandomState::new(),
            checks: AtomicU32::new(0),
        }
    }

    /// Takes one call from the caller's rate.
    ///
    /// # Errors
    /// The time to wait, if the rate is used up.
    pub(super) fn check(&self, caller: impl Hash) -> Result<(), Duration> {
        self.sweep();
        let slot = (self.hasher.hash_one(caller) % SLOTS) as u32;
        self.limiter
            .check_key(&slot)
            .map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }

    fn sweep(&self) {
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(burst: u32) -> RateLimit {
        RateLimit::new(Rate {
            per_second: 1,
            burst,
        })
    }

    #[test]
    fn a_burst_passes_and_then_the_wait_is_said() {
        let limit = limit(3);
        assert!((0..3).all(|_| limit.check("alice").is_ok()));
        let wait = limit.check("alice");
        assert!(wait.is_err_and(|wait| wait > Duration::ZERO && wait <= Duration::from_secs(1)));
    }

    #[test]
    fn one_caller_does_not_use_up_another_ones_rate() {
        let limit = limit(1);
        assert!(limit.check("alice").is_ok() && limit.check("alice").is_err());
        assert!(limit.check("bob").is_ok());
    }

    #[test]
    fn any_number_of_callers_fills_no_more_than_the_slots() {
        let limit = limit(1);
        for caller in 0..600_000_u32 {
            let _ = limit.check(caller);
        }
        assert!(limit.limiter.len() as u64 <= SLOTS);
    }

    #[test]
    fn a_rate_of_zero_counts_as_one() {
        let limit = RateLimit::new(Rate {
            per_second: 0,
            burst: 0,
        });
        assert!(limit.check("alice").is_ok());
    }
}
