//! Which event may come next, and what it changes. Pure.

use super::{Objection, Pass, Standing, Verb};
use crate::ledger::{
    Event, What,
    event::{Applicant, Decided, Target},
};

impl Standing {
    /// Whether `event` may come next.
    ///
    /// # Errors
    /// The rule that is against it.
    pub fn admit(&self, event: &Event) -> Result<(), Objection> {
        if let Some(order) = event.what.order() {
            self.admit_order(&order)?;
        }
        match &event.what {
            What::Requested(asked) => {
                self.policies.expect_in_force(&asked.policy)?;
                let (who, key) = (&asked.who, Some(&*asked.key));
                self.expect_unlocked(&Applicant::new(who, key, Some(&asked.ask.role)))?;
                self.requests.admit_request(event, asked)
            }
            What::Approved(decided) => self.decision(Verb::Approve, event, decided),
            What::Refused(decided) => self.decision(Verb::Deny, event, decided),
            What::Cancelled(decided) => self.decision(Verb::Cancel, event, decided),
            What::Reviewed(decided) => self.decision(Verb::Review, event, decided),
            What::Issued(issued) => {
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
            What::Revoked(revoked) => self.admit_revoked(event, revoked),
            What::Locked(locked) => self.admit_locked(event, locked),
            What::Unlocked(unlocked) => self.admit_unlocked(unlocked),
            What::Started { .. }
            | What::PolicyLoaded { .. }
            | What::SigningFailed { .. }
            | What::Denied { .. }
            | What::Denials(_)
            | What::KeyStaged { .. }
            | What::KeyActivated { .. }
            | What::KeyRetired { .. } => Ok(()),
        }
    }

    fn decision(&self, verb: Verb, event: &Event, decided: &Decided) -> Result<(), Objection> {
        self.policies.expect_in_force(&decided.policy)?;
        self.expect_unlocked_decider(decided)?;
        self.requests.admit_decision(verb, event, decided)
    }

    /// Takes in the next event of the ledger, and forgets what the agreed time has ended.
    pub fn apply(&mut self, event: &Event) {
        self.agreed.hear(event);
        let agreed = self.agreed.seconds();
        if self.passes.forget_before(agreed) {
            self.changed_revocations(event);
        }
        self.challenges.forget_before(agreed);
        self.requests.apply(event);
        self.learn(event);
        match &event.what {
            What::Issued(issued) => {
                self.passes
                    .add(Pass::of(event, issued, self.policies.current()));
                self.challenges.apply(event, issued, agreed);
            }
            What::SigningFailed { serial, .. } => {
                let removed = self.passes.remove(*serial);
                if removed.is_some_and(|pass| pass.is_revoked) {
                    self.changed_revocations(event);
                }
            }
            What::Requested(_)
            | What::Approved(_)
            | What::Refused(_)
            | What::Cancelled(_)
            | What::Reviewed(_) => (),
            What::Revoked(revoked) => {
                self.apply_before(event, &revoked.target);
                self.apply_revoked(event, &revoked.serials);
                self.orders
                    .apply(&Target::from(&revoked.target), event.index);
            }
            What::Locked(locked) => self.apply_locked(event, locked),
            What::Unlocked(unlocked) => self.apply_unlocked(event, unlocked),
            What::Started { .. } => self.apply_started(),
            What::PolicyLoaded { policy } => self.policies.load(policy),
            What::Denied { .. }
            | What::Denials(_)
            | What::KeyStaged { .. }
            | What::KeyActivated { .. }
            | What::KeyRetired { .. } => (),
        }
    }
}
