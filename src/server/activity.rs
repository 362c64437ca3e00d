//! Activity of one connection: the requests in work, the answers that the client has not read, and
//! the time since the last progress. It decides when the connection is closed, and how readily it
//! is closed to make room for another.

use std::{collections::HashMap, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// Time without progress after which an unread answer to a proven caller no longer protects its
/// connection from eviction. Long enough for retransmission of a lost packet. A quiet watch can be
/// evicted too: its client opens another.
const STALLED: Duration = Duration::from_secs(5);

/// Time that a new connection has for its handshake and its first request head before it counts as
/// silent.
const FRESH: Duration = Duration::from_secs(2);

/// Activity of one connection. All methods take `&self`.
pub(super) struct Activity {
    opened: Instant,
    /// Cancelled when the first request head is complete.
    first: CancellationToken,
    state: Mutex<State>,
}

struct State {
    /// Set when a caller on this connection has proven an identity.
    is_known: bool,
    /// Time of the last progress of any request.
    since: Instant,
    last: u64,
    requests: HashMap<u64, Request>,
}

struct Request {
    since: Instant,
    is_proven: bool,
    stage: Stage,
}

enum Stage {
    /// The client sends its message, or the handler works.
    Handling,
    /// The answer has begun. `chunks` of it are not yet written. `is_waiting` is set if the answer
    /// had no further chunk when it was polled.
    Answering { chunks: usize, is_waiting: bool },
}

impl Request {
    /// Tells whether the caller has something left to read.
    fn is_blocked(&self) -> bool {
        match self.stage {
            Stage::Handling => false,
            Stage::Answering { chunks, is_waiting } => chunks > 0 || !is_waiting,
        }
    }
}

/// Order of eviction: the connection of the lowest rank goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No request head within [`FRESH`].
    Silent,
    /// Requests open, and no caller on it ever proved an identity.
    Holding,
    /// New. Evicted only after those that hold requests open, or else no newcomer could finish a
    /// handshake.
    Fresh,
    /// At rest, and no caller on it ever proved an identity.
    Unknown,
    /// A caller on it proved an identity. Now it is at rest, or does not read its answers.
    Resting,
}

impl Activity {
    pub(super) fn new() -> Self {
        let opened = Instant::now();
        Self {
            opened,
            first: CancellationToken::new(),
            state: Mutex::new(State {
                is_known: false,
                since: opened,
                last: 0,
                requests: HashMap::new(),
            }),
        }
    }

    /// Starts the wait for the first request (after the TLS handshake).
    pub(super) fn ready(&self) {
        self.state().since = Instant::now();
    }

    /// Starts a request, whose head is complete. Returns the request's number.
    pub(super) fn begin(&self) -> u64 {
        let now = Instant::now();
        self.first.cancel();
        let mut state = self.state();
        state.since = now;
        state.last += 1;
        let id = state.last;
        let request = Request {
            since: now,
            is_proven: false,
            stage: Stage::Handling,
        };
        state.requests.insert(id, request);
        id
    }

    /// Notes progress: more of the message has arrived.
    pub(super) fn received(&self, id: u64) {
        self.progress(id, |_| ());
    }

    /// Marks the request's caller as proven.
    pub(super) fn prove(&self, id: u64) {
        self.progress(id, |request| request.is_proven = true);
        self.state().is_known = true;
    }

    /// Starts the answer.
    pub(super) fn answer(&self, id: u64) {
        self.progress(id, |request| {
            request.stage = Stage::Answering {
                chunks: 0,
                is_waiting: false,
            };
        });
    }

    /// Notes that a chunk of the answer goes to hyper.
    pub(super) fn send(&self, id: u64) {
        self.progress(id, |request| {
            if let Stage::Answering { chunks, is_waiting } = &mut request.stage {
                *chunks += 1;
                *is_waiting = false;
            }
        });
    }

    /// Notes that a chunk of the answer was written, or dropped.
    pub(super) fn sent(&self, id: u64) {
        self.progress(id, |request| {
            if let Stage::Answering { chunks, .. } = &mut request.stage {
                *chunks = chunks.saturating_sub(1);
            }
        });
    }

    /// Notes that the answer has no chunk to send now. This is no progress.
    pub(super) fn wait(&self, id: u64) {
        if let Some(request) = self.state().requests.get_mut(&id)
            && let Stage::Answering { is_waiting, .. } = &mut request.stage
        {
            *is_waiting = true;
        }
    }

    /// Ends the request: its answer has been sent, or was dropped.
    pub(super) fn end(&self, id: u64) {
        let mut state = self.state();
        state.requests.remove(&id);
        state.since = Instant::now();
    }

