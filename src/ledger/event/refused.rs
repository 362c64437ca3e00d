//! What stands in the ledger instead of an event that the standing is against. Pure.

use super::{Actor, EventKind, RequestDecision, RequestDetails};
use crate::ledger::{
    order::Proof,
    state::{Rejection, Rule},
};

impl EventKind {
    /// The event that stands in the ledger instead of this one where there is an objection to it: an ask's denial. What
    /// nobody asked for leaves nothing.
    pub fn refused(self, rejection: &Rejection) -> Option<Self> {
        if rejection.rule == Rule::PolicyChanged {
            // It is decided again by the new policy, and that decision is recorded.
            return None;
        }
        let denial = match self {
            Self::Issued(issued) => Some(Self::Denied {
                who: issued.who,
                ask: issued.ask,
                key: Some(issued.key),
                reason: rejection.rule.code().to_owned(),
                detail: rejection.detail.clone(),
                policy: issued.policy,
                cut: false,
                unbound: issued.binding == "none",
            }),
            Self::Requested(asked) => Some(Self::Denied {
                who: asked.who,
                ask: asked.ask,
                key: Some(asked.key),
                reason: rejection.rule.code().to_owned(),
                detail: rejection.detail.clone(),
                policy: asked.policy,
                cut: false,
                unbound: false,
            }),
            Self::Approved(decided)
            | Self::Refused(decided)
            | Self::Cancelled(decided)
            | Self::Reviewed(decided)
                if rejection.rule != Rule::NoSuchRequest =>
            {
                Some(decided.denied(rejection))
            }
            Self::Locked(it) => Some(order(
                it.who,
                it.proof,
                format!("lock {}", it.target),
                rejection,
            )),
            Self::Unlocked(it) => Some(order(
                it.who,
                it.proof,
                format!("unlock {}", it.target),
                rejection,
            )),
            Self::Revoked(it) => Some(order(
                it.who,
                it.proof,
                format!("revoke {}", it.target),
                rejection,
            )),
            _ => None,
        };
        denial.map(Self::bounded)
    }
}

/// The denial of what an administrator wanted.
fn order(who: Actor, proof: Option<Proof>, wanted: String, rejection: &Rejection) -> EventKind {
    EventKind::Denied {
        who,
        ask: RequestDetails::default(),
        key: proof.and_then(|proof| proof.fingerprint()),
        reason: rejection.rule.code().to_owned(),
        detail: format!("{wanted}: {rejection}"),
        policy: String::new(),
        cut: false,
        unbound: false,
    }
}

impl RequestDecision {
    fn denied(self, rejection: &Rejection) -> EventKind {
        let ask = RequestDetails {
            role: self.role,
            request: Some(self.request),
            ..RequestDetails::default()
        };
        EventKind::Denied {
            who: self.who,
            ask,
            key: None,
            reason: rejection.rule.code().to_owned(),
            detail: rejection.detail.clone(),
            policy: self.policy,
            cut: false,
            unbound: false,
        }
    }
}
