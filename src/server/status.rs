//! Why a call is refused, and the one map from there to the wire. The caller gets a code, a stable
//! reason and words that help; causes stay in the log and the ledger.

use std::time::Duration;

use tonic::{Code, Status};

use super::{convert::Malformed, limits::WATCHES_PER_IDENTITY};
use crate::{identity, ledger::state::Rule, operations, proto::status::Details, reason, ssh::key};

/// Every way a call can fail.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Too many calls by this address or identity.
    #[error("too many calls: wait {} ms and try again", .0.as_millis())]
    RateLimited(Duration),
    /// This identity, or all together, watch as many as they may.
    #[error(
        "you have {} watches of requests open, or the server has too many: close one, or watch all requests at once with \
         `daypass requests watch`",
        WATCHES_PER_IDENTITY
    )]
    TooManyWatches,
    /// A watch did not take its changes, or made room for another.
    #[error("the watch fell behind, or made room for another: start it again")]
    WatchEnded,
    /// The caller's identity, or its possession of the key, is not proven.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The request cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// No pass is for such a key.
    #[error("subject key is refused: {0}")]
    SubjectKey(key::InvalidKey),
    /// What the operation said.
    #[error(transparent)]
    Operation(#[from] operations::Error),
    /// The machine has no randomness to give.
    #[error("failed to draw a nonce: {0}")]
    Randomness(#[from] rand::Error),
    /// A key of ours or of the caller's has no encoding.
    #[error("failed to encode a key: {0}")]
    Encoding(#[from] ssh_key::Error),
}

impl CallError {
    /// The stable reason code: `ErrorInfo.reason`, the log's `code`, the metrics' label.
    pub(super) fn reason(&self) -> &'static str {
        self.parts().1
    }

    /// Whether the fault is ours and an operator should look.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.parts().0, Code::Internal | Code::Unavailable)
    }

    /// What the caller gets.
    pub(super) fn to_status(&self) -> Status {
        let (code, reason, message) = self.parts();
        let mut details = Details::new(reason);
        details.retry_after = match self {
            Self::RateLimited(wait) => Some(*wait),
            Self::TooManyWatches
            | Self::WatchEnded
            | Self::Identity(_)
            | Self::Malformed(_)
            | Self::SubjectKey(_)
            | Self::Operation(_)
            | Self::Randomness(_)
            | Self::Encoding(_) => (code == Code::Unavailable).then_some(RETRY),
        };
        if let Self::Malformed(malformed) = self {
            details.field = Some(malformed.to_field());
        }
        if let Self::Operation(operations::Error::Denied(denial)) = self {
            let metadata = denial.metadata.iter();
            details.metadata = metadata
                .map(|(&name, value)| (name.to_owned(), value.clone()))
                .collect();
        }
        details.into_status(code, &message)
    }

    /// Code, reason and words, for every error of every layer below. No `_`: a new error must find
    /// its place here.
    fn parts(&self) -> (Code, &'static str, String) {
        use operations::Error as Operation;
        match self {
            Self::RateLimited(_) => (
                Code::ResourceExhausted,
                reason::RATE_LIMITED,
                self.to_string(),
            ),
            Self::TooManyWatches => (
                Code::ResourceExhausted,
                reason::TOO_MANY_WATCHES,
                self.to_string(),
            ),
            Self::WatchEnded => (
                Code::ResourceExhausted,
                reason::WATCH_ENDED,
                self.to_string(),
            ),
            Self::Identity(error) if error.is_unavailable() => {
                (Code::Unavailable, error.code(), error.to_string())
            }
            Self::Identity(error) => (Code::Unauthenticated, error.code(), error.to_string()),
            Self::Malformed(error) => (
                Code::InvalidArgument,
                reason::ASK_MALFORMED,
                error.to_string(),
            ),
            Self::SubjectKey(problem) | Self::Operation(Operation::SubjectKey(problem)) => (
                Code::InvalidArgument,
                reason::SUBJECT_KEY,
                problem.to_string(),
            ),
            Self::Operation(Operation::Denied(denial)) => (
                Code::PermissionDenied,
                denial.reason.code(),
                denial.detail.clone(),
            ),
            Self::Operation(Operation::Rejection(rejection)) => (
                objected(rejection.rule),
                rejection.rule.code(),
                rejection.detail.clone(),
            ),
            Self::Operation(error @ Operation::AuditDenied) => (
                Code::PermissionDenied,
                reason::AUDIT_DENIED,
                error.to_string(),
            ),
            Self::Operation(error @ Operation::AdminDenied) => (
                Code::PermissionDenied,
                reason::ADMIN_DENIED,
                error.to_string(),
            ),
            Self::Operation(Operation::Invalid(problem)) => (
                Code::InvalidArgument,
                reason::ASK_MALFORMED,
                problem.clone(),
            ),
            Self::Operation(Operation::NotFound(what)) => {
                (Code::NotFound, reason::NO_SUCH_ENTRY, what.clone())
            }
            Self::Operation(Operation::Store(_)) => (
                Code::Unavailable,
                reason::STORE_UNAVAILABLE,
                words(NO_STORE),
            ),
            Self::Operation(Operation::PageFailed(problem)) => {
                (Code::Unavailable, reason::PAGE_FAILED, problem.clone())
            }
            Self::Operation(Operation::Ca(_)) => {
                (Code::Unavailable, reason::CA_UNAVAILABLE, words(NO_KEY))
            }
            Self::Randomness(_) | Self::Encoding(_) | Self::Operation(Operation::Krl(_)) => {
                (Code::Internal, reason::INTERNAL, words(OURS))
            }
        }
    }
}

/// The class of what stands against a call.
fn objected(rule: Rule) -> Code {
    match rule {
        Rule::TooMany => Code::ResourceExhausted,
        Rule::AlreadyDecided
        | Rule::NotPending
        | Rule::NotApproved
        | Rule::Expired
        | Rule::Redeemed
        | Rule::Jump
        | Rule::RevokedMeanwhile
        | Rule::Stale => Code::FailedPrecondition,
        // The same call again is judged by the new policy.
        Rule::PolicyChanged => Code::Unavailable,
        Rule::Locked
        | Rule::KeyUsed
        | Rule::OwnRequest
        | Rule::OtherHolder
        | Rule::OtherAsk
        | Rule::ChallengeUsed => Code::PermissionDenied,
        Rule::NoSuchRequest | Rule::NoSuchLock | Rule::NoSuchPass => Code::NotFound,
        Rule::Time => Code::InvalidArgument,
        Rule::Serials | Rule::Covers | Rule::Unsigned => Code::Internal,
    }
}

/// How long to wait for a store, key or issuer that is down.
const RETRY: Duration = Duration::from_secs(2);

const NO_STORE: &str = "the ledger cannot record now, so no pass is issued: try again";
const NO_KEY: &str = "the CA key could not sign: try again, and tell the operator";
const OURS: &str = "the server could not finish this call: tell the operator";

fn words(text: &str) -> String {
    text.to_owned()
}
