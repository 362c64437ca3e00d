//! A test of one webhook: one signed notification now, without a retry.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use time::OffsetDateTime;

use super::{Receiver, notification::Notification};
use crate::ledger::event::Actor;

/// The least time between two tests of a webhook: a test is not a way to flood its receiver.
const EVERY: Duration = Duration::from_secs(5);

/// The receiver's answer to a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestReport {
    /// The HTTP status; none if there was no answer.
    pub status: Option<u16>,
    /// Why it was not delivered; none if it was.
    pub error: Option<String>,
    /// Time until the answer, or until the failure.
    pub took: Duration,
}

/// Reason why no test was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTest {
    /// There is no such webhook.
    Unknown,
    /// The last test was a moment ago.
    TooSoon,
}

/// The times of the last tests, by webhook.
#[derive(Clone, Debug, Default)]
pub(super) struct LastTests(Arc<Mutex<BTreeMap<String, Instant>>>);

impl LastTests {
    /// Whether this webhook may be tested now. If so, the test counts.
    pub(super) fn admit(&self, name: &str, now: Instant) -> bool {
        let mut last = self.0.lock();
        if last
            .get(name)
            .is_some_and(|at| now.saturating_duration_since(*at) < EVERY)
        {
            return false;
        }
        last.insert(name.to_owned(), now);
        true
    }
}

/// Sends the notification once.
pub(super) async fn send(
    receiver: &Receiver,
    server: &str,
    who: &Actor,
    now: OffsetDateTime,
) -> TestReport {
    let id = format!("test_{}", now.unix_timestamp_nanos());
    let notification = Notification::test(who, server, now);
    let started = Instant::now();
    let outcome = receiver.send(&id, &notification, now).await;
    let took = started.elapsed();
    let (status, error) = match outcome {
        Ok(status) => (Some(status), None),
        Err(failure) => (failure.status(), Some(failure.to_string())),
    };
    TestReport {
        status: status.map(|status| status.as_u16()),
        error,
        took,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_tested_once_in_some_seconds_and_others_do_not_wait() {
        let (last, start) = (LastTests::default(), Instant::now());
        for (name, seconds, expected) in [
            ("a", 0, true),
            ("a", 4, false),
            ("b", 4, true),
            ("a", 5, true),
            ("a", 6, false),
        ] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(last.admit(name, now), expected, "{name} at {seconds}");
        }
    }
}
