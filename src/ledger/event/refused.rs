//! The denial that is recorded instead of an event that the ledger state rejects. Pure.

use std::fmt::Display;

use super::{Actor, CaKeyOrdered, EventKind, RequestDecision, RequestDetails};
use crate::ledger::{
    order::Proof,
    state::{Rejection, Rule},
};

impl EventKind {
    /// The denial to record instead of this rejected event.
    ///
    /// Returns `None` for an event that no caller asked for.
    pub(crate) fn refused(self, rejection: &Rejection) -> Option<Self> {
        if matches!(rejection.rule, Rule::PolicyChanged | Rule::CaKeyChanged) {
            // The new policy, or a draft for the new key, is decided again, and that is recorded.
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
                by: issued.on_behalf.map(|it| Box::new(it.by)),
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
                by: None,
            }),
            Self::Approved(decided)
            | Self::Refused(decided)
            | Self::Cancelled(decided)
            | Self::Reviewed(decided) => {
                let is_known = rejection.rule != Rule::NoSuchRequest;
                is_known.then(|| decided.denied(rejection))
            }
            Self::Locked(it) => Some(order(it.who, it.proof, ("lock", &it.target), rejection)),
            Self::Unlocked(it) => Some(order(it.who, it.proof, ("unlock", &it.target), rejection)),
            Self::Revoked(it) => Some(order(it.who, it.proof, ("revoke", &it.target), rejection)),
            Self::LedgerKeyChanged(it) => Some(order(it.who, it.proof, ("change ledger key", &it.handover.new), rejection)),
            Self::HostAdded(it) => Some(order(it.who, it.proof, ("add host", &it.host), rejection)),
            Self::HostRemoved(it) => Some(order(it.who, it.proof, ("remove host", &it.host), rejection)),
            Self::CaKeyOrdered(it) => Some(it.refused(rejection)),
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::SigningFailed { .. }
            | Self::Denied { .. }
            | Self::Denials(_)
            | Self::Skipped
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. }
            // A code was guessed, or a host's keys are others: no identity is proven.
            | Self::HostJoined(_)
            | Self::HostCertified(_)
            | Self::HostBehind(_)
            | Self::HostCurrent { .. }
            | Self::ForeignLogin(_) => None,
        };
        denial.map(Self::bounded)
    }
}

/// The denial of an administrator's order.
fn order(
    who: Actor,
    proof: Option<Proof>,
    (verb, target): (&str, &dyn Display),
    rejection: &Rejection,
) -> EventKind {
    EventKind::Denied {
        who,
        ask: RequestDetails::default(),
        key: proof.and_then(|proof| proof.fingerprint()),
        reason: rejection.rule.code().to_owned(),
        detail: format!("{verb} {target}: {rejection}"),
        policy: String::new(),
        cut: false,
        unbound: false,
        by: None,
    }
}

impl CaKeyOrdered {
    fn refused(self, rejection: &Rejection) -> EventKind {
        let about = self.target();
        order(
            self.who,
            self.proof,
            (self.step.as_str(), &about),
            rejection,
        )
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
            by: None,
        }
    }
}
