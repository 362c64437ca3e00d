//! Searches the ledger, for the auditors whom the policy's `[audit]` names.
//!
//! The search index only proposes events, and what it lacks is proposed too. Each one is read from
//! the ledger and checked against the filter. One call works for a bounded time; the answer says
//! from which event on it is complete.

use std::{collections::BTreeSet, time::Duration};

use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    audit::{MAX_PAGE_BYTES, check_may_audit},
    authority::Authority,
    error::Error,
};
use crate::{
    identity::Identity,
    ledger::{
        Event, EventKind,
        near::near,
        search::{Question, Term},
        state::State,
    },
};

/// Identities of one name that are searched.
const IDENTITIES: usize = 256;

/// Proposed events that are read at once.
const READ: usize = 256;

/// The time after which a search ends with what it has.
const BUDGET: Duration = Duration::from_millis(80);

/// Requests whose approvals are looked up for one answer.
const REQUESTS: usize = 200;

/// Conditions on events. All that are set must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// A subject, label or key fingerprint.
    pub(crate) who: Option<String>,
    pub(crate) role: Option<String>,
    /// A host, a host group or a bastion.
    pub(crate) host: Option<String>,
    /// Kinds of event, of which one must fit. Empty: any.
    pub(crate) kinds: Vec<String>,
    /// A part of a reason or comment.
    pub(crate) reason: Option<String>,
    pub(crate) since: Option<OffsetDateTime>,
    pub(crate) until: Option<OffsetDateTime>,
    /// Passes that are valid between these times, in Unix seconds.
    pub(crate) valid: Option<(u64, u64)>,
    /// Emergencies whose review is not closed.
    pub(crate) unreviewed: bool,
    /// Events that name the event of this index.
    pub(crate) about: Option<u64>,
}

/// Events that fit, newest first.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<(u64, Vec<u8>)>,
    /// The ledger's size when the search began.
    pub(crate) size: u64,
    /// The search is complete from this index on.
    pub(crate) searched_from: u64,
    /// Approvals of the requests that listed passes redeemed.
    pub(crate) approvals: Vec<Vec<u8>>,
    /// Names near `who`, if nothing was found and the ledger has seen no such name.
    pub(crate) unknown_who: Option<Vec<String>>,
    /// Names near `role`, if nothing was found and the policy has no such role.
    pub(crate) unknown_role: Option<Vec<String>>,
}

/// Searches from index `from` down for at most `limit` events.
///
/// # Errors
/// Returns [`Error::AuditDenied`] if the policy's `[audit]` does not name this identity, and
/// [`Error::Store`] if the ledger cannot be read.
pub(crate) async fn search(
    authority: &Authority,
    identity: &Identity,
    filter: &Filter,
    (from, limit): (u64, usize),
) -> Result<Page, Error> {
    check_may_audit(authority, identity)?;
    authority.store.follow().await?;
    let (size, begun) = (authority.store.size(), Instant::now());
    let question = question(authority, filter);
    let (mut entries, mut requests) = (Vec::new(), BTreeSet::new());
    let (mut bytes, mut next) = (0_usize, from);
    let searched_from = 'search: loop {
        let room = READ.max(limit).min(1000);
        let found = authority.store.find(&question, (next, size), room).await;
        for (at, leaf) in authority.store.leaves(&found.positions).await? {
            let event = Event::parse(&leaf).ok();
            let fits = |event: &Event| question.matches(event);
            let is_open = |event: &Event| !filter.unreviewed || has_open_review(authority, event);
            let Some(event) = event.filter(fits).filter(is_open) else {
                continue;
            };
            bytes = bytes.saturating_add(leaf.len());
            let is_full = entries.len() >= limit || bytes > MAX_PAGE_BYTES;
            if is_full && !entries.is_empty() {
                break 'search at.saturating_add(1);
            }
            requests.extend(redeemed(&event));
            entries.push((at, leaf));
        }
        match found.next {
            None => break 0,
            Some(rest) if begun.elapsed() > BUDGET => break rest.saturating_add(1),
            Some(rest) => next = rest,
        }
    };
    let approvals = approvals(authority, &requests, size).await?;
    let is_nothing = entries.is_empty() && searched_from == 0;
    let named = |name: &Option<String>| name.clone().filter(|_| is_nothing);
    Ok(Page {
        entries,
        size,
        searched_from,
        approvals,
        unknown_who: named(&filter.who).and_then(|name| near_people(authority, &name)),
        unknown_role: named(&filter.role).and_then(|name| near_roles(authority, &name)),
    })
}

