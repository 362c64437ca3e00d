//! Which policy is in force. Pure.
//!
//! What is decided names the policy that decided it, and is recorded only while that one is in
//! force. So the ledger shows for each pass by which rules it was given, and nothing is issued by
//! rules that were replaced while it was on its way (an emergency waits for its page, for example).

use std::sync::Arc;

use super::{Rejection, Rule};

/// The policy that came into force last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Policies {
    current: Option<Arc<str>>,
}

impl Policies {
    pub(super) fn load(&mut self, policy: &str) {
        self.current = Some(policy.into());
    }

    /// Its hash; `None` before the first.
    pub(super) fn current(&self) -> Option<&Arc<str>> {
        self.current.as_ref()
    }

    /// Refuses what another policy decided than the one in force. Before the first policy nothing
    /// can be compared.
    pub(super) fn expect_in_force(&self, policy: &str) -> Result<(), Rejection> {
        match &self.current {
            Some(current) if **current != *policy => Err(Rejection::policy_changed()),
            Some(_) | None => Ok(()),
        }
    }
}

impl Rejection {
    /// Of what another policy decided than the one in force.
    pub fn policy_changed() -> Self {
        Self::new(
            Rule::PolicyChanged,
            "the policy was replaced meanwhile: ask again",
        )
    }
}
