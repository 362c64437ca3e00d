//! The identity that an event names. Pure.

use serde::{Deserialize, Serialize};

use super::claims::Claims;

/// An identity as the ledger names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim. `(issuer, subject)` is the identity.
    pub subject: String,
    /// Display name: the verified e-mail, otherwise the subject.
    pub label: String,
    /// The claims that were evaluated (groups, for example), for `explain` and `replay`.
    pub claims: Claims,
}
