//! The ledger state: one table for each kind of record, and its queries. Pure.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    agreed, ca_keys, challenges, hosts, keys, ledger_keys, locks, orders,
    passes::{self, PassRecord},
    people,
    policies::{self, NoPolicy},
    rejection::Rejection,
    requests::{self, Request},
    restored,
};
use crate::ledger::{
    EventKind,
    event::{Actor, Applicant, Requested},
    handover::Handover,
};

/// The state after some number of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerState {
    pub(super) passes: passes::Passes,
    pub(super) requests: requests::Requests,
    pub(super) locks: locks::Locks,
    pub(super) challenges: challenges::Challenges,
    pub(super) people: people::People,
    pub(super) orders: orders::Orders,
    pub(super) agreed: agreed::Agreed,
    pub(super) policies: policies::Policies,
    pub(super) keys: keys::Keys,
    pub(super) ca_keys: ca_keys::CaKeys,
    pub(super) ledger_keys: ledger_keys::LedgerKeys,
    pub(super) restoring: restored::Restoring,
    pub(super) hosts: hosts::Hosts,
    pub(super) revocation_times: hosts::RevocationTimes,
}

impl LedgerState {
    /// The hash of the policy in force, according to the ledger; `None` before the first.
    pub(crate) fn policy(&self) -> Option<&str> {
        self.policies.current().map(|hash| &**hash)
    }

    /// Whether the event of this policy's load must have its text.
    pub(crate) fn needs_policy_text(&self, policy: &str) -> bool {
        self.policies.needs_text(policy)
    }

    /// Whether such an event without a text breaks the record.
    pub(crate) fn lacks_policy_text(&self, policy: &str) -> bool {
        self.policies.lacks_text(policy)
    }

    /// The index of the event with the text of the policy whose hash begins so; of the one in force
    /// if `beginning` is empty.
    ///
    /// # Errors
    /// Returns the reason why there is no such event.
    pub(crate) fn policy_text(&self, beginning: &str) -> Result<u64, NoPolicy> {
        self.policies.find(beginning)
    }

    /// The index of the last event about a key of the CA, if the last set of keys is exactly the
    /// one that these events name.
    pub(crate) fn keys_version(&self, set: &[EventKind]) -> Option<u64> {
        self.keys.version_of(set)
    }

    /// The handovers of the ledger's key, in their order.
    pub(crate) fn handovers(&self) -> &[Handover] {
        &self.ledger_keys.0
    }

    /// The index of the last event that named a policy.
    pub(crate) fn policy_version(&self) -> u64 {
        self.policies.version()
    }

    /// The time that the daemon's clock and the issuers' clocks have both passed; `None` before the
    /// first token.
    pub(crate) fn agreed_time(&self) -> Option<OffsetDateTime> {
        self.agreed.time()
    }

    /// The passes that a host may still accept, by serial: all except those that expired more than
    /// the margin before [`LedgerState::agreed_time`].
    pub(crate) fn passes(&self) -> impl Iterator<Item = &PassRecord> {
        self.passes.iter()
    }

    /// Of `serials`, the revoked passes of this identity.
    pub(crate) fn revoked_of(&self, who: (&str, &str), serials: &[u64]) -> Vec<u64> {
        let passes = serials.iter().filter_map(|serial| self.passes.get(*serial));
        let own = passes.filter(|pass| (pass.issuer.as_str(), pass.subject.as_str()) == who);
        let revoked = own.filter(|pass| pass.is_revoked);
        revoked.map(|pass| pass.serial).collect()
    }

    /// The pass with this serial, if it is one of [`LedgerState::passes`].
    pub(crate) fn pass(&self, serial: u64) -> Option<&PassRecord> {
        self.passes.get(serial)
    }

    /// Whether `serial` is one of [`LedgerState::passes`].
    pub(crate) fn has_pass(&self, serial: u64) -> bool {
        self.passes.get(serial).is_some()
    }

    /// The request or review with this id, while it is remembered.
    pub(crate) fn request(&self, id: u64) -> Option<&Request> {
        self.requests.get(id)
    }

    /// The open request of the same identity and key for the same pass as `asked`, if there is one
    /// at `now`. None for a locked identity, key or role: the ask is refused as a new one.
    pub(crate) fn open_already(&self, asked: &Requested, now: OffsetDateTime) -> Option<&Request> {
        let applicant = Applicant::new(&asked.who, Some(&asked.key), Some(&asked.ask.role));
        self.expect_unlocked(&applicant).ok()?;
        self.requests.open_already(asked, now)
    }

    /// The request `id`, if this identity and key may redeem it at `now`.
    ///
    /// # Errors
    /// Returns the rejection by the rule that is broken.
    pub(crate) fn redeemable(
        &self,
        id: u64,
        who: &Actor,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<&Request, Rejection> {
        self.requests.redeemable(id, who, key, now)
    }

    /// Requests and reviews by id: all that are open, and the last ones that ended.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// Requests and reviews with ids larger than `id`.
    pub(crate) fn requests_after(&self, id: u64) -> impl Iterator<Item = &Request> {
        self.requests.after(id)
    }

    /// Requests and reviews that changed after this revision, in the order of their last changes.
    pub(crate) fn changed_after(&self, revision: u64) -> impl Iterator<Item = &Request> {
        self.requests.changed_after(revision)
    }

    /// Requests that expired after `from`, up to `to`, and that no event had ended before.
    pub(crate) fn ended_between(
        &self,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> impl Iterator<Item = &Request> {
        self.requests.ended_between(from, to)
    }

    /// The revision: it grows with each change of a request.
    pub(crate) fn revision(&self) -> u64 {
        self.requests.revision()
    }
}
