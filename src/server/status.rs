//! Errors of calls, and their one mapping to the wire. The caller gets a code, a stable reason and
//! a message. Causes stay in the log and the ledger.

use std::time::Duration;

use time::OffsetDateTime;
use tonic::{Code, Status};

use super::{convert::Malformed, limits::NoPlace};
use crate::{
    ca, identity,
    ledger::state::Rule,
    operations,
    proto::status::{Details, SERVER_TIME},
    reason,
    ssh::key,
    unix_seconds::UnixSeconds,
};

/// Error of a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// This address or identity has used up its rate.
    #[error("too many calls: wait {} ms and try again", .0.as_millis())]
    RateLimited(Duration),
    /// The identity or the server has its most watches.
    #[error(transparent)]
    TooManyWatches(NoPlace),
    /// The watch did not read its changes, or was evicted by another.
    #[error("the watch fell behind, or made room for another: start it again")]
    WatchEnded,
    /// The caller's identity, or its possession of the key, is not proven.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The request is malformed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// No pass is issued for such a key.
    #[error("subject key is refused: {0}")]
    SubjectKey(key::InvalidKey),
    /// Error of the operation.
    #[error(transparent)]
    Operation(#[from] operations::Error),
    /// The operating system returned no random bytes.
    #[error("failed to draw a nonce: {0}")]
    Randomness(#[from] rand::Error),
    /// A key of the CA or of the caller cannot be encoded.
    #[error("failed to encode a key: {0}")]
    Encoding(#[from] ssh_key::Error),
}

impl CallError {
    /// Returns the stable reason code: `ErrorInfo.reason`, the log's `code`, the metrics' label.
    pub(super) fn reason(&self) -> &'static str {
        self.parts().1
    }

    /// Tells whether the server is at fault, so that an operator should look.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.parts().0, Code::Internal | Code::Unavailable)
    }

    /// The outcome of the call as metrics count it: one of `CODES`.
    pub(super) fn outcome(&self) -> &'static str {
        match self.parts().0 {
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::NotFound => "NOT_FOUND",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::Unavailable => "UNAVAILABLE",
            // The server makes no other one.
            _ => "INTERNAL",
        }
    }

    /// Builds the status for the caller, with `google.rpc` error details.
    pub(super) fn to_status(&self) -> Status {
        let (code, reason, message) = self.parts();
        self.details(code, reason).into_status(code, &message)
    }

    /// Builds the status of a call that started at `now`. If the token's times are at fault, the
    /// details hold this clock, so that the caller can compare it with their own.
    pub(super) fn to_status_at(&self, now: OffsetDateTime) -> Status {
        let (code, reason, message) = self.parts();
        let mut details = self.details(code, reason);
        if [reason::TOKEN_EXPIRED, reason::TOKEN_NOT_YET_VALID].contains(&reason) {
            let now = UnixSeconds::from(now).to_string();
            details.metadata.insert(SERVER_TIME.to_owned(), now);
        }
        details.into_status(code, &message)
    }

    fn details(&self, code: Code, reason: &str) -> Details {
        let mut details = Details::new(reason);
        details.retry_after = match self {
            Self::RateLimited(wait) => Some(*wait),
            Self::TooManyWatches(_)
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
        details
    }

    /// Returns code, reason and message, for every error of every layer below. No `_`: a new error
    /// must find its place here.
    fn parts(&self) -> (Code, &'static str, String) {
        match self {
            Self::RateLimited(_) => self.exhausted(reason::RATE_LIMITED),
            Self::TooManyWatches(_) => self.exhausted(reason::TOO_MANY_WATCHES),
            Self::WatchEnded => self.exhausted(reason::WATCH_ENDED),
            Self::Identity(error) if error.is_unavailable() => {
                (Code::Unavailable, error.code(), error.to_string())
            }
            Self::Identity(error) => (Code::Unauthenticated, error.code(), error.to_string()),
            Self::Malformed(error) => malformed(error),
            Self::SubjectKey(problem) => subject_key(problem),
            Self::Operation(error) => operation_parts(error),
            Self::Randomness(_) | Self::Encoding(_) => internal(),
        }
    }

    fn exhausted(&self, reason: &'static str) -> (Code, &'static str, String) {
        (Code::ResourceExhausted, reason, self.to_string())
    }
}

