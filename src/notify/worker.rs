//! Follows the ledger for one webhook and delivers its notifications. Each webhook has a worker of
//! its own, so a dead receiver delays no other webhook. Appends never wait for a worker.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use time::OffsetDateTime;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    delivery::{Failure, Receiver},
    kind::{self, NotificationKind},
    notification::Notification,
    outbox::{Next, Outbox, Saved, Settled},
    schedule::Schedule,
};
use crate::{
    ledger::{Event, tree::leaf_hash},
    store::Store,
};

/// The most deliveries to one receiver at a time.
const AT_ONCE: usize = 4;

/// The most leaves that one read returns.
const BATCH: u32 = 1000;

/// Delay after the ledger has grown, so that many passes cost one read.
const BREATH: Duration = Duration::from_millis(20);

/// Delay after a failure to read or write.
const PAUSE: Duration = Duration::from_secs(1);

/// A cursor that moved further than this is saved even if nothing else changed.
const UNSAVED: u64 = 10_000;

/// Grace period for deliveries under way when the daemon stops. Those that are not answered are
/// made again.
const GRACE: Duration = Duration::from_secs(1);

/// Deadline for the last write when the daemon stops: a database may not answer.
const LAST: Duration = Duration::from_secs(3);

/// The parts that a worker needs.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) receiver: Arc<Receiver>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) store: Store,
    pub(super) server: Arc<str>,
    pub(super) schedule: Schedule,
    pub(super) clock: fn() -> OffsetDateTime,
    pub(super) stop: CancellationToken,
}

/// The deliveries under way.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<Result<(), Failure>>,
    indices: HashMap<Id, u64>,
}

type Ended = Result<(Id, Result<(), Failure>), JoinError>;

