//! Denials that were counted instead of recorded one by one. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::actor::Actor;

/// So many more denials: of one identity, or of many together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denials {
    /// The identity that was refused, without its claims; absent: several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub who: Option<Actor>,
    /// How many identities were refused. One that comes again after it was forgotten counts again.
    pub identities: u64,
    /// How many denials these are, beside those with events of their own.
    pub count: u64,
    /// How many by each stable reason code.
    pub reasons: BTreeMap<String, u64>,
    /// Unix seconds of the first.
    pub since: u64,
    /// Unix seconds of the last.
    pub until: u64,
}

impl Denials {
    /// Whether it counts something, and the reasons add up to it.
    pub fn is_valid(&self) -> bool {
        let sum = self
            .reasons
            .values()
            .try_fold(0_u64, |sum, n| sum.checked_add(*n));
        self.count > 0
            && self.identities > 0
            && sum == Some(self.count)
            && (self.who.is_none() || self.identities == 1)
    }

    /// Adds `other`, which is of other identities.
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
