//! The identities that may approve an ask or review an emergency. Pure.

use super::{
    Ask, Person, Policy,
    condition::{Condition, EvalContext},
};
use crate::identity::Identity;

impl Policy {
    /// Whether `identity` may approve or deny this ask: the role's `approval.by`.
    pub(crate) fn may_approve(&self, identity: &Identity, ask: &Ask) -> bool {
        self.approves(identity.into(), ask)
    }

    /// [`Policy::may_approve`] over recorded claims, because an approver must still be permitted
    /// when the request is redeemed.
    pub(crate) fn approves(&self, person: Person<'_>, ask: &Ask) -> bool {
        let role = self.role(&ask.role).ok();
        let by = role.and_then(|role| role.approval.as_ref());
        by.is_some_and(|approval| self.holds(&approval.by, person, ask))
    }

    /// Whether `identity` may close the review of this emergency: the role's `emergency.review`.
    pub(crate) fn may_review(&self, identity: &Identity, ask: &Ask) -> bool {
        let role = self.role(&ask.role).ok();
        let review = role.and_then(|role| role.emergency.as_ref());
        review.is_some_and(|emergency| self.holds(&emergency.review, identity.into(), ask))
    }

    pub(super) fn holds(&self, condition: &Condition, person: Person<'_>, ask: &Ask) -> bool {
        EvalContext::new(person, ask, &self.patterns)
            .is_ok_and(|eval_context| condition.evaluate(&eval_context) == Ok(true))
    }
}
