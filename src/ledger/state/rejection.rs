//! Reasons why an event may not come next. Pure.

use crate::reason;

/// Reason why an event may not come next: the rule, and a sentence for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// The broken rule.
    pub rule: Rule,
    /// One line for the caller.
    pub detail: String,
}

impl Rejection {
    /// Creates an objection. The sentence says what would help.
    pub(crate) fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self {
            rule,
            detail: detail.into(),
        }
    }
}

/// The rules, with stable codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The identity, key or role is locked.
    Locked,
    /// There is no such request.
    NoSuchRequest,
    /// The decider made the request.
    OwnRequest,
    /// The identity has already decided.
    AlreadyDecided,
    /// The request has ended, or has all its approvals.
    NotPending,
    /// The request still waits for approval.
    NotApproved,
    /// The request has expired.
    Expired,
    /// The request was already redeemed.
    Redeemed,
    /// The request belongs to another identity or key.
    OtherHolder,
    /// The ask differs from the approved one.
    OtherAsk,
    /// The identity has too many open requests.
    TooMany,
    /// The target to unlock is not locked.
    NoSuchLock,
    /// The serial to revoke is not that of a valid pass.
    NoSuchPass,
    /// The event's serials are not those of its target.
    Serials,
    /// The challenge was already answered.
    ChallengeUsed,
    /// The user's consent has given a pass already.
    ConsentUsed,
    /// The user's consent was void before the pass was recorded.
    ConsentExpired,
    /// All passes of that time were revoked before this one was recorded.
    RevokedMeanwhile,
    /// The jump pass does not belong to the pass that it names.
    Jump,
    /// An administrator's order has no signature.
    Unsigned,
    /// An administrator's order does not follow the last one about the same target.
    Stale,
    /// An administrator's order states other identities than it covers.
    Covers,
    /// An administrator's order names a time after 9999.
    Time,
    /// The key made the request, or has already decided it.
    KeyUsed,
    /// Another policy came into force after the decision.
    PolicyChanged,
    /// The ledger was restored from a backup, and does not go on yet.
    Restoring,
    /// The size up to which an order skips is too small or too large.
    Through,
    /// The join code opens nothing.
    HostCode,
    /// The join code was used by a host with other keys.
    HostCodeUsed,
    /// The host is known with other keys.
    HostKeyChanged,
    /// The host's keys are not those of one host.
    HostKeys,
    /// There is no such host.
    NoSuchHost,
    /// The host is known already.
    HostKnown,
    /// Another host has the name.
    HostName,
    /// The order about a host is malformed.
    HostOrder,
    /// There are too many hosts.
    TooManyHosts,
    /// The host certificate is not one of its host.
    HostCertificate,
    /// The host is behind, or current, already.
    HostMark,
    /// The login is recorded already, or the host has too many of them.
    ForeignLogin,
    /// The report is as old as the last one, or of another time.
    HostReport,
    /// Another CA key signs.
    CaKeyChanged,
    /// The step is not one that the CA key can take.
    CaKeyState,
    /// The order about a CA key is malformed.
    CaKeyOrder,
    /// Passes of the CA key are still valid.
    CaKeyInUse,
    /// Known hosts do not trust the CA key yet.
    CaKeyUntrusted,
    /// The server does not have the CA key, or it does not sign.
    CaKeyMissing,
    /// The ledger cannot be handed over to this key.
    LedgerKey,
}

impl Rule {
    /// The stable code in the API and the ledger.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Locked => reason::LOCKED,
            Self::NoSuchRequest => reason::NO_SUCH_REQUEST,
            Self::OwnRequest => reason::OWN_REQUEST,
            Self::AlreadyDecided => reason::ALREADY_DECIDED,
            Self::NotPending => reason::REQUEST_CLOSED,
            Self::NotApproved => reason::REQUEST_PENDING,
            Self::Expired => reason::REQUEST_EXPIRED,
            Self::Redeemed => reason::REQUEST_REDEEMED,
            Self::OtherHolder => reason::OTHER_HOLDER,
            Self::OtherAsk => reason::OTHER_ASK,
            Self::TooMany => reason::TOO_MANY_REQUESTS,
            Self::NoSuchLock => reason::NO_SUCH_LOCK,
            Self::NoSuchPass => reason::NO_SUCH_PASS,
            Self::Serials => reason::REVOKED_SERIALS,
            Self::ChallengeUsed => reason::CHALLENGE_USED,
            Self::ConsentUsed => reason::CONSENT_USED,
            Self::ConsentExpired => reason::CONSENT_EXPIRED,
            Self::RevokedMeanwhile => reason::REVOKED_MEANWHILE,
            Self::Jump => reason::JUMP,
            Self::Unsigned => reason::ORDER_UNSIGNED,
            Self::Stale => reason::ORDER_STALE,
            Self::Covers => reason::ORDER_COVERS,
            Self::Time => reason::ORDER_TIME,
            Self::KeyUsed => reason::KEY_USED,
            Self::PolicyChanged => reason::POLICY_CHANGED,
            Self::Restoring => reason::LEDGER_RESTORED,
            Self::Through => reason::ORDER_SIZE,
            Self::HostCode => reason::HOST_CODE_INVALID,
            Self::HostCodeUsed => reason::HOST_CODE_USED,
            Self::HostKeyChanged => reason::HOST_KEY_CHANGED,
            Self::HostKeys => reason::HOST_KEYS,
            Self::NoSuchHost => reason::NO_SUCH_HOST,
            Self::HostKnown => reason::HOST_KNOWN,
            Self::HostName => reason::HOST_NAME,
            Self::HostOrder => reason::HOST_ORDER,
            Self::TooManyHosts => reason::TOO_MANY_HOSTS,
            Self::HostCertificate => reason::HOST_CERTIFICATE,
            Self::HostMark => reason::HOST_MARK,
            Self::ForeignLogin => reason::FOREIGN_LOGIN,
            Self::HostReport => reason::HOST_REPORT,
            Self::CaKeyChanged => reason::CA_KEY_CHANGED,
            Self::CaKeyState => reason::CA_KEY_STATE,
            Self::CaKeyOrder => reason::CA_KEY_ORDER,
            Self::CaKeyInUse => reason::CA_KEY_IN_USE,
            Self::CaKeyUntrusted => reason::CA_KEY_UNTRUSTED,
            Self::CaKeyMissing => reason::CA_KEY_MISSING,
            Self::LedgerKey => reason::LEDGER_KEY,
        }
    }
}
