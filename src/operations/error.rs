//! Errors of operations, sorted by what the caller can do about them.

use crate::{
    ca, identity,
    ledger::state::{Rejection, Rule},
    policy::Denial,
    reason,
    ssh::{key, krl, sshsig},
    store,
};

/// Each variant says what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Ask for something else, or meet what the denial demands.
    #[error("denied: {}", .0.detail)]
    Denied(Denial),
    /// Ask the policy's author: its `[audit]` does not let this identity read the ledger.
    #[error("the policy does not let you read the ledger")]
    AuditDenied,
    /// Ask the policy's author: its `[admin]` does not name this identity.
    #[error("the policy does not let you administer this server")]
    AdminDenied,
    /// Sign in with another key.
    #[error("subject key is refused: {0}")]
    SubjectKey(key::InvalidKey),
    /// Sign with the host's keys.
    #[error("host key: {0}")]
    HostProof(#[source] sshsig::Error),
    /// Show the key that the token is bound to.
    #[error(transparent)]
    Possession(identity::Error),
    /// Correct the ask.
    #[error("{0}")]
    Invalid(String),
    /// Do what the objection says: the ledger holds something against it.
    #[error("refused: {0}")]
    Rejection(Rejection),
    /// Look elsewhere: there is no such entry.
    #[error("{0}")]
    NotFound(String),
    /// Try again later: the ledger cannot be written or read.
    #[error("store: {0}")]
    Store(#[source] store::Error),
    /// Try again later: the CA key is in another program, which does not answer.
    #[error("{0}")]
    KeyAway(#[source] ca::Error),
    /// Try again later, or call the people on duty: the role demands a page before an emergency,
    /// and no receiver acknowledged it.
    #[error("page: {0}")]
    PageFailed(String),
    /// Try again later: the CA did not make the pass.
    #[error("ca: {0}")]
    Ca(#[source] ca::Error),
    /// Tell the operator: the list of revoked passes does not read back, and is not published.
    #[error(transparent)]
    Krl(#[from] krl::Error),
}

impl Error {
    /// Whether the policy was replaced before the decision was recorded: nothing was recorded, and
    /// the policy in force must decide.
    pub(super) fn is_policy_changed(&self) -> bool {
        matches!(self, Self::Rejection(rejection) if rejection.rule == Rule::PolicyChanged)
    }

    /// Whether another CA key was activated before the pass was recorded: nothing was recorded, and
    /// the key that signs now gets a draft.
    pub(super) fn is_ca_key_changed(&self) -> bool {
        matches!(self, Self::Rejection(rejection) if rejection.rule == Rule::CaKeyChanged)
    }

    /// Whether the store fails in a way that the same call may not meet again, as during a
    /// failover.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Store(store::Error::Unavailable(_)))
    }

    /// The code and the sentence of a `denied` event. `None`: not a refusal of the ask, or one that
    /// is recorded elsewhere.
    pub(super) fn denial(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Denied(denial) => Some((denial.reason.code(), denial.detail.clone())),
            Self::Rejection(rejection) => Some((rejection.rule.code(), rejection.detail.clone())),
            Self::Invalid(problem) => Some((reason::ASK_MALFORMED, problem.clone())),
            Self::SubjectKey(_) => Some((reason::SUBJECT_KEY, self.to_string())),
            Self::Ca(error) => Some((reason::NOT_ISSUABLE, error.to_string())),
            Self::AuditDenied
            | Self::AdminDenied
            | Self::HostProof(_)
            | Self::Possession(_)
            | Self::NotFound(_)
            | Self::Store(_)
            | Self::PageFailed(_)
            | Self::KeyAway(_)
            | Self::Krl(_) => None,
        }
    }
}

impl From<ca::Error> for Error {
    fn from(error: ca::Error) -> Self {
        match error {
            ca::Error::SubjectKey(refusal) => Self::SubjectKey(refusal),
            ca::Error::Lint(_)
            | ca::Error::Receipt
            | ca::Error::Keys(_)
            | ca::Error::Key
            | ca::Error::Refused { .. }
            | ca::Error::Signature => Self::Ca(error),
            ca::Error::Away { .. } | ca::Error::Absent { .. } => Self::KeyAway(error),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Range { .. } => Self::NotFound(error.to_string()),
            store::Error::Rejection(rejection) => Self::Rejection(rejection),
            store::Error::Unavailable(_)
            | store::Error::Locked(_)
            | store::Error::Lacking(_)
            | store::Error::Start(_)
            | store::Error::Tampered(_) => Self::Store(error),
        }
    }
}
