//! Why an event may not come next. Pure.

use crate::reason;

/// Why an event may not come next: the rule, and a sentence for whoever wanted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// The rule that is against it.
    pub rule: Rule,
    /// One line for the caller.
    pub detail: String,
}

impl Rejection {
    /// An objection with a sentence that says what would help.
    pub fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self {
            rule,
            detail: detail.into(),
        }
    }
}

/// Stable rules of objection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The identity, key or role is locked.
    Locked,
    /// There is no such request.
    NoSuchRequest,
    /// It is the decider's own.
    OwnRequest,
    /// This identity has decided before.
    AlreadyDecided,
    /// It has ended, or has all that it needs.
    NotPending,
    /// It still waits.
    NotApproved,
    /// Its time is over.
    Expired,
    /// It was redeemed before.
    Redeemed,
    /// It is another identity's, or another key's.
    OtherHolder,
    /// The ask is not the one that was approved.
    OtherAsk,
    /// This identity has too many open.
    TooMany,
    /// What should be unlocked is not locked.
    NoSuchLock,
    /// What should be revoked is no pass, or no longer one.
    NoSuchPass,
    /// An event revokes other passes than those it is aimed at.
    Serials,
    /// A challenge was answered before.
    ChallengeUsed,
    /// Everything of its time was revoked before it was recorded.
    RevokedMeanwhile,
    /// A jump pass does not belong to the pass that it names.
    Jump,
    /// An administrator's order has no signature.
    Unsigned,
    /// An administrator's order does not follow the last one about the same target.
    Stale,
    /// An administrator's order covers other identities than it states.
    Covers,
    /// An administrator's order names a time that there is not.
    Time,
    /// A key decides what it asked for, or decides it again.
    KeyUsed,
    /// Another policy came into force since it was decided.
    PolicyChanged,
}

impl Rule {
    /// The stable code of the wire and the ledger.
    pub fn code(self) -> &'static str {
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
            Self::RevokedMeanwhile => reason::REVOKED_MEANWHILE,
            Self::Jump => reason::JUMP,
            Self::Unsigned => reason::ORDER_UNSIGNED,
            Self::Stale => reason::ORDER_STALE,
            Self::Covers => reason::ORDER_COVERS,
            Self::Time => reason::ORDER_TIME,
            Self::KeyUsed => reason::KEY_USED,
            Self::PolicyChanged => reason::POLICY_CHANGED,
        }
    }
}
