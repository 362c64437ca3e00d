//! What one connection has been doing: which of its requests the server works on, which answers are
//! not taken, since when it rests. This decides when it is closed, and how well it can be spared.

use std::{collections::HashMap, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::Limits;

/// An answer to a proven caller that takes nothing for this long no longer keeps the connection's
/// place. Long enough for a lost packet's repetitions; a watch that has nothing to say may give way
/// too, for its client opens another.
const STALLED: Duration = Duration::from_secs(5);

/// How long a newcomer has for its handshake and its first head before silence counts against it.
const FRESH: Duration = Duration::from_secs(2);

/// The activity of one connection.
pub(super) struct Activity {
    opened: Instant,
    state: Mutex<State>,
}

struct State {
    /// Whether a request's head ever came.
    is_used: bool,
    /// Whether a caller on this connection has proven an identity.
    is_known: bool,
    /// The last progress of anything.
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
    /// The message is on its way, or the handler works.
    Handling,
    /// The answer has begun. `chunks` of it are not written yet; `is_waiting` if it had no more to
    /// say when asked.
    Answering { chunks: usize, is_waiting: bool },
}

impl Request {
    /// Whether the caller has something to take.
    fn is_blocked(&self) -> bool {
        match self.stage {
            Stage::Handling => false,
            Stage::Answering { chunks, is_waiting } => chunks > 0 || !is_waiting,
        }
    }
}

/// How well a connection can be spared: the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It has not finished a request's head, and had time to.
    Silent,
    /// It has requests open, and no caller on it ever proved an identity.
    Holding,
    /// It has just come: it is not closed while others hold requests open, or no newcomer would get
    /// through a handshake.
    Fresh,
    /// It rests, and no caller on it ever proved an identity.
    Unknown,
    /// A caller did, and now it rests, or does not take its answers.
    Resting,
}

impl Activity {
    pub(super) fn new() -> Self {
        let opened = Instant::now();
        Self {
            opened,
            state: Mutex::new(State {
                is_used: false,
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

    /// A request's head is complete.
    pub(super) fn begin(&self) -> u64 {
        let now = Instant::now();
        let mut state = self.state();
        state.is_used = true;
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

    /// More of its message came.
    pub(super) fn received(&self, id: u64) {
        self.progress(id, |_| ());
    }

    /// Its caller has proven an identity.
    pub(super) fn prove(&self, id: u64) {
        self.progress(id, |request| request.is_proven = true);
        self.state().is_known = true;
    }

    /// Its answer begins.
    pub(super) fn answer(&self, id: u64) {
        self.progress(id, |request| {
            request.stage = Stage::Answering {
                chunks: 0,
                is_waiting: false,
            };
        });
    }

    /// A chunk of its answer goes out.
    pub(super) fn send(&self, id: u64) {
        self.progress(id, |request| {
            if let Stage::Answering { chunks, is_waiting } = &mut request.stage {
                *chunks += 1;
                *is_waiting = false;
            }
        });
    }

    /// A chunk of its answer was written, or given up.
    pub(super) fn sent(&self, id: u64) {
        self.progress(id, |request| {
            if let Stage::Answering { chunks, .. } = &mut request.stage {
                *chunks = chunks.saturating_sub(1);
            }
        });
    }

    /// Its answer has nothing to say for now. That is no progress.
    pub(super) fn wait(&self, id: u64) {
        if let Some(request) = self.state().requests.get_mut(&id)
            && let Stage::Answering { is_waiting, .. } = &mut request.stage
        {
            *is_waiting = true;
        }
    }

    /// Its answer has been sent, or given up.
    pub(super) fn end(&self, id: u64) {
        let mut state = self.state();
        state.requests.remove(&id);
        state.since = Instant::now();
    }

    /// Whether a request ever came.
    pub(super) fn is_used(&self) -> bool {
        self.state().is_used
    }

    /// Resolves when the connection has been silent, idle or alive for too long, or its peer does
    /// not take an answer. It looks only when a deadline may have passed, so that requests cost no
    /// wake-up: a deadline may be exceeded by [`Limits::request`].
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

    /// The earliest moment at which it may be overdue, as far as can be said now.
    fn due(&self, limits: &Limits) -> Instant {
        let state = self.state();
        let old = self.opened + limits.age;
        if !state.is_used {
            return old.min(state.since + limits.first_byte);
        }
        if state.requests.is_empty() {
            return old.min(state.since + limits.idle);
        }
        let blocked = state.requests.values().filter(|it| it.is_blocked());
        let due = blocked.map(|it| it.since + limits.request).min();
        due.map_or(old, |due| due.min(old))
    }

    /// How well this connection can be spared: by rank, then by the time of its last progress. None
    /// while the server works for a proven identity, or such a caller takes its answer.
    pub(super) fn spare(&self) -> Option<(Rank, Instant)> {
        self.spare_at(Instant::now())
    }

    fn spare_at(&self, now: Instant) -> Option<(Rank, Instant)> {
        let state = self.state();
        let rank = match (state.is_used, state.is_known) {
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

    /// A panic while it was locked cannot leave it half-changed: nothing in between panics.
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
