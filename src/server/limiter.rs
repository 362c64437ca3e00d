//! Caps on connections, in all and per address, and the choice of the connection that is evicted
//! when a cap is reached.
//!
//! At a cap, the newcomer evicts the connection with the lowest rank ([`Activity::spare`]), of its
//! own address or of the address with the most connections. So silent sockets, open streams without
//! a token and unread answers use up the slots of the address that causes them, and shut no other
//! caller out. A connection on which the server works for a proven identity is never evicted.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::{Limits, activity::Activity};

/// One address for all limits: an IPv4 address, or an IPv6 /64 (the usual allocation of one
/// customer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    /// Of connections whose caller is not known yet. No caller has this address.
    const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(prefix))
            }
            v4 => v4,
        })
    }
}

/// Table of connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectionLimiter(Arc<Shared>);

struct Shared {
    total: usize,
    per_network: usize,
    end: CancellationToken,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    taken: usize,
    last: u64,
    networks: HashMap<Network, BTreeMap<u64, Entry>>,
}

struct Entry {
    activity: Arc<Activity>,
    evicted: CancellationToken,
}

impl ConnectionLimiter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            total: limits.connections.max(1),
            per_network: limits.connections_per_address.max(1),
            end: CancellationToken::new(),
            table: Mutex::default(),
        }))
    }

    /// Takes a slot for a new connection. Returns `None` if a cap is reached and no connection can
    /// be evicted.
    pub(super) fn take(&self, address: IpAddr) -> Option<ConnectionSlot> {
        let network = Network::of(address);
        let mut table = self.table();
        if !table.has_room(network, self.0.per_network) {
            return None;
        }
        self.insert(&mut table, network)
    }

    /// Takes a slot for a connection whose caller is not known yet. Only the total caps it. Returns
    /// `None` as [`ConnectionLimiter::take`].
    pub(super) fn take_unknown(&self) -> Option<ConnectionSlot> {
        self.insert(&mut self.table(), Network::UNKNOWN)
    }

    fn insert(&self, table: &mut Table, network: Network) -> Option<ConnectionSlot> {
        if table.taken >= self.0.total && !table.evict_from_largest() {
            return None;
        }
        let activity = Arc::new(Activity::new());
        let evicted = self.0.end.child_token();
        let id = table.insert(network, activity.clone(), evicted.clone());
        metrics::gauge!("daypass_connections").set(table.taken as f64);
        Some(ConnectionSlot {
            limiter: self.clone(),
            network,
            id,
            activity,
            evicted,
        })
    }

    /// Closes one connection at rest. Called when the process has run out of file descriptors.
    pub(super) fn shed(&self) -> bool {
        self.table().evict_from_largest()
    }

    /// Closes every connection at once.
    pub(super) fn end_all(&self) {
        self.0.end.cancel();
    }

    /// Locks the table. No code that holds the lock can panic halfway through a change.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock()
    }
}

impl Table {
    fn insert(
        &mut self,
        network: Network,
        activity: Arc<Activity>,
        evicted: CancellationToken,
    ) -> u64 {
        self.last += 1;
        self.add(network, self.last, Entry { activity, evicted });
        self.last
    }

    fn add(&mut self, network: Network, id: u64, entry: Entry) {
        self.taken += 1;
        self.networks.entry(network).or_default().insert(id, entry);
    }

    /// True if `network` is below its cap, or one of its connections was evicted for the newcomer.
    fn has_room(&mut self, network: Network, most: usize) -> bool {
        let own = self.networks.get(&network).map_or(0, BTreeMap::len);
        own < most || self.evict(network)
    }

    fn remove(&mut self, network: Network, id: u64) -> Option<Entry> {
        let entries = self.networks.get_mut(&network)?;
        let entry = entries.remove(&id)?;
        if entries.is_empty() {
            self.networks.remove(&network);
        }
        self.taken -= 1;
        Some(entry)
    }

    fn evict_from_largest(&mut self) -> bool {
        let largest = self.networks.iter().max_by_key(|(_, own)| own.len());
        let largest = largest.map(|(network, _)| *network);
        if largest.is_some_and(|network| self.evict(network)) {
            return true;
        }
        // All connections of that address work for proven identities.
        let can_spare = |own: &BTreeMap<u64, Entry>| {
            let mut spared = own.values().filter_map(|entry| entry.activity.spare());
            spared.next().is_some()
        };
        let others = self.networks.iter().filter(|(_, own)| can_spare(own));
        let largest = others.max_by_key(|(_, own)| own.len());
        let largest = largest.map(|(network, _)| *network);
        largest.is_some_and(|network| self.evict(network))
    }

    fn evict(&mut self, network: Network) -> bool {
        let spared = self.networks.get(&network).and_then(|own| {
            own.iter()
                .filter_map(|(id, entry)| Some((entry.activity.spare()?, *id)))
                .min()
        });
        let Some(entry) = spared.and_then(|(_, id)| self.remove(network, id)) else {
            return false;
        };
        entry.evicted.cancel();
        metrics::counter!("daypass_connections_closed_total", "cause" => "evicted").increment(1);
        true
    }
}

/// Slot of one connection. Dropping it frees the slot.
pub(super) struct ConnectionSlot {
    limiter: ConnectionLimiter,
    network: Network,
    id: u64,
    activity: Arc<Activity>,
    evicted: CancellationToken,
}

impl ConnectionSlot {
    pub(super) fn network(&self) -> Network {
        self.network
    }

