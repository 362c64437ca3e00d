//! Watches of requests: their number, and the delivery of changes.
//!
//! One task reads each change once and passes it to the watches that it concerns: those of the
//! requester, those of identities whose policy lets them see the role, and those of that one
//! request. A watch of an identity that may see no request costs nothing per change.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::{
    environment::now,
    limits::{NoPlace, WATCHES_PER_IDENTITY},
    status::CallError,
};
use crate::{
    identity::Identity,
    operations::{
        Authority,
        requests::{self, Change},
    },
    policy::sight::Sight,
};

/// Most unread changes of a watch. The next one ends the watch.
const QUEUE: usize = 64;

/// Interval at which the task looks for requests that have expired.
const TICK: Duration = Duration::from_secs(1);

/// Message to a watch.
#[derive(Clone, Debug)]
pub(super) enum WatchEvent {
    /// A request changed or expired.
    Change(Arc<Change>),
    /// Another policy is in force, so the visible requests may be others.
    Policy,
}

/// Table of watches. Cheap to clone.
#[derive(Clone)]
pub(super) struct Watches(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    /// Most watches in all. At this number, a newcomer evicts a watch of the identity that has the
    /// most, if that identity has more than the newcomer.
    most: usize,
    last: u64,
    watches: BTreeMap<u64, Entry>,
    by_owner: HashMap<Owner, BTreeSet<u64>>,
    by_request: HashMap<u64, BTreeSet<u64>>,
    by_role: HashMap<String, BTreeSet<u64>>,
    of_all: BTreeSet<u64>,
}

/// `(issuer, subject)`.
type Owner = (String, String);

struct Entry {
    owner: Owner,
    /// Set if only this request is watched.
    only: Option<u64>,
    sight: Sight,
    queue: mpsc::Sender<WatchEvent>,
}

/// Slot of a watch. Dropping it frees the slot.
pub(super) struct WatchSlot {
    watches: Watches,
    id: u64,
}

