//! Searches the ledger, for the auditors whom the policy's `[audit]` names.
//!
//! The search index only proposes events, and what it lacks is proposed too. Each one is read from
//! the ledger and checked against the filter. One call works for a bounded time; the answer says
//! from which event on it is complete.

mod lenders;
mod lookups;
mod names;

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
        Event,
        search::{AtHost, Question, Term},
        state::State,
    },
};
use lenders::Lenders;
pub(super) use lookups::every_event;
use lookups::{approvals, ends, redeemed};

/// Proposed events that are read at once.
const READ: usize = 256;

/// The time after which a search ends with what it has.
const BUDGET: Duration = Duration::from_millis(80);

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
    /// With a host: passes with plain logins too.
    pub(crate) plain_logins: bool,
}

/// Events that fit, newest first.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) entries: Vec<(u64, Vec<u8>)>,
    /// The ledger's size when the search began.
    pub(crate) size: u64,
    /// The search is complete from this index on.
    pub(crate) searched_from: u64,
    /// Approvals of the requests that listed passes redeemed.
    pub(crate) approvals: Vec<Vec<u8>>,
    /// Names near `who`, if nothing was found and no event has such a name.
    pub(crate) unknown_who: Option<Vec<String>>,
    /// Names near `role`, if nothing was found and neither the policy nor an event has such a role.
    pub(crate) unknown_role: Option<Vec<String>>,
    /// Names near `host`, as for `role`.
    pub(crate) unknown_host: Option<Vec<String>>,
    /// Whether approvals may be missing.
    pub(crate) approvals_missing: bool,
    /// Whether passes may be listed that had ended.
    pub(crate) ends_missing: bool,
    /// Whether a name stands for more identities or hosts than were searched.
    pub(crate) names_left_out: bool,
    /// Passes with plain logins that are not of the host and fit otherwise, of those that were
    /// looked at, and whether there may be more.
    pub(crate) plain_passes: (u64, bool),
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
    let at_host = filter.host.as_ref();
    let at_host = at_host.map(|host| names::at_host(authority, host, filter.plain_logins));
    let (at_host, is_cut) = at_host.unzip();
    let (question, are_people_cut) = question(authority, filter, at_host);
    let mut search = Search {
        authority,
        filter,
        limit,
        bytes: 0,
        requests: BTreeSet::new(),
        page: Page {
            size: authority.store.size(),
            names_left_out: are_people_cut || is_cut.unwrap_or(false),
            ..Page::default()
        },
    };
    search.page.searched_from = search.take(&question, from).await?;
    search.page.plain_passes = search.plain_passes(&question, from).await?;
    search.finish().await
}

/// Approvals of the requests that these passes redeemed, and whether these are all.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(crate) async fn approvals_of(
    authority: &Authority,
    leaves: &[(u64, Vec<u8>)],
    size: u64,
) -> Result<(Vec<Vec<u8>>, bool), Error> {
    let events = leaves
        .iter()
        .filter_map(|(_, leaf)| Event::parse(leaf).ok());
    let requests = events.filter_map(|event| redeemed(&event)).collect();
    approvals(authority, &requests, size).await
}

/// An event with its index and leaf.
type Found = (u64, Vec<u8>, Event);

/// A search under way.
struct Search<'a> {
    authority: &'a Authority,
    filter: &'a Filter,
    limit: usize,
    /// Bytes of the events that were taken.
    bytes: usize,
    /// Requests that passes redeemed.
    requests: BTreeSet<u64>,
    page: Page,
}

