//! The policy in force. Pure.
//!
//! Each decision names its policy and is recorded only while that policy is in force. So the ledger
//! shows the rules behind each pass, and no pass is issued by rules that were replaced in the
//! meantime (while an emergency waited for its page, for example).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Rejection, Rule};

/// The policy that was loaded last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Policies {
    current: Option<Arc<str>>,
}

impl Policies {
    pub(super) fn load(&mut self, policy: &str) {
        self.current = Some(policy.into());
    }

    /// The policy's hash; `None` before the first.
    pub(super) fn current(&self) -> Option<&Arc<str>> {
        self.current.as_ref()
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
}
