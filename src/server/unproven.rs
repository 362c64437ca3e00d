//! What requests of callers who have not proven an identity may hold: a budget in bytes, for each address and in all.
//!
//! A request is charged from its head on: a fixed cost, its head, its message as it comes, and its answer until that is
//! written. The charge ends with the request, or when its caller has proven who it is (from there on the rates and caps of
//! identities hold). If a budget is exceeded, the oldest request gives way, of this address or of the one that holds the
//! most: so unfinished messages, open streams and unread answers cost their owner's own, and a request that comes whole is
//! served among them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::{Limits, places::Network};

/// What a request holds beside its bytes: its stream, its handler, and the 8 KiB that a message is first read into.
pub(super) const REQUEST: usize = 16 * 1024;

/// The table of charges. Cheap to clone.
#[derive(Clone)]
pub(super) struct Unproven(Arc<Shared>);

struct Shared {
    total: usize,
    per_network: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    bytes: usize,
    last: u64,
    networks: HashMap<Network, Own>,
}

/// One address's charges, the oldest first.
#[derive(Default)]
struct Own {
    bytes: usize,
    requests: BTreeMap<u64, Held>,
}

struct Held {
    bytes: usize,
    /// Cancelled when it has to give way.
    end: CancellationToken,
}

impl Unproven {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            total: limits.unproven_bytes,
            per_network: limits.unproven_bytes_per_address,
            table: Mutex::default(),
        }))
    }

    /// Charges a new request. `end` is cancelled if it has to give way.
    pub(super) fn charge(&self, network: Network, bytes: usize, end: CancellationToken) -> Charge {
        let mut table = self.table();
        table.last += 1;
        let id = table.last;
        let own = table.networks.entry(network).or_default();
        own.requests.insert(id, Held { bytes: 0, end });
        table.grow(network, id, bytes);
        table.fit(network, &self.0);
        drop(table);
        Charge {
            unproven: self.clone(),
            network,
            id,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic while it was locked cannot leave it half-changed: nothing in between panics.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Nothing for a request that is no longer charged.
    fn grow(&mut self, network: Network, id: u64, bytes: usize) {
        if let Some(own) = self.networks.get_mut(&network)
            && let Some(held) = own.requests.get_mut(&id)
        {
            held.bytes += bytes;
            own.bytes += bytes;
            self.bytes += bytes;
        }
    }

    fn shrink(&mut self, network: Network, id: u64, bytes: usize) {
        if let Some(own) = self.networks.get_mut(&network)
            && let Some(held) = own.requests.get_mut(&id)
        {
            let bytes = bytes.min(held.bytes);
            held.bytes -= bytes;
            own.bytes -= bytes;
            self.bytes -= bytes;
        }
    }

    fn remove(&mut self, network: Network, id: u64) -> Option<Held> {
        let own = self.networks.get_mut(&network)?;
        let held = own.requests.remove(&id)?;
        own.bytes -= held.bytes;
        self.bytes -= held.bytes;
        if own.requests.is_empty() {
            self.networks.remove(&network);
        }
        Some(held)
    }

    /// Ends requests until what is left fits.
    fn fit(&mut self, network: Network, bounds: &Shared) {
        // One alone stays, however long its answer is: there is none to make room for.
        let is_over = |own: &Own| own.bytes > bounds.per_network && own.requests.len() > 1;
        while self.networks.get(&network).is_some_and(is_over) && self.end_oldest(network) {}
        while self.bytes > bounds.total {
            let largest = self.networks.iter().max_by_key(|(_, own)| own.bytes);
            let Some((&largest, _)) = largest else { break };
            if !self.end_oldest(largest) {
                break;
            }
        }
    }

    fn end_oldest(&mut self, network: Network) -> bool {
        let own = self.networks.get(&network);
        let oldest = own.and_then(|own| own.requests.keys().next().copied());
        let Some(held) = oldest.and_then(|id| self.remove(network, id)) else {
            return false;
        };
        held.end.cancel();
        metrics::counter!("daypass_requests_ended_total", "cause" => "unproven_bytes").increment(1);
        true
    }
}

/// One request's charge; given back when dropped.
pub(super) struct Charge {
    unproven: Unproven,
    network: Network,
    id: u64,
}

impl Charge {
    /// It holds more.
    pub(super) fn grow(&self, bytes: usize) {
        let mut table = self.unproven.table();
        table.grow(self.network, self.id, bytes);
        table.fit(self.network, &self.unproven.0);
    }

    /// It holds less.
    pub(super) fn shrink(&self, bytes: usize) {
        self.unproven.table().shrink(self.network, self.id, bytes);
    }

    /// From here on `end` is cancelled if it has to give way.
    pub(super) fn end_by(&self, end: CancellationToken) {
        let mut table = self.unproven.table();
        let own = table.networks.get_mut(&self.network);
        if let Some(held) = own.and_then(|own| own.requests.get_mut(&self.id)) {
            held.end = end;
        }
    }

    /// Its caller has proven an identity: no more charge.
    pub(super) fn prove(&self) {
        self.unproven.table().remove(self.network, self.id);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.prove();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn unproven(total: usize, per_address: usize) -> Unproven {
        Unproven::new(&Limits {
            unproven_bytes: total,
            unproven_bytes_per_address: per_address,
            ..Limits::default()
        })
    }

    struct Request {
        charge: Charge,
        end: CancellationToken,
    }

    fn request(unproven: &Unproven, address: &str, bytes: usize) -> Request {
        let end = CancellationToken::new();
        let network = Network::of(address.parse().unwrap());
        let charge = unproven.charge(network, bytes, end.clone());
        Request { charge, end }
    }

    #[test]
    fn the_oldest_request_of_an_address_gives_way_to_its_newest() {
        let unproven = unproven(1000, 100);
        let elsewhere = request(&unproven, "10.0.0.2", 90);
        let old = request(&unproven, "10.0.0.1", 40);
        let young = request(&unproven, "10.0.0.1", 40);
        let newest = request(&unproven, "10.0.0.1", 40);
        assert!(old.end.is_cancelled());
        assert!(
            ![elsewhere, young, newest]
                .iter()
                .any(|it| it.end.is_cancelled())
        );
    }

    #[test]
    fn in_all_the_address_that_holds_the_most_gives_way() {
        let unproven = unproven(100, 100);
        let small = request(&unproven, "10.0.0.1", 20);
        let large = request(&unproven, "10.0.0.2", 50);
        let newcomer = request(&unproven, "10.0.0.3", 40);
        assert!(large.end.is_cancelled());
        assert!(!small.end.is_cancelled() && !newcomer.end.is_cancelled());
    }

    #[test]
    fn a_message_is_charged_as_it_comes_until_its_caller_is_known() {
        let unproven = unproven(1000, 100);
        let proven = request(&unproven, "10.0.0.1", 10);
        proven.charge.grow(80);
        proven.charge.prove();
        proven.charge.grow(80);
        let other = request(&unproven, "10.0.0.1", 10);
        other.charge.grow(80);
        assert!(!proven.end.is_cancelled() && !other.end.is_cancelled());
        let newest = request(&unproven, "10.0.0.1", 10);
        newest.charge.grow(1);
        assert!(other.end.is_cancelled());
        assert!(!newest.end.is_cancelled() && !proven.end.is_cancelled());
    }

    #[test]
    fn charges_come_back() {
        let unproven = unproven(100, 60);
        for _ in 0..10 {
            let requests: Vec<_> = (0..5)
                .map(|_| request(&unproven, "2001:db8::1", 30))
                .collect();
            requests[4].charge.shrink(10);
            requests[4].charge.grow(5);
        }
        let table = unproven.table();
        assert_eq!(table.bytes, 0);
        assert!(table.networks.is_empty());
    }
}