    /// Tells whether a request head was ever complete.
    pub(super) fn is_used(&self) -> bool {
        self.first.is_cancelled()
    }

    /// Resolves when the first request head is complete.
    pub(super) async fn used(&self) {
        self.first.cancelled().await;
    }

    /// Resolves when the connection has been silent, idle or open for too long, or when its peer
    /// does not read an answer. It wakes only when a deadline may have passed, so that a request
    /// costs no wake-up. A deadline may be exceeded by up to [`Limits::request`].
    pub(super) async fn overdue(&self, limits: &Limits) {
        let look = limits.request.max(Duration::from_millis(1));
        loop {
            let (due, now) = (self.due(limits), Instant::now());
            if due <= now {
                return;
            }
            tokio::time::sleep_until(due.min(now + look)).await;
        }
    }

    /// Returns the earliest time at which the connection can be overdue, as known now.
    fn due(&self, limits: &Limits) -> Instant {
        let state = self.state();
        let old = self.opened + limits.age;
        if !self.is_used() {
            return old.min(state.since + limits.first_byte);
        }
        if state.requests.is_empty() {
            return old.min(state.since + limits.idle);
        }
        let blocked = state.requests.values().filter(|it| it.is_blocked());
        let due = blocked.map(|it| it.since + limits.request).min();
        due.map_or(old, |due| due.min(old))
    }

    /// Returns the rank for eviction and the time of the last progress. Returns `None` while the
    /// server works for a proven identity, or while such a caller reads its answer.
    pub(super) fn spare(&self) -> Option<(Rank, Instant)> {
        self.spare_at(Instant::now())
    }

    fn spare_at(&self, now: Instant) -> Option<(Rank, Instant)> {
        let state = self.state();
        let rank = match (self.is_used(), state.is_known) {
            (false, _) if now.duration_since(self.opened) < FRESH => Rank::Fresh,
            (false, _) => Rank::Silent,
            (true, false) if state.requests.is_empty() => Rank::Unknown,
            (true, false) => Rank::Holding,
            (true, true) => Rank::Resting,
        };
        let mut proven = state.requests.values().filter(|it| it.is_proven);
        let is_kept = proven.any(|it| match it.stage {
            Stage::Handling => true,
            Stage::Answering { .. } => now.duration_since(it.since) < STALLED,
        });
        (!is_kept).then_some((rank, state.since))
    }

    fn progress(&self, id: u64, change: impl FnOnce(&mut Request)) {
        let now = Instant::now();
        let mut state = self.state();
        state.since = now;
        if let Some(request) = state.requests.get_mut(&id) {
            request.since = now;
            change(request);
        }
    }

    /// Locks the state. No code that holds the lock can panic halfway through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn rank(activity: &Activity, later: Duration) -> Option<Rank> {
        let spare = activity.spare_at(Instant::now() + later);
        spare.map(|(rank, _)| rank)
    }

    #[test]
    fn only_work_for_a_proven_identity_keeps_a_connection() {
        let (at_once, long) = (Duration::ZERO, STALLED * 10);
        let activity = Activity::new();
        assert_eq!(rank(&activity, at_once), Some(Rank::Fresh));
        assert_eq!(rank(&activity, FRESH), Some(Rank::Silent));
        let id = activity.begin();
        let holding = rank(&activity, long);
        assert_eq!(holding, Some(Rank::Holding), "a message on its way");
        activity.prove(id);
        assert_eq!(
            rank(&activity, long),
            None,
            "a long call of a proven caller"
        );
        activity.answer(id);
        activity.send(id);
        assert_eq!(rank(&activity, at_once), None, "its answer on its way");
        assert_eq!(rank(&activity, long), Some(Rank::Resting), "not read");
        activity.end(id);
        assert_eq!(rank(&activity, at_once), Some(Rank::Resting));
    }

    #[test]
    fn an_answer_that_is_not_taken_is_overdue_and_a_watch_without_news_is_not() {
        let limits = Limits::default();
        let activity = Activity::new();
        let old = activity.opened + limits.age;
        let id = activity.begin();
        activity.answer(id);
        activity.send(id);
        activity.sent(id);
        activity.wait(id);
        assert_eq!(activity.due(&limits), old, "a watch without news");
        activity.send(id);
        activity.wait(id);
        let due = activity.due(&limits);
        assert!(due < old, "news that are not taken");
        let other = activity.begin();
        activity.answer(other);
        activity.send(other);
        assert_eq!(
            activity.due(&limits),
            due,
            "another request's progress is not its own"
        );
    }
}
