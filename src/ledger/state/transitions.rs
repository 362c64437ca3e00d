//! Admits and applies events. Pure.

use super::{LedgerState, PassRecord, Rejection, Rule, Verb};
use crate::ledger::{
    Event, EventKind,
    event::{Applicant, Issued, LedgerKeyChanged, RequestDecision, Revoked, Target},
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
            EventKind::Issued(issued) => self.admit_issued(event, issued),
            EventKind::Revoked(revoked) => self.admit_revoked(event, revoked),
            EventKind::Locked(locked) => self.admit_locked(event, locked),
            EventKind::Unlocked(unlocked) => self.admit_unlocked(unlocked),
            EventKind::SigningFailed { serial, .. } if !self.has_certificate(*serial) => {
                let what = "no earlier pass has this serial";
                Err(Rejection::new(Rule::NoSuchPass, what))
            }
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Skipped => Ok(()),
            EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. } => self.expect_unordered(),
            EventKind::CaKeyOrdered(ordered) => self.admit_ca_key(event.at, ordered),
            EventKind::LedgerKeyChanged(changed) => self.ledger_keys.admit(event, changed),
            EventKind::HostAdded(added) => self.admit_added(event, added),
            EventKind::HostJoined(joined) => self.admit_joined(event, joined),
            EventKind::HostRemoved(removed) => self.expect_host(&removed.host),
            EventKind::HostCertified(certified) => self.admit_certified(certified),
            EventKind::HostBehind(behind) => self.admit_behind(event, behind),
            EventKind::HostCurrent { host } => self.admit_mark(event, host, false),
            EventKind::ForeignLogin(login) => self.admit_foreign(event, login),
        }
    }

    fn admit_issued(&self, event: &Event, issued: &Issued) -> Result<(), Rejection> {
        let (who, key) = (&issued.who, Some(&*issued.key));
        self.expect_unlocked(&Applicant::new(who, key, Some(&issued.ask.role)))?;
        self.expect_later(event)?;
        self.expect_active_key(issued)?;
        match &issued.jump {
            None => {
                self.policies.expect_in_force(&issued.policy)?;
                self.expect_unlocked_approvers(issued)?;
                self.admit_emergency(issued)?;
                self.admit_on_behalf(event, issued)?;
                self.requests.admit_pass(event, issued)
            }
            Some(jump) => {
                self.expect_signers_unlocked(issued)?;
                self.admit_jump(issued, jump)
            }
        }
    }

    /// Whether this is the serial of a pass or of a host certificate.
    pub(crate) fn has_certificate(&self, serial: u64) -> bool {
        self.has_pass(serial) || self.has_host_certificate(serial)
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
            // The key may have signed all the same: after the deadline, or for a stolen server. So
            // hosts must refuse the pass.
            EventKind::SigningFailed { serial, .. } => {
                self.hosts.forget_certificate(event, *serial, agreed);
                if self.has_pass(*serial) {
                    self.apply_revoked(event, &[*serial]);
                }
            }
            EventKind::Requested(_)
            | EventKind::Approved(_)
            | EventKind::Refused(_)
            | EventKind::Cancelled(_)
            | EventKind::Reviewed(_) => (),
            EventKind::Revoked(revoked) => self.apply_revocation(event, revoked),
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
            EventKind::CaKeyOrdered(ordered) => self.apply_ca_key(event, ordered),
            EventKind::LedgerKeyChanged(changed) => self.apply_handover(event, changed),
            EventKind::HostAdded(added) => self.apply_added(event, added),
            EventKind::HostJoined(joined) => self.hosts.join(event, joined, agreed),
            EventKind::HostRemoved(removed) => self.apply_removed(event, removed),
            EventKind::HostCertified(certified) => self.hosts.certify(event, certified, agreed),
            EventKind::HostBehind(behind) => self.hosts.mark(event, &behind.host, true),
            EventKind::HostCurrent { host } => self.hosts.mark(event, host, false),
            EventKind::ForeignLogin(login) => self.hosts.take_foreign(event, login),
            EventKind::Denied { .. } | EventKind::Denials(_) => (),
        }
    }

    fn apply_handover(&mut self, event: &Event, changed: &LedgerKeyChanged) {
        let target = Target::LedgerKey(changed.handover.new.to_string());
        self.orders.apply(&target, event.index);
        self.ledger_keys.apply(changed);
    }

    fn apply_revocation(&mut self, event: &Event, revoked: &Revoked) {
        self.apply_before(event, &revoked.target);
        self.apply_revoked(event, &revoked.serials);
        self.apply_through(event, &revoked.target);
        let target = Target::from(&revoked.target);
        self.orders.apply(&target, event.index);
    }
}
