//! Events that were committed a moment ago, as the writer had them, for the search index: it need
//! not read and parse them again. It reads the ledger when they are not here.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use crate::ledger::{Event, tree::Hash};

/// Most bytes of leaves that are kept. Parsed events take a few times as much.
const LIMIT: usize = 2 * 1024 * 1024;

/// An event in the ledger.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) event: Event,
    /// Its leaf's hash and length.
    pub(super) digest: Hash,
    pub(super) length: usize,
}

/// The newest events in order, bounded. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Committed>,
    /// Bytes of their leaves.
    bytes: usize,
}

impl Recent {
    /// Keeps these events and drops the oldest ones beyond the bound.
    pub(super) fn put(&self, committed: impl Iterator<Item = Committed>) {
        let mut kept = self.0.lock();
        for one in committed {
            kept.bytes += one.length;
            kept.events.push_back(one);
        }
        while kept.bytes > LIMIT && kept.pop().is_some() {}
    }

    /// Takes at most `most` events from index `from` on, without a gap. Drops earlier ones.
    pub(super) fn take(&self, from: u64, most: u64) -> Vec<Committed> {
        let mut kept = self.0.lock();
        let mut taken = Vec::new();
        for next in from..from.saturating_add(most) {
            while kept.first().is_some_and(|first| first < next) {
                kept.pop();
            }
            if kept.first() != Some(next) {
                break;
            }
            taken.extend(kept.pop());
        }
        taken
    }
}

impl Kept {
    fn first(&self) -> Option<u64> {
        self.events.front().map(|first| first.event.index)
    }

    fn pop(&mut self) -> Option<Committed> {
        let first = self.events.pop_front()?;
        self.bytes -= first.length;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::ledger::EventKind;

    fn committed(index: u64, length: usize) -> Committed {
        Committed {
            event: Event {
                index,
                at: OffsetDateTime::UNIX_EPOCH,
                what: EventKind::Skipped,
            },
            digest: Hash::default(),
            length,
        }
    }

    fn indices(taken: &[Committed]) -> Vec<u64> {
        taken.iter().map(|one| one.event.index).collect()
    }

    #[test]
    fn events_are_taken_in_order_and_only_up_to_a_gap() {
        let recent = Recent::default();
        recent.put([3, 4, 5, 7, 8].into_iter().map(|at| committed(at, 1)));
        assert!(recent.take(2, 10).is_empty(), "2 is not here");
        assert_eq!(indices(&recent.take(4, 1)), [4]);
        assert_eq!(indices(&recent.take(5, 10)), [5]);
        assert!(recent.take(6, 10).is_empty(), "6 is not here");
        assert_eq!(indices(&recent.take(7, 10)), [7, 8]);
        assert_eq!(recent.0.lock().bytes, 0);
    }

    #[test]
    fn the_oldest_events_are_dropped_beyond_the_bound() {
        let recent = Recent::default();
        recent.put((0..10).map(|at| committed(at, LIMIT / 4)));
        assert!(recent.take(5, 10).is_empty());
        assert_eq!(indices(&recent.take(6, 10)), [6, 7, 8, 9]);
    }
}
