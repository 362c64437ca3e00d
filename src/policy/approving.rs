//! The identities that may approve an ask or review an emergency, and the presence that an approval
//! may have to show. Pure.

use ssh_key::PublicKey;

use super::{
    Ask, Denial, Person, Policy, Reason,
    condition::{Condition, EvalContext},
    presence::PresenceKey,
};
use crate::{identity::Identity, ssh::key::fingerprint};

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

    /// Whether an approval of this ask needs a signature that shows presence.
    pub(crate) fn demands_presence(&self, ask: &Ask) -> bool {
        let approval = self.role(&ask.role).map(|role| &role.approval);
        approval.is_ok_and(|approval| approval.as_ref().is_some_and(|it| it.presence))
    }

    /// The keys of a person that show presence.
    pub(crate) fn presence_keys(&self, issuer: &str, subject: &str) -> &[PresenceKey] {
        self.presence_keys.of(issuer, subject)
    }

    /// Refuses an approval that lacks the presence that the role demands. `key` made a verified
    /// signature that shows presence.
    ///
    /// # Errors
    /// Returns [`Reason::Presence`] with what to do.
    pub(crate) fn expect_presence(
        &self,
        person: Person<'_>,
        ask: &Ask,
        key: Option<&PublicKey>,
    ) -> Result<(), Denial> {
        if !self.demands_presence(ask) {
            return Ok(());
        }
        let keys = self.presence_keys(person.issuer, person.subject);
        let role = &ask.role;
        let refuse = |detail| Err(Denial::new(Reason::Presence, detail));
        match key.map(fingerprint) {
            _ if keys.is_empty() => refuse(format!(
                "role {role:?} is approved with a passkey or security key, and none of yours is registered: make one at \
                 /web/passkey on the page, or with ssh-keygen -t ed25519-sk, and give its public line to an administrator for \
                 [[presence_identity]]"
            )),
            None => refuse(format!(
                "role {role:?} is approved with a passkey or security key under your hand: approve on the page, or with \
                 daypass approve --security-key PATH"
            )),
            Some(used) if keys.iter().any(|key| key.fingerprint == used) => Ok(()),
            Some(used) => refuse(format!(
                "the key {used} is not registered for you: sign with one that is, or give its public line to an administrator \
                 for [[presence_identity]]"
            )),
        }
    }

    /// Whether a recorded approval counts now: its approver may approve, and showed the presence
    /// that the role demands. `key` is the one of the recorded signature, which was verified.
    pub(crate) fn counts(&self, person: Person<'_>, ask: &Ask, key: Option<&str>) -> bool {
        let key = key.and_then(|key| PublicKey::from_openssh(key).ok());
        self.approves(person, ask) && self.expect_presence(person, ask, key.as_ref()).is_ok()
    }

    pub(super) fn holds(&self, condition: &Condition, person: Person<'_>, ask: &Ask) -> bool {
        EvalContext::new(person, ask, &self.patterns)
            .is_ok_and(|eval_context| condition.evaluate(&eval_context) == Ok(true))
    }
}
