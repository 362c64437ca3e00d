//! What an answer needs besides the events that fit: approvals, and the ends of passes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    ledger::{
        Event, EventKind,
        search::{Question, Term, terms},
    },
    operations::{authority::Authority, error::Error},
    unix_seconds::UnixSeconds,
};

/// The time after which a look-up ends with what it has.
const BUDGET: Duration = Duration::from_millis(80);

/// Requests or passes that are looked up at once: those of one answer.
const MOST: usize = 1000;

/// The request that a pass redeemed.
pub(super) fn redeemed(event: &Event) -> Option<u64> {
    let EventKind::Issued(issued) = &event.what else {
        return None;
    };
    issued.ask.request
}

/// The approvals of these requests, and whether these are all.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(super) async fn approvals(
    authority: &Authority,
    requests: &BTreeSet<u64>,
    size: u64,
) -> Result<(Vec<Vec<u8>>, bool), Error> {
    // The newest ones, which are listed first.
    let wanted: Vec<_> = requests.iter().rev().take(MOST).copied().collect();
    // An approval is behind its request.
    let Some(lowest) = wanted.last().copied() else {
        return Ok((Vec::new(), true));
    };
    let about = wanted.iter().map(|request| Term::about(*request)).collect();
    let question = Question {
        groups: vec![about, vec![Term::kind("approved")]],
        ..Question::default()
    };
    let is_approval = |leaf: &[u8]| match Event::parse(leaf).map(|event| event.what) {
        Ok(EventKind::Approved(decided)) => requests.contains(&decided.request),
        Ok(_) | Err(_) => false,
    };
    let (found, is_all) = found(authority, &question, (lowest, size), BUDGET).await?;
    let leaves = found.into_iter().map(|(_, leaf)| leaf);
    let approvals = leaves.filter(|leaf| is_approval(leaf)).collect();
    Ok((approvals, is_all && requests.len() <= MOST))
}

/// The first second in which each of these passes was revoked from its beginning on, and whether
/// all revocations were found.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(super) async fn ends(
    authority: &Authority,
    passes: impl Iterator<Item = u64>,
    size: u64,
) -> Result<(BTreeMap<u64, u64>, bool), Error> {
    // The ledger state forgets a pass some time after its end.
    let wanted: Vec<u64> = authority.store.state(|state| {
        let is_valid = |serial: u64| state.pass(serial).is_some_and(|pass| !pass.is_revoked);
        passes
            .filter(|serial| !is_valid(*serial))
            .take(MOST)
            .collect()
    });
    let Some(lowest) = wanted.iter().min().copied() else {
        return Ok((BTreeMap::new(), true));
    };
    let about = wanted.iter().map(|serial| Term::about(*serial)).collect();
    let kinds = ["revoked", "locked", "signing_failed"];
    let question = Question {
        groups: vec![about, kinds.map(Term::kind).to_vec()],
        ..Question::default()
    };
    let (found, is_all) = found(authority, &question, (lowest, size), BUDGET).await?;
    let mut ends = BTreeMap::new();
    // Newest first: of several events, the first one counts.
    for (_, leaf) in found {
        let Ok(event) = Event::parse(&leaf) else {
            continue;
        };
        let at = first_second(&event);
        if let EventKind::SigningFailed { serial, .. } = event.what {
            ends.insert(serial, at);
        } else {
            let (serials, _) = event.what.came_to();
            ends.extend(serials.into_iter().map(|serial| (serial, at)));
        }
    }
    Ok((ends, is_all))
}

/// The first second that begins at the event or after it: before, what it ended still held.
fn first_second(event: &Event) -> u64 {
    let second = UnixSeconds::from(event.at).get();
    second.saturating_add(u64::from(event.at.nanosecond() > 0))
}

/// Whether an event has this term. True if that is not found in time.
pub(super) async fn is_seen(authority: &Authority, term: Term) -> Result<bool, Error> {
    let question = Question {
        groups: vec![vec![term]],
        ..Question::default()
    };
    let size = authority.store.size();
    let found = authority.store.find(&question, (size, size), MOST).await;
    if found.next.is_some() {
        return Ok(true);
    }
    let leaves = authority.store.leaves(&found.positions).await?;
    let has = |leaf: &[u8]| Event::parse(leaf).is_ok_and(|event| terms(&event).contains(&term));
    Ok(leaves.iter().any(|(_, leaf)| has(leaf)))
}

/// The events from index `lowest` to below `size` that fit the question, newest first. None if
/// they are not found in time.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(in crate::operations) async fn every_event(
    authority: &Authority,
    question: &Question,
    range: (u64, u64),
    budget: Duration,
) -> Result<Option<Vec<(u64, Vec<u8>)>>, Error> {
    let (mut found, is_all) = found(authority, question, range, budget).await?;
    let fits = |leaf: &[u8]| Event::parse(leaf).is_ok_and(|event| question.matches(&event));
    found.retain(|(_, leaf)| fits(leaf));
    Ok(is_all.then_some(found))
}

/// The events that the index proposes, and whether these are all.
async fn found(
    authority: &Authority,
    question: &Question,
    (lowest, size): (u64, u64),
    budget: Duration,
) -> Result<(Vec<(u64, Vec<u8>)>, bool), Error> {
    let (mut found, mut next, begun) = (Vec::new(), Some(size), Instant::now());
    while let Some(from) = next.filter(|next| *next > lowest) {
        if begun.elapsed() >= budget && from < size {
            return Ok((found, false));
        }
        let proposed = authority.store.find(question, (from, size), 1000).await;
        found.extend(authority.store.leaves(&proposed.positions).await?);
        next = proposed.next;
    }
    Ok((found, true))
}
