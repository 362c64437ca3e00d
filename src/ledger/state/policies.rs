//! The policy in force, and the events with the texts of policies. Pure.
//!
//! Each decision names its policy and is recorded only while that policy is in force. So the ledger
//! shows the rules behind each pass, and no pass is issued by rules that were replaced in the
//! meantime (while an emergency waited for its page, for example).
//!
//! The text is recorded at each change of the policy, so that a reader who goes through the ledger
//! in order needs to keep the last one only.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Rejection, Rule};

/// The policy that was loaded last, and where the texts of all are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Policies {
    current: Option<Arc<str>>,
    /// The index of the event that named it.
    version: u64,
    /// Whether the text of the current one was recorded at its change or since.
    has_text: bool,
    /// Index of the last event with the text of each policy, by the policy's hash.
    texts: BTreeMap<Arc<str>, u64>,
}

/// Reason why no policy is found by the beginning of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPolicy {
    /// No policy whose text was recorded has such a hash.
    Unknown,
    /// Several policies have.
    Several,
}

impl Policies {
    pub(super) fn load(&mut self, index: u64, policy: &str, has_text: bool) {
        let hash: Arc<str> = policy.into();
        let is_same = self.current.as_ref() == Some(&hash);
        self.has_text = has_text || (is_same && self.has_text);
        if has_text {
            self.texts.insert(Arc::clone(&hash), index);
        }
        self.current = Some(hash);
        self.version = index;
    }

    /// The index of the event that named it; 0 before the first.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The policy's hash; `None` before the first.
    pub(super) fn current(&self) -> Option<&Arc<str>> {
        self.current.as_ref()
    }

    /// Whether the event of this policy's load must have its text.
    pub(super) fn needs_text(&self, policy: &str) -> bool {
        !self.has_text || self.current.as_deref() != Some(policy)
    }

    /// Whether such an event without a text breaks the record: another policy comes into force
    /// after texts were recorded.
    pub(super) fn lacks_text(&self, policy: &str) -> bool {
        !self.texts.is_empty() && self.current.as_deref() != Some(policy)
    }

    /// The event with the text of the policy whose hash begins so; of the one in force if
    /// `beginning` is empty.
    pub(super) fn find(&self, beginning: &str) -> Result<u64, NoPolicy> {
        let beginning = match (beginning, &self.current) {
            ("", None) => return Err(NoPolicy::Unknown),
            ("", Some(current)) => &**current,
            (other, _) => other,
        };
        let from = self
            .texts
            .range::<str, _>((Bound::Included(beginning), Bound::Unbounded));
        let mut found = from.take_while(|(hash, _)| hash.starts_with(beginning));
        match (found.next(), found.next()) {
            (None, _) => Err(NoPolicy::Unknown),
            (Some((_, index)), None) => Ok(*index),
            (Some(_), Some(_)) => Err(NoPolicy::Several),
        }
    }

    /// Rejects a decision by another policy than the one in force. Accepts any policy before the
    /// first is recorded.
    pub(super) fn expect_in_force(&self, policy: &str) -> Result<(), Rejection> {
        match &self.current {
            Some(current) if **current != *policy => Err(Rejection::policy_changed()),
            Some(_) | None => Ok(()),
        }
    }
}

impl Rejection {
    /// The rejection of a decision by another policy than the one in force.
    pub(crate) fn policy_changed() -> Self {
        Self::new(
            Rule::PolicyChanged,
            "the policy changed in the meantime: ask again",
        )
    }

    /// The rejection of every decision by a server with another policy than the one in force.
    pub(crate) fn policy_elsewhere() -> Self {
        Self::new(
            Rule::PolicyChanged,
            "this server has another policy than the ledger names: try again later, or at another address of the CA",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_recorded_once_per_change() {
        let mut policies = Policies::default();
        assert!(policies.needs_text("aa"), "the first");
        policies.load(1, "aa", false);
        assert!(policies.needs_text("aa"), "of an earlier version");
        assert!(!policies.lacks_text("bb"), "of an earlier version");
        policies.load(2, "aa", true);
        assert!(!policies.needs_text("aa"), "a start with the same policy");
        policies.load(3, "aa", false);
        assert!(!policies.needs_text("aa"), "another start with it");
        assert!(policies.needs_text("bb"), "a change");
        assert!(policies.lacks_text("bb") && !policies.lacks_text("aa"));
        policies.load(4, "bb", true);
        assert!(policies.needs_text("aa"), "back to the first");
    }

    #[test]
    fn a_policy_is_found_by_the_beginning_of_its_hash() {
        let mut policies = Policies::default();
        assert_eq!(policies.find(""), Err(NoPolicy::Unknown), "no policy yet");
        for (index, hash) in [(1, "abc1"), (5, "abd2"), (9, "ff03")] {
            policies.load(index, hash, true);
        }
        for (beginning, expected) in [
            ("", Ok(9)),
            ("ff", Ok(9)),
            ("ff03", Ok(9)),
            ("abc", Ok(1)),
            ("ab", Err(NoPolicy::Several)),
            ("abc1f", Err(NoPolicy::Unknown)),
            ("0", Err(NoPolicy::Unknown)),
            ("fff", Err(NoPolicy::Unknown)),
        ] {
            assert_eq!(policies.find(beginning), expected, "{beginning}");
        }
        policies.load(12, "ee", false);
        assert_eq!(policies.find(""), Err(NoPolicy::Unknown), "without a text");
    }
}
