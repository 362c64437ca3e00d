//! One webhook's deliveries: its cursor in the ledger, its pending deliveries and its dead letters.
//! Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::notify::{kind::NotificationKind, schedule::Schedule};

/// The most pending deliveries. Later events stay in the ledger, after the cursor.
const WINDOW: usize = 1000;

/// The number of attempts (a few minutes) after which a delivery becomes a dead letter early, if
/// the window is full and new deliveries wait.
const ENOUGH: u32 = 8;

/// The most dead letters. The newest are kept.
const DEAD: usize = 1000;

/// One webhook's deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::notify) struct Mailbox {
    /// The first event that was not read.
    pub(in crate::notify) cursor: u64,
    /// The number of deliveries that were taken.
    pub(in crate::notify) delivered: u64,
    /// The pending deliveries, by the event's index.
    pub(in crate::notify) pending: BTreeMap<u64, QueuedDelivery>,
    /// The dead letters, oldest first.
    pub(in crate::notify) dead: VecDeque<DeadLetter>,
    /// The last failure, until the next success.
    pub(in crate::notify) last_error: Option<String>,
}

/// A pending delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::notify) struct QueuedDelivery {
    #[serde(rename = "type")]
    kind: NotificationKind,
    attempts: u32,
    #[serde(with = "time::serde::rfc3339")]
    next: OffsetDateTime,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeadLetter {
    /// The event.
    pub index: u64,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: NotificationKind,
    /// The number of attempts.
    pub attempts: u32,
    /// The failure of the last attempt.
    pub error: String,
    /// The time of the last attempt.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// A choice of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// That of one event.
    Index(u64),
    /// All of them.
    All,
}

/// When the next delivery is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notify) enum Next {
    /// This delivery, now.
    Due(u64),
    /// A delivery, after this time.
    In(std::time::Duration),
    /// No delivery is pending.
    Never,
}

/// The result of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notify) enum Settled {
    /// It waits for another attempt.
    Again,
    /// It was the last attempt.
    Dead,
}

impl Mailbox {
    pub(super) fn starting_at(cursor: u64) -> Self {
        Self {
            cursor,
            ..Self::default()
        }
    }

    /// Drops deliveries beyond the ledger's end.
    pub(super) fn keep_below(&mut self, size: u64) {
        self.cursor = self.cursor.min(size);
        self.pending.retain(|index, _| *index < size);
        self.dead.retain(|dead| dead.index < size);
    }

    /// True if the window has room.
    pub(in crate::notify) fn has_room(&self) -> bool {
        self.pending.len() < WINDOW
    }

    /// Skips an event that this webhook does not take.
    pub(in crate::notify) fn pass_by(&mut self, index: u64) {
        self.cursor = self.cursor.max(index.saturating_add(1));
    }

    /// Adds a delivery of an event.
    pub(in crate::notify) fn take(
        &mut self,
        index: u64,
        kind: NotificationKind,
        now: OffsetDateTime,
    ) {
        let pending = QueuedDelivery {
            kind,
            attempts: 0,
            next: now,
        };
        self.pending.insert(index, pending);
        self.pass_by(index);
    }

    /// The delivery that is due, not `under_way` and tried least often (of these the oldest), or
    /// the time until one is due. So a delivery that a receiver refuses again and again delays no
    /// new one.
    pub(in crate::notify) fn next(
        &self,
        now: OffsetDateTime,
        schedule: &Schedule,
        under_way: &BTreeSet<u64>,
    ) -> Next {
        let mut soonest = None;
        let mut due: Option<(u32, u64)> = None;
        for (index, pending) in &self.pending {
            if under_way.contains(index) {
                continue;
            }
            let wait = std::time::Duration::try_from(pending.next - now).unwrap_or_default();
            if wait.is_zero() || wait > schedule.longest() {
                let this = (pending.attempts, *index);
                due = Some(due.map_or(this, |least| least.min(this)));
                continue;
            }
            soonest = Some(soonest.map_or(wait, |least: std::time::Duration| least.min(wait)));
        }
        match due {
            Some((_, index)) => Next::Due(index),
            None => soonest.map_or(Next::Never, Next::In),
        }
    }

    /// Records a successful attempt.
    pub(in crate::notify) fn deliver(&mut self, index: u64) {
        if self.pending.remove(&index).is_some() {
            self.delivered += 1;
        }
        self.last_error = None;
    }

    /// Records a failed attempt. `of` spreads the delays.
    pub(in crate::notify) fn fail(
        &mut self,
        index: u64,
        error: &str,
        schedule: &Schedule,
        of: &str,
        now: OffsetDateTime,
    ) -> Settled {
        self.last_error = Some(error.to_owned());
        let is_full = !self.has_room();
        let Some(pending) = self.pending.get_mut(&index) else {
            return Settled::Again;
        };
        pending.attempts += 1;
        let blocks_others = is_full && pending.attempts >= ENOUGH;
        if !blocks_others && let Some(wait) = schedule.wait(pending.attempts, &(of, index)) {
            pending.next = now + wait;
            return Settled::Again;
        }
        let (kind, attempts) = (pending.kind, pending.attempts);
        self.pending.remove(&index);
        self.dead.push_back(DeadLetter {
            index,
            kind,
            attempts,
            error: error.to_owned(),
            at: now,
        });
        while self.dead.len() > DEAD {
            self.dead.pop_front();
        }
        Settled::Dead
    }

