//! Budgets of memory for requests, in bytes: one for each address and one for all.
//!
//! A request whose caller has not proven an identity is charged from its head on: a fixed cost, its
//! head, its message as it arrives, and its answer until that is written. If a budget is exceeded,
//! the oldest request of this address, or of the address that holds the most, is ended. So
//! unfinished messages, open streams and unread answers cost the address that causes them, and a
//! request that arrives whole is served.
//!
//! After the proof, the rates and caps of identities apply. Then only unread bytes of answers are
//! charged, to a second budget.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::{Limits, limiter::Network};

/// Bytes that a request holds apart from its content: its stream, its handler, and the 8 KiB buffer
/// into which a message is first read.
pub(super) const REQUEST: usize = 16 * 1024;

/// Granularity in which addresses are compared: the largest request at default limits. So an
/// address with one request does not count as larger than another.
const ONE: usize = 128 * 1024;

/// Bytes of answers that proven callers may leave unread: in all, and for one address. Room for
/// some pages of the ledger (4 MB each at most) or exports on slow lines. Not configurable, because
/// a caller that reads never comes near it.
const UNREAD: usize = 256 * 1024 * 1024;
const UNREAD_PER_ADDRESS: usize = 32 * 1024 * 1024;

/// Table of charges. Cheap to clone.
#[derive(Clone)]
pub(super) struct Budget(Arc<Shared>);

struct Shared {
    total: usize,
    per_network: usize,
    first: First,
    table: Mutex<Table>,
}

/// Request of an address that is ended first. Its name is a label of the metrics.
#[derive(Clone, Copy)]
enum First {
    Oldest,
    Largest,
}

impl First {
    fn cause(self) -> &'static str {
        match self {
            Self::Oldest => "unproven_bytes",
            Self::Largest => "unread_answers",
        }
    }

    fn of(self, own: &Own) -> Option<u64> {
        match self {
            Self::Oldest => own.requests.keys().next().copied(),
            Self::Largest => {
                let largest = own.requests.iter().max_by_key(|(_, held)| held.bytes);
                largest.map(|(id, _)| *id)
            }
        }
    }
}

#[derive(Default)]
struct Table {
    bytes: usize,
    last: u64,
    networks: HashMap<Network, Own>,
}

/// Charges of one address, the oldest first.
#[derive(Default)]
struct Own {
    bytes: usize,
    requests: BTreeMap<u64, Held>,
}

struct Held {
    bytes: usize,
    /// Cancelled when the budget ends the request.
    end: CancellationToken,
}

impl Budget {
    /// Creates the budget of requests whose callers have not proven an identity.
    pub(super) fn unproven(limits: &Limits) -> Self {
        let per_network = limits.unproven_bytes_per_address;
        Self::new(limits.unproven_bytes, per_network, First::Oldest)
    }

    /// Creates the budget of answers that proven callers have not read.
    pub(super) fn unread() -> Self {
        Self::new(UNREAD, UNREAD_PER_ADDRESS, First::Largest)
    }

    fn new(total: usize, per_network: usize, first: First) -> Self {
        Self(Arc::new(Shared {
            total,
            per_network,
            first,
            table: Mutex::default(),
        }))
    }

    /// Charges a new request. Cancels `end` if the budget ends the request.
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
            budget: self.clone(),
            network,
            id,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code that holds the lock can panic halfway through a change.
        self.0.table.lock()
    }
}

impl Table {
    /// Adds to a charge. Does nothing if the request is no longer charged.
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

    /// Ends requests until the rest fits.
    fn fit(&mut self, network: Network, bounds: &Shared) {
        // One alone stays, however long its answer is: ending it makes room for no other request.
        let is_over = |own: &Own| own.bytes > bounds.per_network && own.requests.len() > 1;
        while self.networks.get(&network).is_some_and(is_over) && self.end(network, bounds.first) {}
        while self.bytes > bounds.total {
            // Among addresses that hold about as much, the one that has held it longest. Otherwise
            // many addresses with a little less each could end a whole request.
            let holds = |own: &Own| {
                (
                    own.bytes / ONE,
                    Reverse(own.requests.keys().next().copied()),
                )
            };
            let largest = self.networks.iter().max_by_key(|(_, own)| holds(own));
            let Some((&largest, _)) = largest else { break };
            if !self.end(largest, bounds.first) {
                break;
            }
        }
    }

