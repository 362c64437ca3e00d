//! The keys of one issuer, cached.
//!
//! A known, fresh key is answered from memory. Every other key waits for a fetch: one at a time,
//! and at most one per cool-down, however many calls come. A fetch that fails leaves the old set in
//! use, up to a bound; then no key is. Time is a parameter (monotonic), so that tests can move it.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, time::Instant};

use super::{
    error::{Error, FetchError},
    fetch::Source,
    jwk::Key,
    key_set::KeySet,
};

/// The rules of the cache.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Up to this age, a set is used without a fetch.
    pub(super) fresh: Duration,
    /// Up to this age, a set is used while the issuer does not answer.
    pub(super) stale: Duration,
    /// Time from one fetch to the next. The first does not count if it succeeds, so that a rotation
    /// right after it is seen.
    pub(super) cool_down: Duration,
    /// Time that a caller with a stale key waits for the fetch.
    pub(super) patience: Duration,
}

impl Rules {
    /// The daemon's rules.
    pub(super) const DEFAULT: Self = Self {
        fresh: Duration::from_secs(10 * 60),
        stale: Duration::from_secs(6 * 60 * 60),
        cool_down: Duration::from_secs(10),
        patience: Duration::from_secs(1),
    };
}

/// One issuer's keys, and the fetching of them.
pub(super) struct KeyCache {
    issuer: String,
    source: Source,
    rules: Rules,
    state: Mutex<State>,
}

/// Closed when the fetch it stands for has ended.
type InFlightFetch = watch::Receiver<()>;

#[derive(Default)]
struct State {
    keys: Option<Fetched>,
    /// No fetch starts before this time.
    earliest: Option<Instant>,
    in_flight: Option<InFlightFetch>,
    /// The error of the last fetch, if it failed.
    failure: Option<Arc<FetchError>>,
}

struct Fetched {
    set: KeySet,
    at: Instant,
}

/// A key that may be used.
enum Usable {
    /// Without a fetch.
    Fresh(Arc<Key>),
    /// While the issuer does not answer.
    Stale(Arc<Key>),
}

impl KeyCache {
    /// An empty cache. Fetches nothing. `issuer` is the configured name.
    pub(super) fn new(issuer: &str, source: Source, rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            issuer: issuer.to_owned(),
            source,
            rules,
            state: Mutex::default(),
        })
    }

    /// The key with this `kid`, or the only one for a token without `kid`. Waits for a fetch if one
    /// is under way or allowed, and could change the answer.
    ///
    /// # Errors
    /// Returns [`Error::UnknownKey`] if the issuer has no such key, and
    /// [`Error::IssuerUnavailable`] if its keys cannot be fetched.
    pub(super) async fn key(
        self: &Arc<Self>,
        key_id: Option<&str>,
        now: Instant,
    ) -> Result<Arc<Key>, Error> {
        let usable = self.state().usable(key_id, now, self.rules);
        match usable {
            Some(Usable::Fresh(key)) => return Ok(key),
            Some(Usable::Stale(key)) => {
                let has_failed = self.state().failure.is_some();
                match self.refresh(now) {
                    Some(in_flight) if !has_failed => {
                        // A slow fetch counts as a failed one: the stale key is used, and the fetch
                        // goes on.
                        let _ =
                            tokio::time::timeout(self.rules.patience, wait_for(in_flight)).await;
                    }
                    // After a failed fetch no caller waits: an issuer that hangs would slow every
                    // call for hours.
                    Some(_) | None => return Ok(key),
                }
            }
            None => {
                if let Some(in_flight) = self.refresh(now) {
                    wait_for(in_flight).await;
                }
            }
        }
        self.settled(key_id, now)
    }

    /// The only key after a fetch, if one is under way or allowed: a signature without `kid` that
    /// does not verify may be by a newer key.
    ///
    /// # Errors
    /// As [`KeyCache::key`].
    pub(super) async fn renewed(self: &Arc<Self>, now: Instant) -> Result<Arc<Key>, Error> {
        if let Some(in_flight) = self.refresh(now) {
            wait_for(in_flight).await;
        }
        self.settled(None, now)
    }

    /// Starts a fetch, or joins the one under way. `None` during the cool-down.
    ///
    /// The fetch is a task of its own: it goes on if the caller disconnects.
    pub(super) fn refresh(self: &Arc<Self>, now: Instant) -> Option<InFlightFetch> {
        let mut state = self.state();
        if let Some(in_flight) = state
            .in_flight
            .as_ref()
            .filter(|in_flight| in_flight.has_changed().is_ok())
        {
            return Some(in_flight.clone());
        }
        if state.earliest.is_some_and(|earliest| now < earliest) {
            return None;
        }
        let is_first = state.keys.is_none() && state.failure.is_none();
        state.earliest = (!is_first).then(|| now + self.rules.cool_down);
        let (landing, in_flight) = watch::channel(());
        state.in_flight = Some(in_flight.clone());
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = cache.source.keys().await;
            cache.finish(outcome, now);
            drop(landing);
        });
        Some(in_flight)
    }

    /// Fetches the key set now, and keeps nothing of it.
    pub(super) async fn fetch(&self) -> Result<KeySet, FetchError> {
        self.source.keys().await
    }

    /// Whether there are keys that may still be used.
    pub(super) fn has_keys(&self, now: Instant) -> bool {
        let state = self.state();
        let fetched = state.keys.as_ref();
        fetched.is_some_and(|it| now.saturating_duration_since(it.at) <= self.rules.stale)
    }

    fn finish(&self, outcome: Result<KeySet, FetchError>, started: Instant) {
        let mut state = self.state();
        state.in_flight = None;
        match outcome {
            Ok(set) => {
                tracing::info!(
                    issuer = self.issuer,
                    keys = set.len(),
                    "fetched the issuer's keys"
                );
                state.failure = None;
                state.keys = Some(Fetched { set, at: started });
            }
            Err(error) => {
                tracing::warn!(
                    issuer = self.issuer,
                    error = &error as &dyn std::error::Error,
                    "failed to fetch the issuer's keys"
                );
                state.failure = Some(Arc::new(error));
                state.earliest = Some(started + self.rules.cool_down);
            }
        }
    }

    /// The answer when no fetch can change it any more.
    fn settled(&self, key_id: Option<&str>, now: Instant) -> Result<Arc<Key>, Error> {
        let state = self.state();
        match (state.usable(key_id, now, self.rules), &state.failure) {
            (Some(Usable::Fresh(key) | Usable::Stale(key)), _) => Ok(key),
            (None, None) => Err(Error::UnknownKey),
            (None, Some(failure)) => Err(Error::IssuerUnavailable {
                issuer: self.issuer.clone(),
                source: Arc::clone(failure),
            }),
        }
    }

    /// Every change under the lock is whole, so one that a panic left is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn usable(&self, key_id: Option<&str>, now: Instant, rules: Rules) -> Option<Usable> {
        let fetched = self.keys.as_ref()?;
        let key = Arc::clone(fetched.set.find(key_id)?);
        let age = now.saturating_duration_since(fetched.at);
        match () {
            () if age <= rules.fresh => Some(Usable::Fresh(key)),
            () if age <= rules.stale => Some(Usable::Stale(key)),
            () => None,
        }
    }
}

/// Waits for a fetch to end, however it ends.
pub(super) async fn wait_for(mut in_flight: InFlightFetch) {
    while in_flight.changed().await.is_ok() {}
}
