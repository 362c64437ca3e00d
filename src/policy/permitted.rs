//! The privileges of an identity: reading the ledger, administering the server. Pure.

use std::collections::BTreeSet;

use super::{
    Ask, Policy,
    condition::{Condition, EvalContext},
};
use crate::identity::Identity;

impl Policy {
    /// Whether the identity may read the ledger: `[audit] allow`. Without it, no identity may.
    pub(crate) fn may_audit(&self, identity: &Identity) -> bool {
        self.is_permitted(self.privileges.audit.as_ref(), identity)
    }

    /// Whether the identity may lock, unlock and revoke: `[admin] allow`. Without it, no identity
    /// may.
    pub(crate) fn may_administer(&self, identity: &Identity) -> bool {
        self.is_permitted(self.privileges.admin.as_ref(), identity)
    }

    /// Fingerprints of the administrators' keys: `[admin] keys`. Clients and hosts remember them,
    /// for the statement that accepts a restored ledger.
    pub(crate) fn administrators_keys(&self) -> &BTreeSet<String> {
        &self.privileges.admin_keys
    }

    fn is_permitted(&self, privilege: Option<&Condition>, identity: &Identity) -> bool {
        let ask = Ask::default();
        let eval_context = EvalContext::new(identity.into(), &ask, &self.patterns);
        match (privilege, eval_context) {
            (Some(allow), Ok(eval_context)) => allow.evaluate(&eval_context) == Ok(true),
            (None, _) | (_, Err(_)) => false,
        }
    }
}