impl Worker {
    /// Works until it is stopped or the store is closed. Of several servers one delivers at a time.
    pub(super) async fn run(self) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.outbox.become_deliverer(self.name(), &self.store) => {}
            }
            if !self.deliver_while_held().await {
                return;
            }
            tracing::info!(
                webhook = self.name(),
                "another server delivers this webhook"
            );
        }
    }

    /// Delivers until it is stopped, or until another server delivers; then returns true.
    async fn deliver_while_held(&self) -> bool {
        let mut under_way = UnderWay::default();
        let mut saved_cursor = self.cursor();
        let mut is_dirty = false;
        let mut renewed = Instant::now();
        loop {
            is_dirty |= self.take_in().await;
            let wait = self.start_due(&mut under_way);
            let cursor = self.cursor();
            let is_due = self.until_renewal(renewed).is_some_and(|it| it.is_zero());
            if is_dirty || is_due || cursor >= saved_cursor.saturating_add(UNSAVED) {
                renewed = Instant::now();
                match self.save(is_dirty || cursor != saved_cursor).await {
                    Some(Saved::Kept) => (is_dirty, saved_cursor) = (false, cursor),
                    // What is under way may be delivered twice.
                    Some(Saved::Lost) => return true,
                    // A row is written with the next renewal, and a file with the next change.
                    None if self.outbox.renewal(self.name()).is_some() => {}
                    None => (is_dirty, saved_cursor) = (false, cursor),
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(ended) = under_way.tasks.join_next_with_id() => {
                    self.settle(&mut under_way, ended);
                    is_dirty = true;
                }
                () = self.outbox.woken(self.name()) => is_dirty = true,
                () = sleep(wait.unwrap_or(PAUSE)), if wait.is_some() => (),
                () = sleep(self.until_renewal(renewed).unwrap_or(PAUSE)),
                    if self.outbox.renewal(self.name()).is_some() => (),
                is_open = self.grown(), if self.has_room() => {
                    if !is_open {
                        break;
                    }
                }
            }
        }
        self.finish(under_way).await;
        false
    }

    /// Time until the lease must be kept; none if there is none.
    fn until_renewal(&self, renewed: Instant) -> Option<Duration> {
        let interval = self.outbox.renewal(self.name())?;
        Some(interval.saturating_sub(renewed.elapsed()))
    }

    fn name(&self) -> &str {
        self.receiver.name()
    }

    fn cursor(&self) -> u64 {
        let cursor = self.outbox.look(self.name(), |mailbox| mailbox.cursor);
        cursor.unwrap_or(u64::MAX)
    }

    fn has_room(&self) -> bool {
        let room = self.outbox.look(self.name(), |mailbox| mailbox.has_room());
        room.unwrap_or(false)
    }

    /// Waits until the ledger grows. Returns false if it was closed.
    async fn grown(&self) -> bool {
        let cursor = self.cursor();
        let is_open = self.store.until(|| self.store.size() > cursor).await;
        sleep(BREATH).await;
        is_open
    }

    /// Puts the ledger's new events for this webhook into the mailbox. Returns true if the cursor
    /// moved.
    async fn take_in(&self) -> bool {
        let mut has_taken = false;
        while self.has_room() && self.cursor() < self.store.size() && !self.stop.is_cancelled() {
            let entries = match self.store.entries(self.cursor(), BATCH).await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(webhook = self.name(), %error, "failed to read the ledger");
                    sleep(PAUSE).await;
                    break;
                }
            };
            for (index, leaf) in entries {
                let told = self.told(&leaf);
                let now = (self.clock)();
                let taken = self.outbox.change(self.name(), |mailbox| match told {
                    _ if !mailbox.has_room() => None,
                    Some(kind) => {
                        mailbox.take(index, kind, now);
                        Some(true)
                    }
                    None => {
                        mailbox.pass_by(index);
                        Some(false)
                    }
                });
                match taken.flatten() {
                    Some(taken) => has_taken |= taken,
                    None => break,
                }
            }
        }
        has_taken
    }

    /// The kind of an event, if this webhook takes it.
    fn told(&self, leaf: &[u8]) -> Option<NotificationKind> {
        if !kind::may_be_told(leaf) {
            return None;
        }
        let event = Event::parse(leaf).ok()?;
        NotificationKind::of(&event.what).filter(|kind| self.receiver.takes(*kind))
    }

    /// Starts the deliveries that are due. Returns the time until the next one is.
    fn start_due(&self, under_way: &mut UnderWay) -> Option<Duration> {
        while under_way.tasks.len() < AT_ONCE && self.outbox.may_deliver(self.name()) {
            let indices: BTreeSet<u64> = under_way.indices.values().copied().collect();
            let now = (self.clock)();
            let next = self.outbox.look(self.name(), |mailbox| {
                mailbox.next(now, &self.schedule, &indices)
            });
            match next {
                Some(Next::Due(index)) => {
                    let delivery = self.clone().deliver(index);
                    let task = under_way.tasks.spawn(delivery);
                    under_way.indices.insert(task.id(), index);
                }
                Some(Next::In(wait)) => return Some(wait),
                Some(Next::Never) | None => return None,
            }
        }
        None
    }

    async fn deliver(self, index: u64) -> Result<(), Failure> {
        let unreadable = |error: String| Failure::Ledger(error);
        let entries = self.store.entries(index, 1).await;
        let entries = entries.map_err(|error| unreadable(error.to_string()))?;
        let Some((_, leaf)) = entries.into_iter().next() else {
            return Err(unreadable("the event is not there".to_owned()));
        };
        let event = Event::parse(&leaf).map_err(|error| unreadable(error.to_string()))?;
        match Notification::of(&event, &self.server) {
            // This process may have been stopped since the delivery was begun.
            Some(_) if !self.outbox.may_deliver(self.name()) => {
                Err(unreadable("another server delivers now".to_owned()))
            }
            Some(notification) => {
                let id = event_id(index, &leaf);
                self.receiver.tell(&id, &notification, (self.clock)()).await
            }
            None => Ok(()),
        }
    }

    /// Records the result of an attempt.
    fn settle(&self, under_way: &mut UnderWay, ended: Ended) {
        let (task, outcome) = match ended {
            Ok(ended) => ended,
            Err(panicked) => {
                let failure = Failure::Connection("the delivery panicked".to_owned());
                (panicked.id(), Err(failure))
            }
        };
        let Some(index) = under_way.indices.remove(&task) else {
            return;
        };
        let (name, now) = (self.name(), (self.clock)());
        if outcome.is_err() && !self.outbox.may_deliver(name) {
            return;
        }
        let settled = match &outcome {
            Ok(()) => {
                self.outbox.change(name, |mailbox| mailbox.deliver(index));
                "delivered"
            }
            Err(failure) => {
                let error = failure.to_string();
                let settled = self.outbox.change(name, |mailbox| {
                    mailbox.fail(index, &error, &self.schedule, name, now)
                });
                match settled {
                    Some(Settled::Dead) => {
                        tracing::error!(webhook = name, index, error, "a webhook was given up");
                        "dead"
                    }
                    Some(Settled::Again) | None => {
                        tracing::warn!(webhook = name, index, error, "a webhook failed");
                        "failed"
                    }
                }
            }
        };
        count(name, settled);
    }

    /// Records the deliveries that are answered soon. The rest are made again at the next start.
    async fn finish(&self, mut under_way: UnderWay) {
        let answers = async {
            while let Some(ended) = under_way.tasks.join_next_with_id().await {
                self.settle(&mut under_way, ended);
            }
        };
        // The others are still pending.
        let _ = tokio::time::timeout(GRACE, answers).await;
        let last = async {
            self.save(true).await;
            self.outbox.release(self.name()).await;
        };
        let _ = tokio::time::timeout(LAST, last).await;
    }

    /// Returns none if the mailbox could not be written.
    async fn save(&self, is_dirty: bool) -> Option<Saved> {
        match self
            .outbox
            .save(self.name(), is_dirty, (self.clock)())
            .await
        {
            Ok(saved) => Some(saved),
            Err(error) => {
                tracing::error!(%error, "failed to write the mailboxes: a crash now would deliver some webhooks twice");
                None
            }
        }
    }
}

/// The id of a delivery: the beginning of the event's leaf hash, and its index. It is the same at
/// every attempt and after every restart.
fn event_id(index: u64, leaf: &[u8]) -> String {
    let mut hash = base16ct::lower::encode_string(&leaf_hash(leaf));
    hash.truncate(16);
    format!("evt_{hash}_{index}")
}

pub(super) fn count(webhook: &str, outcome: &'static str) {
    let webhook = webhook.to_owned();
    metrics::counter!("daypass_webhook_deliveries_total", "webhook" => webhook, "outcome" => outcome)
        .increment(1);
}
