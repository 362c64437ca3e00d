//! The identity that an event names. Pure.

use serde::{Deserialize, Serialize};

/// Who, as the ledger names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim. `(issuer, subject)` is the identity.
    pub subject: String,
    /// A name for people: the verified e-mail, else the subject.
    pub label: String,
    /// The claims the decision was made over (groups and the like), for `explain` and `replay`.
    pub claims: serde_json::Value,
}
