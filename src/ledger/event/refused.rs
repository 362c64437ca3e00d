//! What stands in the ledger instead of an event that the standing is against. Pure.

use super::{Asked, Decided, What, Who};
use crate::ledger::{
    order::Proof,
    standing::{Objection, Rule},
};

impl What {
    /// The event that stands in the ledger instead of this one where there is an objection to it: an ask's denial. What
    /// nobody asked for leaves nothing.
    pub fn refused(self, objection: &Objection) -> Option<Self> {
        if objection.rule == Rule::PolicyChanged {
            // It is decided again by the new policy, and that decision is recorded.
            return None;
        }
        let denial = match self {
            Self::Issued(issued) => Some(Self::Denied {
                who: issued.who,
                ask: issued.ask,
                key: Some(issued.key),
                reason: objection.rule.code().to_owned(),
                detail: objection.detail.clone(),
                policy: issued.policy,
                cut: false,
                unbound: issued.binding == "none",
            }),
            Self::Requested(asked) => Some(Self::Denied {
                who: asked.who,
                ask: asked.ask,
                key: Some(asked.key),
                reason: objection.rule.code().to_owned(),
                detail: objection.detail.clone(),
                policy: asked.policy,
                cut: false,
                unbound: false,
            }),
            Self::Approved(decided)
            | Self::Refused(decided)
            | Self::Cancelled(decided)
            | Self::Reviewed(decided)
                if objection.rule != Rule::NoSuchRequest =>
            {
                Some(decided.denied(objection))
            }
            Self::Locked(it) => Some(order(
                it.who,
                it.proof,
                format!("lock {}", it.target),
                objection,
            )),
            Self::Unlocked(it) => Some(order(
                it.who,
                it.proof,
                format!("unlock {}", it.target),
                objection,
            )),
            Self::Revoked(it) => Some(order(
                it.who,
                it.proof,
                format!("revoke {}", it.target),
                objection,
            )),
            _ => None,
        };
        denial.map(Self::bounded)
    }
}

/// The denial of what an administrator wanted.
fn order(who: Who, proof: Option<Proof>, wanted: String, objection: &Objection) -> What {
    What::Denied {
        who,
        ask: Asked::default(),
        key: proof.and_then(|proof| proof.fingerprint()),
        reason: objection.rule.code().to_owned(),
        detail: format!("{wanted}: {objection}"),
        policy: String::new(),
        cut: false,
        unbound: false,
    }
}

impl Decided {
    fn denied(self, objection: &Objection) -> What {
        let ask = Asked {
            role: self.role,
            request: Some(self.request),
            ..Asked::default()
        };
        What::Denied {
            who: self.who,
            ask,
            key: None,
            reason: objection.rule.code().to_owned(),
            detail: objection.detail.clone(),
            policy: self.policy,
            cut: false,
            unbound: false,
        }
    }
}