    /// Counts the connection for `address`, which is known now. Returns false if that address is at
    /// its cap and no connection of it can be evicted, or if this one was evicted. The slot is free
    /// then.
    pub(super) fn assign(&mut self, address: IpAddr) -> bool {
        let network = Network::of(address);
        let mut table = self.limiter.table();
        // First: a connection that was evicted itself must not evict another one.
        let Some(entry) = table.remove(self.network, self.id) else {
            return false;
        };
        if !table.has_room(network, self.limiter.0.per_network) {
            return false;
        }
        table.add(network, self.id, entry);
        drop(table);
        self.network = network;
        true
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Returns the token that is cancelled when another connection evicts this one, or when the
    /// server ends it.
    pub(super) fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.limiter.table();
        table.remove(self.network, self.id);
        metrics::gauge!("daypass_connections").set(table.taken as f64);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    fn limiter(connections: usize, connections_per_address: usize) -> ConnectionLimiter {
        ConnectionLimiter::new(&Limits {
            connections,
            connections_per_address,
            ..Limits::default()
        })
    }

    fn is_evicted(place: &ConnectionSlot) -> bool {
        place.evicted.is_cancelled()
    }

    fn use_once(place: &ConnectionSlot) {
        let activity = place.activity();
        activity.end(activity.begin());
    }

    #[test]
    fn one_address_is_a_v4_address_or_a_v6_64() {
        let same = [
            ("10.0.0.1", "::ffff:10.0.0.1"),
            ("2001:db8::1", "2001:db8::ffff:1"),
        ];
        for (one, other) in same {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(Network::of(one), Network::of(other));
        }
        let (one, other) = ("2001:db8::1", "2001:db8:0:1::1");
        assert_ne!(
            Network::of(one.parse().unwrap()),
            Network::of(other.parse().unwrap())
        );
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_oldest_silent_connection_of_its_address() {
        let limiter = limiter(100, 2);
        let elsewhere = limiter.take(THERE).unwrap();
        let silent = limiter.take(HERE).unwrap();
        let used = limiter.take(HERE).unwrap();
        use_once(&used);
        let newcomer = limiter.take(HERE).unwrap();
        assert!(is_evicted(&silent));
        assert!(!is_evicted(&used) && !is_evicted(&newcomer) && !is_evicted(&elsewhere));
    }

    #[test]
    fn a_connection_with_work_for_a_proven_identity_never_gives_way() {
        let limiter = limiter(100, 1);
        let busy = limiter.take(HERE).unwrap();
        let request = busy.activity().begin();
        busy.activity().prove(request);
        assert!(limiter.take(HERE).is_none());
        busy.activity().end(request);
        assert!(limiter.take(HERE).is_some() && is_evicted(&busy));
    }

    #[test]
    fn open_requests_without_a_proven_identity_give_way_the_oldest_first() {
        let limiter = limiter(3, 3);
        let known = limiter.take(HERE).unwrap();
        let request = known.activity().begin();
        known.activity().prove(request);
        known.activity().end(request);
        let watches = [limiter.take(HERE).unwrap(), limiter.take(HERE).unwrap()];
        for watch in &watches {
            watch.activity().begin();
        }
        let newcomer = limiter.take(HERE);
        assert!(newcomer.is_some() && is_evicted(&watches[0]));
        assert!(!is_evicted(&watches[1]) && !is_evicted(&known));
    }

    #[test]
    fn at_the_total_the_largest_address_gives_way() {
        let limiter = limiter(3, 100);
        let lone = limiter.take(THERE).unwrap();
        let crowd = [limiter.take(HERE).unwrap(), limiter.take(HERE).unwrap()];
        let newcomer = limiter.take(THERE);
        assert!(newcomer.is_some() && is_evicted(&crowd[0]) && !is_evicted(&lone));
    }

    #[test]
    fn where_the_largest_address_works_for_identities_the_next_gives_way() {
        let limiter = limiter(3, 100);
        let silent = limiter.take(THERE).unwrap();
        let busy = [limiter.take(HERE).unwrap(), limiter.take(HERE).unwrap()];
        for place in &busy {
            let request = place.activity().begin();
            place.activity().prove(request);
        }
        assert!(limiter.take(HERE).is_some() && is_evicted(&silent));
    }

    #[test]
    fn a_load_balancer_is_not_one_caller_and_its_callers_have_their_own_caps() {
        let limiter = limiter(4, 1);
        let mut slots = [(); 3].map(|()| limiter.take_unknown().unwrap());
        assert!(slots[0].assign(HERE) && slots[1].assign(THERE));
        assert!(slots[2].assign(HERE) && is_evicted(&slots[0]));
        assert!(!slots[0].assign(THERE), "it was evicted");
        let [_first, second, third] = slots;
        assert_eq!(
            (second.network(), third.network()),
            (Network::of(THERE), Network::of(HERE))
        );
        let unread = [(); 3].map(|()| limiter.take_unknown().unwrap());
        let evicted = unread.iter().filter(|slot| is_evicted(slot)).count();
        assert_eq!(evicted, 1, "the total holds");
        assert!(!is_evicted(&second) && !is_evicted(&third));
    }

    #[test]
    fn places_come_back() {
        let limiter = limiter(2, 2);
        for _ in 0..10 {
            let one = limiter.take(HERE).unwrap();
            let busy = one.activity().begin();
            one.activity().prove(busy);
            let evicted = limiter.take(HERE).unwrap();
            let _last = limiter.take(HERE).unwrap();
            assert!(is_evicted(&evicted));
        }
        assert_eq!(limiter.table().taken, 0);
        assert!(limiter.table().networks.is_empty());
    }
}