    fn end(&mut self, network: Network, first: First) -> bool {
        let own = self.networks.get(&network);
        let chosen = own.and_then(|own| first.of(own));
        let Some(held) = chosen.and_then(|id| self.remove(network, id)) else {
            return false;
        };
        held.end.cancel();
        let cause = first.cause();
        metrics::counter!("daypass_requests_ended_total", "cause" => cause).increment(1);
        true
    }
}

/// Charge of one request. Dropping it returns the bytes.
pub(super) struct Charge {
    budget: Budget,
    network: Network,
    id: u64,
}

impl Charge {
    /// Adds `bytes` to the charge.
    pub(super) fn grow(&self, bytes: usize) {
        let mut table = self.budget.table();
        table.grow(self.network, self.id, bytes);
        table.fit(self.network, &self.budget.0);
    }

    /// Takes `bytes` off the charge.
    pub(super) fn shrink(&self, bytes: usize) {
        self.budget.table().shrink(self.network, self.id, bytes);
    }

    /// Replaces the token that is cancelled if the budget ends the request.
    pub(super) fn end_by(&self, end: CancellationToken) {
        let mut table = self.budget.table();
        let own = table.networks.get_mut(&self.network);
        if let Some(held) = own.and_then(|own| own.requests.get_mut(&self.id)) {
            held.end = end;
        }
    }

    /// Returns all bytes. Later changes of this charge have no effect.
    pub(super) fn end(&self) {
        self.budget.table().remove(self.network, self.id);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn unproven(total: usize, per_address: usize) -> Budget {
        Budget::new(total, per_address, First::Oldest)
    }

    struct Request {
        charge: Charge,
        end: CancellationToken,
    }

    fn request(budget: &Budget, address: &str, bytes: usize) -> Request {
        let end = CancellationToken::new();
        let network = Network::of(address.parse().unwrap());
        let charge = budget.charge(network, bytes, end.clone());
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
        let unproven = unproven(10 * ONE, 10 * ONE);
        let small = request(&unproven, "10.0.0.1", 2 * ONE);
        let large = request(&unproven, "10.0.0.2", 5 * ONE);
        let newcomer = request(&unproven, "10.0.0.3", 4 * ONE);
        assert!(large.end.is_cancelled());
        assert!(!small.end.is_cancelled() && !newcomer.end.is_cancelled());
    }

    #[test]
    fn a_request_that_comes_whole_does_not_give_way_to_many_addresses_with_less() {
        let unproven = unproven(10 * ONE, 5 * ONE);
        let address = |n: usize| format!("10.0.{}.{}", n / 250, n % 250);
        let crowd: Vec<_> = (0..20)
            .map(|n| request(&unproven, &address(n), ONE / 2))
            .collect();
        let honest = request(&unproven, "10.1.0.1", ONE / 2 + 9_000);
        assert!(crowd[0].end.is_cancelled() && !honest.end.is_cancelled());
    }

    #[test]
    fn a_message_is_charged_as_it_comes_until_its_caller_is_known() {
        let unproven = unproven(1000, 100);
        let proven = request(&unproven, "10.0.0.1", 10);
        proven.charge.grow(80);
        proven.charge.end();
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
    fn of_unread_answers_the_largest_gives_way_and_a_quiet_watch_never() {
        let unread = Budget::new(1000, 100, First::Largest);
        let watch = request(&unread, "10.0.0.1", 0);
        let small = request(&unread, "10.0.0.1", 30);
        let large = request(&unread, "10.0.0.1", 60);
        small.charge.grow(20);
        assert!(large.end.is_cancelled());
        assert!(!watch.end.is_cancelled() && !small.end.is_cancelled());
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