impl Search<'_> {
    /// Takes events from index `from` down. Returns the index from which on all were taken.
    async fn take(&mut self, question: &Question, from: u64) -> Result<u64, Error> {
        let (begun, mut next) = (Instant::now(), from);
        loop {
            let (store, size) = (&self.authority.store, self.page.size);
            let room = READ.max(self.limit).min(1000);
            let found = store.find(question, (next, size), room).await;
            let (fitting, rest) = self.fitting(question, &found.positions, begun).await?;
            for (at, leaf, event) in fitting {
                self.bytes = self.bytes.saturating_add(leaf.len());
                let taken = self.page.entries.len();
                let is_full = taken >= self.limit || self.bytes > MAX_PAGE_BYTES;
                if is_full && taken > 0 {
                    return Ok(at.saturating_add(1));
                }
                self.requests.extend(redeemed(&event));
                self.page.entries.push((at, leaf));
            }
            match rest.or(found.next) {
                None => return Ok(0),
                Some(rest) if begun.elapsed() > BUDGET => return Ok(rest.saturating_add(1)),
                Some(rest) => next = rest,
            }
        }
    }

    /// The events of these indices that fit, with index and leaf; and the first index that was not
    /// checked, if that took too long.
    async fn fitting(
        &mut self,
        question: &Question,
        indices: &[u64],
        begun: Instant,
    ) -> Result<(Vec<Found>, Option<u64>), Error> {
        let leaves = self.authority.store.leaves(indices).await?.into_iter();
        let known = leaves.filter_map(|(at, leaf)| {
            let event = Event::parse(&leaf).ok()?;
            Some((at, leaf, event))
        });
        let events: Vec<Found> = known.collect();
        let all = events.iter().map(|(.., event)| event);
        let lenders = Lenders::read(self.authority, question, all).await?;
        let (mut fitting, mut rest) = (Vec::new(), None);
        for (at, leaf, event) in events {
            // The first one is checked in any case, so that the next search gets further.
            let is_late = Lenders::are_many(&event) && begun.elapsed() > BUDGET;
            if is_late && indices.first() != Some(&at) {
                rest = Some(at);
                break;
            }
            let is_open = !self.filter.unreviewed || has_open_review(self.authority, &event);
            let fits =
                question.matches(&event) || lenders.fit(self.authority, question, &event).await?;
            if is_open && fits {
                fitting.push((at, leaf, event));
            }
        }
        if let Some((from, _)) = question.valid.filter(|_| !fitting.is_empty()) {
            let passes = fitting.iter().map(|(at, ..)| *at);
            let (ends, is_whole) = ends(self.authority, passes, self.page.size).await?;
            fitting.retain(|(at, ..)| ends.get(at).is_none_or(|end| *end > from));
            self.page.ends_missing |= !is_whole;
        }
        Ok((fitting, rest))
    }

    /// Counts passes with plain logins that fit but for the host, among the newest ones; and
    /// whether there may be more. They hold on hosts that were set up without a host group.
    async fn plain_passes(&mut self, question: &Question, from: u64) -> Result<(u64, bool), Error> {
        let (authority, filter) = (self.authority, self.filter);
        let wants_passes = filter.kinds.is_empty() || filter.kinds.iter().any(|it| it == "issued");
        let asks = filter.host.is_some() && filter.about.is_none() && !filter.plain_logins;
        if !wants_passes || !asks {
            return Ok((0, false));
        }
        let passes = Filter {
            kinds: vec!["issued".to_owned()],
            ..filter.clone()
        };
        let plain = AtHost {
            plain: true,
            ..AtHost::default()
        };
        let (mut wider, _) = self::question(authority, &passes, Some(plain));
        let found = self.count_plain((question, &wider), from).await?;
        let policy = authority.policy();
        let roles = policy.roles().iter().filter(|role| role.hosts.is_empty());
        let roles: Vec<_> = roles.map(|role| Term::role(&role.name)).collect();
        if found != (0, true) || roles.is_empty() {
            return Ok(found);
        }
        // Most passes are of roles with hosts.
        wider.groups.push(roles);
        self.count_plain((question, &wider), from).await
    }

    async fn count_plain(
        &mut self,
        (question, wider): (&Question, &Question),
        from: u64,
    ) -> Result<(u64, bool), Error> {
        let range = (from, self.page.size);
        let found = self.authority.store.find(wider, range, READ).await;
        let begun = Instant::now();
        let (fitting, rest) = self.fitting(wider, &found.positions, begun).await?;
        let mut count = 0;
        for (_, _, event) in fitting {
            count += u64::from(!question.matches(&event));
        }
        Ok((count, rest.or(found.next).is_some()))
    }

    /// Adds what belongs to the events, and what explains that there are none.
    async fn finish(mut self) -> Result<Page, Error> {
        let (authority, filter) = (self.authority, self.filter);
        let (approvals, is_whole) = approvals(authority, &self.requests, self.page.size).await?;
        self.page.approvals = approvals;
        self.page.approvals_missing = !is_whole;
        if !self.page.entries.is_empty() || self.page.searched_from > 0 {
            return Ok(self.page);
        }
        if let Some(name) = &filter.who {
            self.page.unknown_who = names::near_people(authority, name).await?;
        }
        if let Some(name) = &filter.role {
            self.page.unknown_role = names::near_roles(authority, name).await?;
        }
        if let Some(name) = &filter.host {
            self.page.unknown_host = names::near_hosts(authority, name).await?;
        }
        Ok(self.page)
    }
}

/// The ledger's state knows each open review.
fn has_open_review(authority: &Authority, event: &Event) -> bool {
    authority.store.state(|state| {
        let review = state.request(event.index);
        review.is_some_and(|review| review.state(event.at) == State::ReviewOpen)
    })
}

/// The question of a filter, and whether a name stands for more identities than it has.
fn question(authority: &Authority, filter: &Filter, host: Option<AtHost>) -> (Question, bool) {
    let (mut groups, mut is_cut) = (Vec::new(), false);
    if let Some(name) = &filter.who {
        let (terms, is_more) = names::of_person(authority, name);
        groups.push(terms);
        is_cut = is_more;
    }
    groups.extend(filter.role.iter().map(|role| vec![Term::role(role)]));
    groups.extend(host.as_ref().map(AtHost::terms));
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
    let question = Question {
        groups,
        since: filter.since,
        until: filter.until,
        valid: filter.valid,
        reason: filter.reason.clone(),
        host,
    };
    (question, is_cut)
}
