//! Requests and reviews by id, and the eviction of ended ones. Pure.
//!
//! Ended requests are evicted by number and never by time alone, so an event with a wrong time
//! costs no open request: the last [`MOST_ENDED`] of one identity stay, and the last
//! [`MOST_ENDED_OF_ALL`] in total.
//!
//! A request expires without an event. It is evicted when its identity opens another one and has
//! more than [`MOST_OPEN`] that no event ended; the one that expired first goes first. So an
//! identity takes at most `MOST_OPEN + MOST_ENDED` requests of memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Actor, Request, State};
use crate::unix_seconds::UnixSeconds;

/// Largest number of waiting requests of one identity.
pub(super) const MOST_WAITING: usize = 32;

/// Largest number of remembered ended requests of one identity.
pub(super) const MOST_ENDED: usize = 16;

/// Largest number of remembered ended requests in total.
const MOST_ENDED_OF_ALL: usize = 10_000;

/// Largest number of remembered requests of one identity that no event has ended.
pub(super) const MOST_OPEN: usize = MOST_WAITING + MOST_ENDED;

/// The unit in which requests expire.
const SECOND: Duration = Duration::from_secs(1);

/// `(issuer, subject)`.
type Owner = (String, String);

/// The requests with their indexes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::ledger::state) struct Table {
    by_id: BTreeMap<u64, Request>,
    /// Request ids by the revision of their last change.
    by_revision: BTreeMap<u64, u64>,
    /// (expiry, id) of requests that no event has ended.
    by_end: BTreeSet<(UnixSeconds, u64)>,
    owners: BTreeMap<Owner, Owned>,
    /// Ended requests, oldest first.
    ended: VecDeque<u64>,
    /// Number of events that have changed a request.
    revision: u64,
}

/// The requests of one identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Owned {
    /// (expiry, id) of requests that no event has ended, without reviews.
    open: BTreeSet<(UnixSeconds, u64)>,
    /// Ended requests, oldest first.
    ended: VecDeque<u64>,
}

impl Table {
    pub(super) fn get(&self, id: u64) -> Option<&Request> {
        self.by_id.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.by_id.values()
    }

    /// Requests with ids larger than `id`.
    pub(super) fn after(&self, id: u64) -> impl Iterator<Item = &Request> {
        let range = self.by_id.range(id.saturating_add(1)..);
        range.map(|(_, request)| request)
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The requests that changed after `revision`, in the order of their last changes.
    pub(super) fn changed_after(&self, revision: u64) -> impl Iterator<Item = &Request> {
        let changes = self.by_revision.range(revision.saturating_add(1)..);
        changes.filter_map(|(_, id)| self.by_id.get(id))
    }

    /// Requests that no event has ended and that expired after `from`, up to `to`.
    pub(super) fn ended_between(
        &self,
        from: UnixSeconds,
        to: UnixSeconds,
    ) -> impl Iterator<Item = &Request> {
        let is_later = from < to;
        let range = is_later.then(|| {
            self.by_end
                .range((from.saturating_add(SECOND), 0)..=(to, u64::MAX))
        });
        let ends = range.into_iter().flatten();
        ends.filter_map(|(_, id)| self.by_id.get(id))
    }

    /// Number of requests of `who` that wait at `now`, for approval or to be redeemed.
    pub(super) fn waiting(&self, who: &Actor, now: OffsetDateTime) -> usize {
        let later = (UnixSeconds::from(now).saturating_add(SECOND), 0);
        let owned = self.owners.get(&owner(who));
        owned.map_or(0, |owned| owned.open.range(later..).count())
    }

    /// Requests of `who` that no event has ended, without reviews.
    pub(super) fn open_of(&self, who: &Actor) -> impl Iterator<Item = &Request> {
        let owned = self.owners.get(&owner(who));
        let open = owned.into_iter().flat_map(|owned| &owned.open);
        open.filter_map(|(_, id)| self.by_id.get(id))
    }

    /// Adds a new request or review at `now`.
    pub(super) fn insert(&mut self, mut request: Request, now: OffsetDateTime) {
        self.revision += 1;
        request.revision = self.revision;
        let (id, who) = (request.id, owner(&request.who));
        self.by_revision.insert(self.revision, id);
        if matches!(request.state, State::Pending | State::Approved) {
            let end = (request.expires_at, id);
            self.by_end.insert(end);
            self.owners.entry(who.clone()).or_default().open.insert(end);
        }
        self.by_id.insert(id, request);
        self.forget_expired(&who, now);
    }

    /// Changes a request, if it is there.
    pub(super) fn change(&mut self, id: u64, change: impl FnOnce(&mut Request)) {
        let Some(request) = self.by_id.get_mut(&id) else {
            return;
        };
        self.revision += 1;
        self.by_revision.remove(&request.revision);
        self.by_revision.insert(self.revision, id);
        request.revision = self.revision;
        let had_ended = request.has_ended();
        change(request);
        if !had_ended && request.has_ended() {
            request.shrink();
            let (end, who) = ((request.expires_at, id), owner(&request.who));
            self.by_end.remove(&end);
            self.end(id, end, who);
        }
    }

    fn end(&mut self, id: u64, end: (UnixSeconds, u64), who: Owner) {
        let owned = self.owners.entry(who).or_default();
        owned.open.remove(&end);
        owned.ended.push_back(id);
        self.ended.push_back(id);
        if owned.ended.len() > MOST_ENDED
            && let Some(&oldest) = owned.ended.front()
        {
            self.forget(oldest);
        }
        if self.ended.len() > MOST_ENDED_OF_ALL
            && let Some(&oldest) = self.ended.front()
        {
            self.forget(oldest);
        }
    }

    /// Evicts expired requests while there are too many, the one that expired first.
    fn forget_expired(&mut self, who: &Owner, now: OffsetDateTime) {
        let is_over = |end: &&(UnixSeconds, u64)| end.0 <= UnixSeconds::from(now);
        let own = self
            .owners
            .get(who)
            .filter(|own| own.open.len() > MOST_OPEN);
        if let Some(&(_, id)) = own.and_then(|own| own.open.first()).filter(is_over) {
            self.forget(id);
        }
        if self.by_end.len() > MOST_ENDED_OF_ALL
            && let Some(&(_, id)) = self.by_end.first().filter(is_over)
        {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(request) = self.by_id.remove(&id) else {
            return;
        };
        let end = (request.expires_at, id);
        self.by_revision.remove(&request.revision);
        self.by_end.remove(&end);
        remove(&mut self.ended, id);
        let who = owner(&request.who);
        let Some(owned) = self.owners.get_mut(&who) else {
            return;
        };
        owned.open.remove(&end);
        remove(&mut owned.ended, id);
        if owned.open.is_empty() && owned.ended.is_empty() {
            self.owners.remove(&who);
        }
    }
}

fn owner(who: &Actor) -> Owner {
    (who.issuer.clone(), who.subject.clone())
}

/// Removes an id. It is usually the first.
fn remove(ids: &mut VecDeque<u64>, id: u64) {
    if let Some(at) = ids.iter().position(|one| *one == id) {
        ids.remove(at);
    }
}