/// The ledger's state knows each open review.
fn has_open_review(authority: &Authority, event: &Event) -> bool {
    authority.store.state(|state| {
        let review = state.request(event.index);
        review.is_some_and(|review| review.state(event.at) == State::ReviewOpen)
    })
}

/// Names near an unknown one of a person. Keys are not names.
fn near_people(authority: &Authority, name: &str) -> Option<Vec<String>> {
    if name.starts_with("SHA256:") {
        return None;
    }
    authority.store.state(|state| {
        let is_unknown = state.called(name).is_empty();
        is_unknown.then(|| state.near_people(name))
    })
}

/// Names near one of no role in force. Roles of earlier policies are not known.
fn near_roles(authority: &Authority, name: &str) -> Option<Vec<String>> {
    let policy = authority.policy();
    let roles = || policy.roles().iter().map(|role| role.name.as_str());
    let is_unknown = roles().all(|role| role != name);
    is_unknown.then(|| near(name, roles()))
}

fn question(authority: &Authority, filter: &Filter) -> Question {
    let mut groups = Vec::new();
    if let Some(name) = &filter.who {
        let called = authority.store.state(|state| state.called(name));
        let called = called.iter().take(IDENTITIES);
        let identities = called.map(|one| Term::identity(&one.issuer, &one.subject));
        groups.push(
            identities
                .chain([Term::name(name), Term::key(name)])
                .collect(),
        );
    }
    groups.extend(filter.role.iter().map(|role| vec![Term::role(role)]));
    groups.extend(filter.host.iter().map(|host| vec![Term::host(host)]));
    groups.extend(filter.about.map(|index| vec![Term::about(index)]));
    if filter.unreviewed {
        groups.push(vec![Term::unreviewed()]);
        groups.push(vec![Term::emergency()]);
    }
    if !filter.kinds.is_empty() {
        let kinds: BTreeSet<_> = filter.kinds.iter().map(|kind| Term::kind(kind)).collect();
        groups.push(kinds.into_iter().collect());
    }
    if filter.valid.is_some() {
        groups.push(vec![Term::kind("issued")]);
    }
    Question {
        groups,
        since: filter.since,
        until: filter.until,
        valid: filter.valid,
        reason: filter.reason.clone(),
    }
}

/// The request that a pass redeemed.
fn redeemed(event: &Event) -> Option<u64> {
    let EventKind::Issued(issued) = &event.what else {
        return None;
    };
    issued.ask.request
}

async fn approvals(
    authority: &Authority,
    requests: &BTreeSet<u64>,
    size: u64,
) -> Result<Vec<Vec<u8>>, Error> {
    // The newest ones, which are listed first.
    let wanted: Vec<_> = requests.iter().rev().take(REQUESTS).copied().collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let about = wanted.iter().map(|request| Term::about(*request)).collect();
    let question = Question {
        groups: vec![about, vec![Term::kind("approved")]],
        ..Question::default()
    };
    let is_approval = |leaf: &[u8]| match Event::parse(leaf).map(|event| event.what) {
        Ok(EventKind::Approved(decided)) => wanted.contains(&decided.request),
        Ok(_) | Err(_) => false,
    };
    // An approval is behind its request.
    let lowest = wanted.last().copied().unwrap_or_default();
    let (found, _) = found(authority, &question, (lowest, size), BUDGET).await?;
    let leaves = found.into_iter().map(|(_, leaf)| leaf);
    Ok(leaves.filter(|leaf| is_approval(leaf)).collect())
}

/// The events from index `lowest` to below `size` that fit the question, newest first. None if
/// they are not found in time.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(super) async fn every_event(
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
