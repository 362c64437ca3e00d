//! Bounds the codes that the server brings to one provider. A caller without a session can invent
//! codes, and each costs a call of the provider's token endpoint: with many addresses, an attacker
//! would make this server attack the provider, and be blocked there.
//!
//! A browser in which a person has signed in before has a cookie that says so ([`Known`]). Such
//! browsers have a rate each and places of their own, so a flood of strangers stops no one of them.
//! Strangers share one rate, and are turned away at once when it is used up.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::ledger::bucket::Buckets;

/// Calls of one provider at once for browsers that are known, and as many for strangers.
const AT_ONCE: usize = 8;

/// Codes of strangers at once after a pause, and the time after which there may be one more.
const STRANGERS: (u32, time::Duration) = (50, time::Duration::milliseconds(200));

/// The same of one browser that is known.
const KNOWN: (u32, time::Duration) = (10, time::Duration::seconds(3));

/// Time that a browser that is known waits for a place.
const PATIENCE: Duration = Duration::from_secs(5);

/// The number of a browser in which a person has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known(pub(super) String);

/// The bounds at one provider.
pub(super) struct Exchanges {
    rates: Mutex<(Buckets, Buckets)>,
    strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
}

impl Default for Exchanges {
    fn default() -> Self {
        let buckets = |(burst, every)| Buckets::new(burst, every);
        Self {
            rates: Mutex::new((buckets(STRANGERS), buckets(KNOWN))),
            strangers: Arc::new(Semaphore::new(AT_ONCE)),
            known: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Exchanges {
    /// A place for one call of the token endpoint, for as long as it is kept. `None` if there is
    /// none now.
    pub(super) async fn place(
        &self,
        browser: Option<&Known>,
        now: OffsetDateTime,
    ) -> Option<OwnedSemaphorePermit> {
        let is_known = browser.is_some_and(|Known(number)| {
            let mut rates = self.rates.lock();
            rates.1.take("", number, now)
        });
        if is_known {
            let place = timeout(PATIENCE, Arc::clone(&self.known).acquire_owned());
            return place.await.ok()?.ok();
        }
        let place = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
        self.rates.lock().0.take("", "", now).then_some(place)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-28 03:00 UTC);

    #[tokio::test]
    async fn a_flood_of_strangers_is_bounded_and_takes_no_place_of_a_known_browser() {
        let exchanges = Exchanges::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(exchanges.place(None, NOW).await.unwrap());
        }
        assert!(exchanges.place(None, NOW).await.is_none(), "one too many");
        let carol = Known("carol".to_owned());
        let place = exchanges.place(Some(&carol), NOW).await;
        assert!(place.is_some());
        drop(held);
        let mut admitted = AT_ONCE;
        for _ in 0..10_000 {
            admitted += usize::from(exchanges.place(None, NOW).await.is_some());
        }
        assert_eq!(admitted, 50, "the burst");
        let later = NOW + Duration::from_secs(1);
        let mut more = 0;
        for _ in 0..10_000 {
            more += usize::from(exchanges.place(None, later).await.is_some());
        }
        assert_eq!(more, 5, "five in a second");
        assert!(exchanges.place(Some(&carol), later).await.is_some());
    }

    /// A cookie of a browser that is known, copied to many others, is worth its own rate.
    #[tokio::test]
    async fn a_known_browser_in_a_flood_falls_back_to_the_rate_of_strangers() {
        let exchanges = Exchanges::default();
        let carol = Known("carol".to_owned());
        let mut admitted = 0;
        for _ in 0..1000 {
            admitted += usize::from(exchanges.place(Some(&carol), NOW).await.is_some());
        }
        assert_eq!(admitted, 10 + 50);
        let dave = Known("dave".to_owned());
        assert!(exchanges.place(Some(&dave), NOW).await.is_some());
    }
}
