//! Counts of denials that got no event of their own. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use crate::unix_seconds::UnixSeconds;

/// A count of denials, of one identity or of several together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denials {
    /// The denied identity, without its claims; absent for several identities.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub who: Option<Actor>,
    /// Number of identities. An identity that was evicted and returns is counted again.
    pub identities: u64,
    /// Number of denials, without those that have events of their own.
    pub count: u64,
    /// Number of denials per stable reason code.
    pub reasons: BTreeMap<String, u64>,
    /// Time of the first denial.
    pub since: UnixSeconds,
    /// Time of the last denial.
    pub until: UnixSeconds,
}

impl Denials {
    /// Whether the count is positive and the reasons add up to it.
    pub(crate) fn is_valid(&self) -> bool {
        let sum = self
            .reasons
            .values()
            .try_fold(0_u64, |sum, n| sum.checked_add(*n));
        self.count > 0
            && self.identities > 0
            && sum == Some(self.count)
            && (self.who.is_none() || self.identities == 1)
    }

    /// Adds the denials of other identities.
    pub(in crate::ledger) fn merge(&mut self, other: Self) {
        self.who = None;
        self.identities = self.identities.saturating_add(other.identities);
        self.count = self.count.saturating_add(other.count);
        for (reason, count) in other.reasons {
            let sum = self.reasons.entry(reason).or_default();
            *sum = sum.saturating_add(count);
        }
        self.since = self.since.min(other.since);
        self.until = self.until.max(other.until);
    }
}
