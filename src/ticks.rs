//! Ticks of work that is done again and again.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// A tick at once, and then one each `period`. After a pause of the machine there is one, not all
/// those that were missed: two days of them kept a server busy for minutes.
#[allow(clippy::disallowed_methods, reason = "the one place that makes them")]
pub(crate) fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_pause_is_one_tick_and_not_a_hundred() {
        let mut ticks = ticks(Duration::from_millis(10));
        ticks.tick().await;
        // Nothing runs in this time.
        thread::sleep(Duration::from_secs(1));
        let mut count = 0;
        while timeout(Duration::from_millis(2), ticks.tick())
            .await
            .is_ok()
        {
            count += 1;
            assert!(count < 50, "a burst");
        }
        assert!(count > 0);
    }
}