impl Watches {
    /// A table of at most so many watches.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            most,
            ..Table::default()
        })))
    }

    /// Opens a watch of `identity`. Returns its slot and the receiver of its messages. The receiver
    /// ends if another watch evicts this one, or if its queue is full.
    ///
    /// # Errors
    /// [`CallError::TooManyWatches`].
    pub(super) fn open(
        &self,
        identity: &Identity,
        only: Option<u64>,
        sight: Sight,
    ) -> Result<(WatchSlot, mpsc::Receiver<WatchEvent>), CallError> {
        let owner = (identity.issuer().to_owned(), identity.subject().to_owned());
        let (queue, events) = mpsc::channel(QUEUE);
        let entry = Entry {
            owner,
            only,
            sight,
            queue,
        };
        let opened = self.table().open(entry);
        let id = opened.map_err(CallError::TooManyWatches)?;
        let watches = self.clone();
        Ok((WatchSlot { watches, id }, events))
    }

    /// Passes every change to the watches until the store closes or `stop` is cancelled.
    pub(super) async fn run(self, authority: Arc<Authority>, stop: CancellationToken) {
        let mut seen = requests::revision(&authority);
        let (mut looked, mut policy) = (now(), authority.policy().hash().to_owned());
        loop {
            let goes_on = tokio::select! {
                goes_on = requests::changed(&authority, seen) => goes_on,
                () = tokio::time::sleep(TICK) => true,
                () = stop.cancelled() => false,
            };
            if !goes_on {
                return self.table().clear();
            }
            if authority.policy().hash() != policy {
                authority.policy().hash().clone_into(&mut policy);
                self.table().tell_all(&WatchEvent::Policy);
            }
            let (since, to) = (looked, now());
            looked = to;
            let (revision, changes) = requests::changes(&authority, seen, (since, to));
            seen = revision;
            for change in changes {
                self.tell(&authority, change, to).await;
            }
        }
    }

    /// Passes a change to the watches that it concerns. Reads its event once, and only if there is
    /// such a watch.
    async fn tell(&self, authority: &Authority, request: requests::Request, at: OffsetDateTime) {
        let concerned = self.table().concerned(&request);
        if concerned.is_empty() {
            return;
        }
        match Change::read(authority, request, at).await {
            Ok(change) => {
                let events = WatchEvent::Change(Arc::new(change));
                self.table().tell(&concerned, &events);
            }
            Err(error) => tracing::warn!(%error, "a change of a request could not be told"),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}

impl WatchSlot {
    /// Replaces the set of roles that the watch may see.
    pub(super) fn see(&self, sight: Sight) {
        let mut table = self.watches.table();
        if let Some(entry) = table.remove(self.id) {
            table.insert(self.id, Entry { sight, ..entry });
        }
    }
}

impl Drop for WatchSlot {
    fn drop(&mut self) {
        self.watches.table().remove(self.id);
    }
}

impl Table {
    fn open(&mut self, entry: Entry) -> Result<u64, NoPlace> {
        let own = self.by_owner.get(&entry.owner).map_or(0, BTreeSet::len);
        if own >= WATCHES_PER_IDENTITY {
            return Err(NoPlace::Identity);
        }
        if self.watches.len() >= self.most && !self.evict(own) {
            return Err(NoPlace::Server(self.most));
        }
        self.last += 1;
        self.insert(self.last, entry);
        Ok(self.last)
    }

    /// Ends a watch of the identity that has the most, if it has more than `own`. Returns whether
    /// it did.
    fn evict(&mut self, own: usize) -> bool {
        let most = self.by_owner.values().max_by_key(|watches| watches.len());
        let oldest = most.filter(|watches| watches.len() > own.saturating_add(1));
        let oldest = oldest.and_then(BTreeSet::first).copied();
        oldest.is_some_and(|id| self.remove(id).is_some())
    }

    fn insert(&mut self, id: u64, entry: Entry) {
        let owner = entry.owner.clone();
        self.by_owner.entry(owner).or_default().insert(id);
        match entry.only {
            Some(request) => {
                self.by_request.entry(request).or_default().insert(id);
            }
            None => {
                if entry.sight.all {
                    self.of_all.insert(id);
                }
                for role in entry.sight.roles.union(&entry.sight.perhaps) {
                    self.by_role.entry(role.clone()).or_default().insert(id);
                }
            }
        }
        self.watches.insert(id, entry);
        metrics::gauge!("daypass_watches").set(self.watches.len() as f64);
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.watches.remove(&id)?;
        take(&mut self.by_owner, &entry.owner, id);
        if let Some(request) = entry.only {
            take(&mut self.by_request, &request, id);
        }
        for role in entry.sight.roles.union(&entry.sight.perhaps) {
            take(&mut self.by_role, role, id);
        }
        self.of_all.remove(&id);
        metrics::gauge!("daypass_watches").set(self.watches.len() as f64);
        Some(entry)
    }

    /// Returns the watches that a change of this request may concern.
    fn concerned(&self, request: &requests::Request) -> BTreeSet<u64> {
        let owner = (request.who.issuer.clone(), request.who.subject.clone());
        let own = self.by_owner.get(&owner).into_iter().flatten();
        let own = own.filter(|id| self.watches.get(id).is_some_and(|one| one.only.is_none()));
        let one = self.by_request.get(&request.id).into_iter().flatten();
        let role = self.by_role.get(&request.ask.role).into_iter().flatten();
        own.chain(one)
            .chain(role)
            .chain(&self.of_all)
            .copied()
            .collect()
    }

    /// Queues a message for each of these watches. Ends a watch whose queue is full.
    fn tell(&mut self, ids: &BTreeSet<u64>, events: &WatchEvent) {
        for id in ids {
            let Some(entry) = self.watches.get(id) else {
                continue;
            };
            match entry.queue.try_send(events.clone()) {
                Ok(()) => (),
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => drop(self.remove(*id)),
            }
        }
    }

    fn tell_all(&mut self, events: &WatchEvent) {
        let ids = self.watches.keys().copied().collect();
        self.tell(&ids, events);
    }

    /// Ends every watch.
    fn clear(&mut self) {
        *self = Self {
            most: self.most,
            last: self.last,
            ..Self::default()
        };
    }
}

fn take<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<u64>>, key: &K, id: u64) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn entry(
        owner: &str,
        only: Option<u64>,
        roles: &[&str],
    ) -> (Entry, mpsc::Receiver<WatchEvent>) {
        let (queue, events) = mpsc::channel(QUEUE);
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let entry = Entry {
            owner: ("https://id.example.com".to_owned(), owner.to_owned()),
            only,
            sight: Sight {
                roles,
                ..Sight::default()
            },
            queue,
        };
        (entry, events)
    }

    const MOST: usize = 1024;

    fn table() -> Table {
        Table {
            most: MOST,
            ..Table::default()
        }
    }

    fn open(table: &mut Table, owner: &str) -> Result<u64, NoPlace> {
        table.open(entry(owner, None, &[]).0)
    }

    #[test]
    fn one_identity_has_a_few_watches_and_costs_another_nothing() {
        let mut table = table();
        let opened = (0..600).filter(|_| open(&mut table, "mallory").is_ok());
        assert_eq!(opened.count(), WATCHES_PER_IDENTITY);
        assert!(open(&mut table, "alice").is_ok());
        table.remove(1).unwrap();
        assert!(open(&mut table, "mallory").is_ok(), "places come back");
    }

    #[test]
    fn many_identities_lock_no_newcomer_out() {
        let mut table = table();
        for n in 0..2 * MOST {
            let _ = open(&mut table, &format!("mallory-{}", n / WATCHES_PER_IDENTITY));
        }
        assert_eq!(table.watches.len(), MOST);
        assert!(open(&mut table, "alice").is_ok());
        assert_eq!(table.watches.len(), MOST);
    }

    #[test]
    fn a_table_of_single_watches_is_full() {
        let mut table = table();
        for n in 0..MOST {
            assert!(open(&mut table, &n.to_string()).is_ok());
        }
        assert_eq!(open(&mut table, "alice"), Err(NoPlace::Server(MOST)));
        assert!(table.watches.contains_key(&1), "nothing was ended for it");
    }

    #[test]
    fn a_watch_that_does_not_take_its_news_is_ended() {
        let mut table = table();
        let (mut slow, mut events) = entry("slow", None, &["prod"]);
        slow.sight.all = true;
        let id = table.open(slow).unwrap();
        let (quick, mut quick_events) = entry("quick", None, &["prod"]);
        let quick = table.open(quick).unwrap();
        for _ in 0..=QUEUE {
            table.tell_all(&WatchEvent::Policy);
            quick_events.try_recv().unwrap();
        }
        assert!(!table.watches.contains_key(&id) && table.watches.contains_key(&quick));
        assert!(table.of_all.is_empty());
        assert_eq!(table.by_role["prod"], BTreeSet::from([quick]));
        let mut told = 0;
        while events.try_recv().is_ok() {
            told += 1;
        }
        assert_eq!((told, events.is_closed()), (QUEUE, true));
    }

    #[test]
    fn nothing_is_left_of_a_watch_that_ended() {
        let mut table = table();
        for only in [None, Some(7)] {
            let id = table.open(entry("bob", only, &["prod", "db"]).0).unwrap();
            table.remove(id).unwrap();
        }
        assert!(table.watches.is_empty() && table.by_owner.is_empty());
        assert!(table.by_request.is_empty() && table.by_role.is_empty());
    }
}
