//! Admits and applies events. Pure.

use super::{LedgerState, PassRecord, Rejection, Rule, Verb};
use crate::ledger::{
    Event, EventKind,
    event::{Applicant, RequestDecision, Target},
};
use crate::unix_seconds::UnixSeconds;

impl LedgerState {
    /// Checks that `event` may come next.
    ///
    /// # Errors
    /// Returns the objection by the rule that is broken.
    pub(crate) fn admit(&self, event: &Event) -> Result<(), Rejection> {
        self.admit_restoring(event)?;
        if let Some(order) = event.what.order() {
            self.admit_order(&order)?;
        }
        match &event.what {
            EventKind::Requested(asked) => {
                self.policies.expect_in_force(&asked.policy)?;
                let (who, key) = (&asked.who, Some(&*asked.key));
                self.expect_unlocked(&Applicant::new(who, key, Some(&asked.ask.role)))?;
                self.requests.admit_request(event, asked)
            }
            EventKind::Approved(decided) => self.decision(Verb::Approve, event, decided),
            EventKind::Refused(decided) => self.decision(Verb::Deny, event, decided),
            EventKind::Cancelled(decided) => self.decision(Verb::Cancel, event, decided),
            EventKind::Reviewed(decided) => self.decision(Verb::Review, event, decided),
            EventKind::Issued(issued) => {
                let (who, key) = (&issued.who, Some(&*issued.key));
                self.expect_unlocked(&Applicant::new(who, key, Some(&issued.ask.role)))?;
                self.expect_later(event)?;
                match &issued.jump {
                    None => {
                        self.policies.expect_in_force(&issued.policy)?;
                        self.expect_unlocked_approvers(issued)?;
                        self.admit_emergency(issued)?;
                        self.requests.admit_pass(event, issued)
                    }
                    Some(jump) => {
                        self.expect_signers_unlocked(issued)?;
                        self.admit_jump(issued, jump)
                    }
                }
            }
            EventKind::Revoked(revoked) => self.admit_revoked(event, revoked),
            EventKind::Locked(locked) => self.admit_locked(event, locked),
            EventKind::Unlocked(unlocked) => self.admit_unlocked(unlocked),
            EventKind::SigningFailed { serial, .. } if !self.has_pass(*serial) => {
                let what = "no earlier pass has this serial";
                Err(Rejection::new(Rule::NoSuchPass, what))
            }
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. } => Ok(()),
        }
    }

    fn decision(
        &self,
        verb: Verb,
        event: &Event,
        decided: &RequestDecision,
    ) -> Result<(), Rejection> {
        self.policies.expect_in_force(&decided.policy)?;
        self.expect_unlocked_decider(decided)?;
        self.requests.admit_decision(verb, event, decided)
    }

    /// Takes in the next event, and forgets what has ended by the agreed time.
    pub(crate) fn apply(&mut self, event: &Event) {
        if event.index == 0 {
            self.locks.changed_at = UnixSeconds::from(event.at);
        }
        self.agreed.hear(event);
        let agreed = self.agreed.seconds();
        if self.passes.forget_before(agreed) {
            self.changed_revocations(event);
        }
        self.challenges.forget_before(agreed);
        self.requests.apply(event);
        self.learn(event);
        match &event.what {
            EventKind::Issued(issued) => {
                self.passes
                    .add(PassRecord::of(event, issued, self.policies.current()));
                self.challenges.apply(event, issued, agreed);
            }
            EventKind::SigningFailed { serial, .. } => {
                let removed = self.passes.remove(*serial);
                if removed.is_some_and(|pass| pass.is_revoked) {
                    self.changed_revocations(event);
                }
            }
            EventKind::Requested(_)
            | EventKind::Approved(_)
            | EventKind::Refused(_)
            | EventKind::Cancelled(_)
            | EventKind::Reviewed(_) => (),
            EventKind::Revoked(revoked) => {
                self.apply_before(event, &revoked.target);
                self.apply_revoked(event, &revoked.serials);
                self.apply_through(event, &revoked.target);
                self.orders
                    .apply(&Target::from(&revoked.target), event.index);
            }
            EventKind::Locked(locked) => self.apply_locked(event, locked),
            EventKind::Unlocked(unlocked) => self.apply_unlocked(event, unlocked),
            EventKind::Started {
                restored, by_hand, ..
            } => {
                self.apply_started(event);
                self.apply_restored(event, *restored, *by_hand);
            }
            EventKind::Skipped => self.apply_skipped(event),
            EventKind::PolicyLoaded { policy, text } => {
                self.policies.load(event.index, policy, text.is_some());
            }
            EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. } => self.keys.apply(event),
            EventKind::Denied { .. } | EventKind::Denials(_) => (),
        }
    }
}
