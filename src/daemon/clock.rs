//! Detects jumps of the wall clock against the monotonic clock.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// The daemon's clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the daemon is an edge: below it, the time is a parameter"
)]
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// The most that a slow correction (NTP slew, leap second) changes between two checks.
const TOLERANCE: time::Duration = time::Duration::seconds(60);

/// The interval of checks.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Both clocks at the last check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    wall: OffsetDateTime,
    monotonic: Instant,
}

impl Watch {
    pub(super) fn new(wall: OffsetDateTime, monotonic: Instant) -> Self {
        Self { wall, monotonic }
    }

    /// Checks again. Returns how far the wall clock jumped since the last check, ahead or back
    /// (negative), if it did.
    pub(super) fn jump(
        &mut self,
        wall: OffsetDateTime,
        monotonic: Instant,
    ) -> Option<time::Duration> {
        let elapsed = monotonic.saturating_duration_since(self.monotonic);
        let elapsed = time::Duration::try_from(elapsed).unwrap_or(time::Duration::MAX);
        let jump = (wall - self.wall).saturating_sub(elapsed);
        *self = Self::new(wall, monotonic);
        (jump.abs() > TOLERANCE).then_some(jump)
    }
}

/// Logs a jump: the decisions before or after it were made with a wrong clock.
pub(super) fn warn(jump: time::Duration) {
    let seconds = jump.whole_seconds();
    let direction = match seconds > 0 {
        true => "ahead",
        false => "back",
    };
    tracing::error!(
        seconds = seconds.unsigned_abs(),
        direction,
        "the clock jumped while the server ran: check it; passes of the wrong time end at a wrong time, and what was revoked \
         stays revoked"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_is_found_in_both_directions_and_once() {
        let (wall, monotonic) = (OffsetDateTime::UNIX_EPOCH, Instant::now());
        let after = |seconds| monotonic + Duration::from_secs(seconds);
        let at = |seconds| wall + time::Duration::seconds(seconds);
        for (case, second, expected) in [
            ("as it should", 10, None),
            ("a little fast", 69, None),
            ("an hour ahead", 3610, Some(3600)),
            ("two days ahead", 172_810, Some(172_800)),
            ("an hour back", -3590, Some(-3600)),
            ("standing still for long", 0, None),
        ] {
            let mut watch = Watch::new(wall, monotonic);
            let jump = watch.jump(at(second), after(10));
            assert_eq!(jump.map(time::Duration::whole_seconds), expected, "{case}");
            assert_eq!(
                watch.jump(at(second + 10), after(20)),
                None,
                "{case}, later"
            );
        }
    }
}
