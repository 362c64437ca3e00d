//! The schedule of retries after a failed delivery, and their end. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// Delays that double, up to a longest one. The default gives a receiver about eight hours to come
/// back: 1 s, 2 s, 4 s and so on to 15 min, 42 attempts in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The delay after the first failure.
    pub first: Duration,
    /// The longest delay.
    pub most: Duration,
    /// The number of attempts after which a delivery is a dead letter.
    pub attempts: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(15 * 60),
            attempts: 42,
        }
    }
}

impl Schedule {
    /// The delay after `attempts` failures; none if there is no further attempt. It is up to a
    /// fifth shorter or longer, by a hash of `of` (a webhook's name and an event's index), so that
    /// deliveries that failed together are not retried together.
    pub(super) fn wait(&self, attempts: u32, of: &(impl Hash + ?Sized)) -> Option<Duration> {
        if attempts >= self.attempts {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(31);
        let wait = self.first.saturating_mul(1 << doublings).min(self.most);
        let mut hasher = DefaultHasher::new();
        (of, attempts).hash(&mut hasher);
        let percent = 80 + hasher.finish() % 41;
        Some(wait.mul_f64(percent as f64 / 100.0))
    }

    /// Bounds the delay. A longer one comes from a clock that was set back.
    pub(super) fn longest(&self) -> Duration {
        self.most.mul_f64(1.2)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end_after_about_eight_hours() {
        let schedule = Schedule::default();
        let waits: Vec<Duration> = (1..).map_while(|n| schedule.wait(n, "chat")).collect();
        assert_eq!(waits.len(), 41);
        for (wait, expected) in waits
            .iter()
            .zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900])
        {
            let expected = Duration::from_secs(expected);
            assert!(*wait >= expected.mul_f64(0.8) && *wait <= expected.mul_f64(1.2));
        }
        let hours = waits.iter().sum::<Duration>().as_secs_f64() / 3600.0;
        assert!((7.0..9.0).contains(&hours), "{hours}");
        assert!(waits.iter().all(|wait| *wait <= schedule.longest()));
    }

    #[test]
    fn two_deliveries_do_not_wait_alike() {
        let schedule = Schedule::default();
        let waits: Vec<_> = (0..20).map(|index| schedule.wait(9, &index)).collect();
        assert!(waits.iter().any(|wait| Some(wait) != waits.first()));
        assert_eq!(schedule.wait(9, &1), schedule.wait(9, &1));
    }
}
