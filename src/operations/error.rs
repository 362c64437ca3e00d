//! Why an operation fails, by what the caller can do about it.

use crate::{
    ca,
    ledger::standing::{Objection, Rule},
    policy::Denial,
    ssh::{key, krl},
    store,
};

/// By what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Ask for something else, or meet what the denial says.
    #[error("denied: {}", .0.detail)]
    Denied(Denial),
    /// Ask whoever keeps the policy: its `[audit]` does not let this identity read the ledger.
    #[error("the policy does not let you read the ledger")]
    AuditDenied,
    /// Ask whoever keeps the policy: its `[admin]` does not name this identity.
    #[error("the policy does not let you administer this server")]
    AdminDenied,
    /// Sign in with another key.
    #[error("subject key is refused: {0}")]
    SubjectKey(key::Refusal),
    /// Mend the ask.
    #[error("{0}")]
    Invalid(String),
    /// Do what the objection says: what stands in the ledger is against it.
    #[error("refused: {0}")]
    Objection(Objection),
    /// Look elsewhere: there is no such entry.
    #[error("{0}")]
    NotFound(String),
    /// Try again later: the ledger cannot be written or read.
    #[error("store: {0}")]
    Store(#[source] store::Error),
    /// Try again later, or call somebody: the role demands a page before an emergency, and nobody acknowledged it.
    #[error("page: {0}")]
    PageFailed(String),
    /// Try again later: the CA did not make the pass.
    #[error("ca: {0}")]
    Ca(#[source] ca::Error),
    /// Nothing to mend: the list of revoked passes does not read back, and is not published.
    #[error(transparent)]
    Krl(#[from] krl::Error),
}

impl Error {
    /// Whether it was decided by a policy that was replaced before the decision was recorded:
    /// nothing was recorded, and it can be decided again.
    pub(super) fn is_policy_changed(&self) -> bool {
        matches!(self, Self::Objection(objection) if objection.rule == Rule::PolicyChanged)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Range { .. } => Self::NotFound(error.to_string()),
            store::Error::Objection(objection) => Self::Objection(objection),
            unavailable => Self::Store(unavailable),
        }
    }
}
