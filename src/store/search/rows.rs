//! The rows that events have in the search index. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{
    Event,
    search::{Term, about, closed_review, lent, terms, validity},
};

/// Events of one row of `span`, for each level: a question reads the few large blocks, and the
/// small ones of those alone that fit in part.
pub(super) const BLOCKS: [u64; 2] = [SMALL, SMALL * SMALL_IN_LARGE];

const SMALL: u64 = 256;

/// Small blocks of a large one.
pub(super) const SMALL_IN_LARGE: u64 = 256;

/// Events about which others are that are read at once.
const LENDERS: usize = 256;

/// Bounds of the events of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The earliest and the latest time.
    pub(super) low: i64,
    pub(super) high: i64,
    /// The earliest start of a pass and the latest end of one.
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    fn of(event: &Event) -> Self {
        let at = event.at.unix_timestamp();
        let (first, last) = validity(event).unwrap_or((u64::MAX, 0));
        Self {
            low: at,
            high: at,
            first: i64::try_from(first).unwrap_or(i64::MAX),
            last: i64::try_from(last).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// The rows of some events.
#[derive(Default)]
pub(super) struct Rows {
    /// Terms and positions.
    pub(super) postings: Vec<(i64, u64)>,
    /// Emergencies of which reviews were closed.
    pub(super) closed: Vec<u64>,
    /// By level and block.
    pub(super) spans: BTreeMap<(i64, u64), Span>,
    /// Earlier events that lend their terms, and the events about them. The terms of the others are
    /// in the postings.
    pub(super) lenders: BTreeSet<(u64, u64)>,
}

impl Rows {
    pub(super) fn of(entries: &[(u64, Vec<u8>)]) -> Self {
        // Leaves of no known event have no terms: nothing finds them.
        let known = |(position, leaf): &(u64, Vec<u8>)| Some((*position, Event::parse(leaf).ok()?));
        let events: Vec<_> = entries.iter().filter_map(known).collect();
        Self::at(events.iter().map(|(position, event)| (*position, event)))
    }

    /// The rows of events that are at the place in the ledger that they say.
    pub(super) fn of_events<'a>(events: impl Iterator<Item = &'a Event>) -> Self {
        Self::at(events.map(|event| (event.index, event)))
    }

    fn at<'a>(events: impl Iterator<Item = (u64, &'a Event)>) -> Self {
        let mut rows = Self::default();
        let events: BTreeMap<u64, &Event> = events.collect();
        for (position, event) in &events {
            let position = *position;
            let terms = terms(event);
            if terms.contains(&Term::emergency()) {
                rows.postings.push((Term::unreviewed().0, position));
            }
            rows.postings
                .extend(terms.iter().map(|term| (term.0, position)));
            rows.closed.extend(closed_review(event));
            for lender in about(event) {
                match events.get(&lender) {
                    Some(lender) => rows.lend(lender, position),
                    None => drop(rows.lenders.insert((lender, position))),
                }
            }
            let span = Span::of(event);
            for (level, events) in (0..).zip(BLOCKS) {
                let block = rows.spans.entry((level, position / events));
                let block = block.or_insert(span);
                *block = block.join(span);
            }
        }
        rows.sort();
        rows
    }

    fn lend(&mut self, lender: &Event, position: u64) {
        let lent = lent(lender).into_iter();
        self.postings.extend(lent.map(|term| (term.0, position)));
    }

    /// In the order of the table.
    fn sort(&mut self) {
        self.postings.sort_unstable();
        self.postings.dedup();
    }

    /// Adds the terms of lenders that are in the ledger. `leaves` reads at most [`LENDERS`].
    pub(super) async fn complete<E, F>(&mut self, leaves: impl Fn(Vec<u64>) -> F) -> Result<(), E>
    where
        F: Future<Output = Result<Vec<(u64, Vec<u8>)>, E>>,
    {
        if self.lenders.is_empty() {
            return Ok(());
        }
        let lenders = std::mem::take(&mut self.lenders);
        let mut wanted: Vec<u64> = lenders.iter().map(|(lender, _)| *lender).collect();
        wanted.dedup();
        for wanted in wanted.chunks(LENDERS) {
            for (lender, leaf) in leaves(wanted.to_vec()).await? {
                let Ok(event) = Event::parse(&leaf) else {
                    continue;
                };
                for (_, position) in lenders.range((lender, 0)..=(lender, u64::MAX)) {
                    self.lend(&event, *position);
                }
            }
            // A revocation of many passes lends few different terms.
            self.sort();
        }
        Ok(())
    }
}