    /// Makes dead letters pending again, with no attempts. Returns their number.
    pub(in crate::notify) fn revive(&mut self, which: Which, now: OffsetDateTime) -> u64 {
        let (chosen, kept): (VecDeque<_>, VecDeque<_>) =
            self.dead.drain(..).partition(|dead| match which {
                Which::Index(index) => dead.index == index,
                Which::All => true,
            });
        self.dead = kept;
        let count = chosen.len() as u64;
        for DeadLetter { index, kind, .. } in chosen {
            let pending = QueuedDelivery {
                kind,
                attempts: 0,
                next: now,
            };
            self.pending.insert(index, pending);
        }
        count
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-22 15:32:51 UTC);

    fn schedule() -> Schedule {
        Schedule {
            attempts: 2,
            ..Schedule::default()
        }
    }

    fn next(mailbox: &Mailbox, now: OffsetDateTime) -> Next {
        mailbox.next(now, &schedule(), &BTreeSet::new())
    }

    #[test]
    fn a_delivery_waits_is_tried_again_and_given_up() {
        let mut mailbox = Mailbox::starting_at(3);
        assert_eq!(next(&mailbox, NOW), Next::Never);
        mailbox.pass_by(3);
        mailbox.take(4, NotificationKind::Locked, NOW);
        assert_eq!((mailbox.cursor, next(&mailbox, NOW)), (5, Next::Due(4)));
        let under_way = BTreeSet::from([4]);
        assert_eq!(mailbox.next(NOW, &schedule(), &under_way), Next::Never);

        let settled = mailbox.fail(4, "answered 500", &schedule(), "chat", NOW);
        assert_eq!(settled, Settled::Again);
        assert!(matches!(next(&mailbox, NOW), Next::In(wait) if wait > Duration::from_millis(700)));
        let later = NOW + Duration::from_secs(2);
        assert_eq!(next(&mailbox, later), Next::Due(4));
        let back = NOW - Duration::from_secs(3600);
        assert_eq!(next(&mailbox, back), Next::Due(4), "the clock was set back");

        let settled = mailbox.fail(4, "answered 502", &schedule(), "chat", later);
        assert_eq!(settled, Settled::Dead);
        let dead = mailbox.dead.front().unwrap();
        assert_eq!((dead.index, dead.attempts), (4, 2));
        assert_eq!(dead.error, "answered 502");

        assert_eq!(mailbox.revive(Which::Index(9), later), 0);
        assert_eq!(mailbox.revive(Which::Index(4), later), 1);
        assert_eq!(next(&mailbox, later), Next::Due(4));
        mailbox.deliver(4);
        assert_eq!((mailbox.delivered, mailbox.last_error.clone()), (1, None));
        assert!(mailbox.pending.is_empty() && mailbox.dead.is_empty());
    }

    #[test]
    fn one_that_waits_long_delays_no_other() {
        let mut mailbox = Mailbox::default();
        mailbox.take(1, NotificationKind::Locked, NOW);
        mailbox.fail(1, "no", &schedule(), "chat", NOW);
        mailbox.take(2, NotificationKind::Locked, NOW);
        assert_eq!(next(&mailbox, NOW), Next::Due(2));
    }

    #[test]
    fn everything_is_bounded() {
        let mut mailbox = Mailbox::default();
        let once = Schedule {
            attempts: 1,
            ..Schedule::default()
        };
        for index in 0..DEAD as u64 + 5 {
            mailbox.take(index, NotificationKind::Locked, NOW);
            mailbox.fail(index, "no", &once, "chat", NOW);
        }
        assert_eq!(mailbox.dead.len(), DEAD);
        assert_eq!(mailbox.dead.front().map(|dead| dead.index), Some(5));
        assert_eq!(mailbox.revive(Which::All, NOW), DEAD as u64);
        assert!(!mailbox.has_room());
    }

    #[test]
    fn what_another_ledger_had_is_forgotten() {
        let mut mailbox = Mailbox::starting_at(9);
        mailbox.take(8, NotificationKind::Locked, NOW);
        mailbox.keep_below(5);
        assert_eq!(mailbox, Mailbox::starting_at(5));
    }

    #[test]
    fn what_is_refused_for_long_makes_room_in_a_full_window_and_new_ones_go_first() {
        let mut mailbox = Mailbox::starting_at(0);
        for index in 0..WINDOW as u64 {
            mailbox.take(index, NotificationKind::Locked, NOW);
        }
        let schedule = Schedule::default();
        for attempt in 1..ENOUGH {
            let settled = mailbox.fail(0, "answered 403", &schedule, "chat", NOW);
            assert_eq!(settled, Settled::Again, "{attempt}");
        }
        let later = NOW + Duration::from_secs(900);
        assert_eq!(
            mailbox.next(later, &schedule, &BTreeSet::new()),
            Next::Due(1)
        );
        let settled = mailbox.fail(0, "answered 403", &schedule, "chat", later);
        assert_eq!(settled, Settled::Dead);
        assert!(mailbox.has_room());
    }
}
