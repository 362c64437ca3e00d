//! The state itself: a table for each kind of thing that the past decides, and its queries. Pure.

use time::OffsetDateTime;

use super::{
    agreed, challenges, locks, orders,
    passes::{self, PassRecord},
    people, policies,
    rejection::Rejection,
    requests::{self, Request},
};
use crate::ledger::event::Actor;

/// What stands after some number of events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerState {
    pub(super) passes: passes::Passes,
    pub(super) requests: requests::Requests,
    pub(super) locks: locks::Locks,
    pub(super) challenges: challenges::Challenges,
    pub(super) people: people::People,
    pub(super) orders: orders::Orders,
    pub(super) agreed: agreed::Agreed,
    pub(super) policies: policies::Policies,
}

impl LedgerState {
    /// The hash of the policy in force, by what is recorded; `None` before the first.
    pub fn policy(&self) -> Option<&str> {
        self.policies.current().map(|hash| &**hash)
    }

    /// What the daemon's clock and the issuers' clocks agreed on last: it is at least so late. `None` before the first token.
    pub fn agreed_time(&self) -> Option<OffsetDateTime> {
        self.agreed.time()
    }

    /// The passes that may still be good somewhere, by serial: all but those that ended more than [`MARGIN`] before
    /// [`LedgerState::agreed_time`].
    pub fn passes(&self) -> impl Iterator<Item = &PassRecord> {
        self.passes.iter()
    }

    /// Whether `serial` is one of [`LedgerState::passes`].
    pub fn has_pass(&self, serial: u64) -> bool {
        self.passes.get(serial).is_some()
    }

    /// The request or review of that id, while it is remembered.
    pub fn request(&self, id: u64) -> Option<&Request> {
        self.requests.get(id)
    }

    /// The request `id`, where this identity and key may redeem it at `now`.
    ///
    /// # Errors
    /// The rule that is against it.
    pub fn redeemable(
        &self,
        id: u64,
        who: &Actor,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<&Request, Rejection> {
        self.requests.redeemable(id, who, key, now)
    }

    /// Requests and reviews by id: all that wait, and those that ended last.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// Those with larger ids than `id`.
    pub fn requests_after(&self, id: u64) -> impl Iterator<Item = &Request> {
        self.requests.after(id)
    }

    /// The requests and reviews that changed after this revision, in the order of their last changes.
    pub fn changed_after(&self, revision: u64) -> impl Iterator<Item = &Request> {
        self.requests.changed_after(revision)
    }

    /// The requests whose time ended after `from`, up to `to`, before any event ended them.
    pub fn ended_between(
        &self,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> impl Iterator<Item = &Request> {
        self.requests.ended_between(from, to)
    }

    /// A number that grows with each change of a request.
    pub fn revision(&self) -> u64 {
        self.requests.revision()
    }
}