/// Returns code, reason and message of an operation's error.
fn operation_parts(error: &operations::Error) -> (Code, &'static str, String) {
    use operations::Error as Operation;
    let denied = |reason| (Code::PermissionDenied, reason, error.to_string());
    match error {
        Operation::SubjectKey(problem) => subject_key(problem),
        Operation::Denied(denial) => (
            Code::PermissionDenied,
            denial.reason.code(),
            denial.detail.clone(),
        ),
        Operation::Rejection(rejection) => (
            rejection_code(rejection.rule),
            rejection.rule.code(),
            rejection.detail.clone(),
        ),
        Operation::Possession(error) => (Code::Unauthenticated, error.code(), error.to_string()),
        Operation::HostProof(problem) => (
            Code::Unauthenticated,
            reason::POSSESSION,
            format!("a host key's signature does not count: {problem}"),
        ),
        Operation::AuditDenied => denied(reason::AUDIT_DENIED),
        Operation::AdminDenied => denied(reason::ADMIN_DENIED),
        Operation::Invalid(problem) => malformed(problem),
        Operation::NotFound(what) => (Code::NotFound, reason::NO_SUCH_ENTRY, what.clone()),
        Operation::Store(_) if error.may_pass() => unavailable(reason::STORE_UNAVAILABLE, NO_STORE),
        Operation::Store(_) => unavailable(reason::STORE_UNAVAILABLE, OTHER_LEDGER),
        Operation::PageFailed(problem) => unavailable(reason::PAGE_FAILED, problem),
        Operation::Ca(ca::Error::Refused { why, .. }) => (
            Code::PermissionDenied,
            reason::NOT_ISSUABLE,
            format!("the CA's signer did not sign this pass: {why}: tell the operator"),
        ),
        Operation::Ca(_) | Operation::KeyAway(_) => unavailable(reason::CA_UNAVAILABLE, NO_KEY),
        Operation::Krl(_) => internal(),
    }
}

fn malformed(problem: &impl ToString) -> (Code, &'static str, String) {
    let message = problem.to_string();
    (Code::InvalidArgument, reason::ASK_MALFORMED, message)
}

fn subject_key(problem: &key::InvalidKey) -> (Code, &'static str, String) {
    let message = problem.to_string();
    (Code::InvalidArgument, reason::SUBJECT_KEY, message)
}

fn unavailable(reason: &'static str, message: &str) -> (Code, &'static str, String) {
    (Code::Unavailable, reason, message.to_owned())
}

fn internal() -> (Code, &'static str, String) {
    (Code::Internal, reason::INTERNAL, OURS.to_owned())
}

/// Maps a rule of the ledger to a gRPC code.
fn rejection_code(rule: Rule) -> Code {
    match rule {
        Rule::TooMany | Rule::TooManyHosts => Code::ResourceExhausted,
        Rule::AlreadyDecided
        | Rule::NotPending
        | Rule::NotApproved
        | Rule::Expired
        | Rule::Redeemed
        | Rule::Jump
        | Rule::RevokedMeanwhile
        | Rule::Restoring
        | Rule::HostCodeUsed
        | Rule::HostKeyChanged
        | Rule::HostKnown
        | Rule::HostName
        | Rule::HostReport
        | Rule::CaKeyState
        | Rule::CaKeyInUse
        | Rule::CaKeyUntrusted
        | Rule::CaKeyMissing
        | Rule::LedgerKey
        | Rule::Stale => Code::FailedPrecondition,
        // The same call again is judged by the new policy, or signed by the new key.
        Rule::PolicyChanged | Rule::CaKeyChanged => Code::Unavailable,
        Rule::Locked
        | Rule::KeyUsed
        | Rule::OwnRequest
        | Rule::OtherHolder
        | Rule::OtherAsk
        | Rule::HostCode
        | Rule::ChallengeUsed
        | Rule::ConsentUsed
        | Rule::ConsentExpired => Code::PermissionDenied,
        Rule::NoSuchRequest | Rule::NoSuchLock | Rule::NoSuchPass | Rule::NoSuchHost => {
            Code::NotFound
        }
        Rule::Time | Rule::Through | Rule::HostOrder | Rule::HostKeys | Rule::CaKeyOrder => {
            Code::InvalidArgument
        }
        Rule::Serials
        | Rule::Covers
        | Rule::Unsigned
        | Rule::HostCertificate
        | Rule::HostMark
        | Rule::ForeignLogin => Code::Internal,
    }
}

/// Time after which the caller should retry if a store, key or issuer is down.
const RETRY: Duration = Duration::from_secs(2);

const NO_STORE: &str = "the ledger's database cannot be used at the moment, so no pass is issued; run the same \
     command again in a few seconds, and tell the operator if that does not help";
const OTHER_LEDGER: &str = "the ledger is not the one that this server knew, so no pass is issued until the operator has \
     looked at it: tell the operator";
const NO_KEY: &str = "the CA key could not sign: try again, and tell the operator";
const OURS: &str = "the server could not finish this call: tell the operator";
