//! The events that found ones are about: a revocation is of a person by the passes that it ended.

use std::collections::BTreeMap;

use crate::{
    ledger::{
        Event,
        search::{Question, about},
    },
    operations::{authority::Authority, error::Error},
};

/// An event that is about more than this is looked at alone.
const FEW: usize = 3;

/// Indices that the search index is asked about at once, and that are read at once.
const ASKED: usize = 1000;

/// Of the passes that an event ended, those that are read at once: one that fits is enough.
const READ: usize = 32;

/// The events that those of one page are about, as far as these are few.
pub(super) struct Lenders(BTreeMap<u64, Event>);

impl Lenders {
    /// Reads those of the events that the question does not find by themselves.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be read.
    pub(super) async fn read(
        authority: &Authority,
        question: &Question,
        events: impl Iterator<Item = &Event>,
    ) -> Result<Self, Error> {
        let few = events.map(|event| (event, about(event)));
        let few = few.filter(|(_, about)| !about.is_empty() && about.len() <= FEW);
        let unclear = few.filter(|(it, _)| question.may_match(it) && !question.matches(it));
        let mut wanted: Vec<u64> = unclear.flat_map(|(_, about)| about).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut lenders = BTreeMap::new();
        for wanted in wanted.chunks(ASKED) {
            lenders.extend(read(authority, wanted).await?);
        }
        Ok(Self(lenders))
    }

    /// Whether an event is about so many others that checking it may take long.
    pub(super) fn are_many(event: &Event) -> bool {
        about(event).len() > FEW
    }

    /// Whether an event fits with one of those that it is about.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be read.
    pub(super) async fn fit(
        &self,
        authority: &Authority,
        question: &Question,
        event: &Event,
    ) -> Result<bool, Error> {
        let about = about(event);
        if about.is_empty() || !question.may_match(event) {
            return Ok(false);
        }
        if about.len() <= FEW {
            let mut lenders = about.iter().filter_map(|at| self.0.get(at));
            return Ok(lenders.any(|lender| question.matches_about(event, lender)));
        }
        let lacking = question.lacking(event);
        for about in about.rchunks(ASKED) {
            let about = about.iter().rev().copied().collect();
            let about = authority.store.having(&lacking, about).await;
            for about in about.chunks(READ) {
                let lenders = read(authority, about).await?;
                let mut lenders = lenders.iter().map(|(_, lender)| lender);
                if lenders.any(|lender| question.matches_about(event, lender)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// An event of another kind than this version knows lends nothing.
async fn read(authority: &Authority, indices: &[u64]) -> Result<Vec<(u64, Event)>, Error> {
    let leaves = authority.store.leaves(indices).await?.into_iter();
    let known = leaves.filter_map(|(at, leaf)| Some((at, Event::parse(&leaf).ok()?)));
    Ok(known.collect())
}
