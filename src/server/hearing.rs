//! How long this server has heard its hosts without a gap. Pure.
//!
//! A server that was down, frozen or asleep heard no host, and no host is behind for that.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// The longest time between two rounds that is no gap. A round takes a second.
const GAP: Duration = Duration::from_secs(30);

/// Both clocks at the last round, and when the hearing began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    since: Instant,
    last: (OffsetDateTime, Instant),
}

impl Hearing {
    /// It begins now.
    pub(super) fn new(wall: OffsetDateTime, monotonic: Instant) -> Self {
        Self {
            since: monotonic,
            last: (wall, monotonic),
        }
    }

    /// One more round. Returns the time since the last gap. The monotonic clock goes on while a
    /// process is stopped, and may stand still while the machine sleeps; the wall clock shows that.
    pub(super) fn round(&mut self, wall: OffsetDateTime, monotonic: Instant) -> Duration {
        let by_wall = wall - self.last.0;
        let by_monotonic = monotonic.saturating_duration_since(self.last.1);
        self.last = (wall, monotonic);
        if by_monotonic > GAP || by_wall > GAP {
            self.since = monotonic;
        }
        monotonic.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds that were heard after 600 rounds, and after one more that came later by these
    /// seconds on the wall and on the monotonic clock.
    fn heard(wall: i64, monotonic: u64) -> (u64, u64) {
        let (first, begun) = (OffsetDateTime::UNIX_EPOCH, Instant::now());
        let mut hearing = Hearing::new(first, begun);
        let mut round = |wall, monotonic| {
            let wall = first + time::Duration::seconds(wall);
            let heard = hearing.round(wall, begun + Duration::from_secs(monotonic));
            heard.as_secs()
        };
        let before = (1..=600).map(|at| round(at, at.unsigned_abs())).last();
        let after = round(600 + wall, 600 + monotonic);
        (before.unwrap_or_default(), after)
    }

    #[test]
    fn a_pause_by_either_clock_begins_anew_and_a_slow_round_does_not() {
        for (case, wall, monotonic, expected) in [
            ("as ever", 1, 1, 601),
            ("a busy machine", 29, 29, 629),
            ("stopped", 7200, 7200, 0),
            ("asleep", 7200, 1, 0),
            ("the wall clock is set back", -7200, 1, 601),
        ] {
            assert_eq!(heard(wall, monotonic), (600, expected), "{case}");
        }
    }
}
