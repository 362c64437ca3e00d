//! What of the past still decides: a state machine over the ledger's events, in their order. Pure.
//!
//! [`Standing::admit`] says whether an event may come next, [`Standing::apply`] takes one in. The store's writer admits each
//! event before it gives it an index; `ledger::verify` does the same over an export. So whatever the rules here forbid can
//! neither be recorded nor, by somebody with the database in hands, be slipped in unseen.
//!
//! Rules go by the events' own time; what is forgotten, by a time that no single clock decides ([`Standing::agreed_time`]).
//! Nothing here is stored: it follows from the ledger.

mod agreed;
mod challenges;
mod jumps;
mod locks;
mod orders;
mod passes;
mod people;
mod policies;
mod requests;

pub use locks::Lock;
pub use orders::Preview;
pub use passes::{MARGIN, Pass, Signer};
pub use requests::{Decision, Request, State, Verb};

use time::OffsetDateTime;

use super::{
    Event, What,
    event::{Applicant, Decided, Who},
    order::Target,
};
use crate::reason;

/// What stands after some number of events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    passes: passes::Passes,
    requests: requests::Requests,
    locks: locks::Locks,
    challenges: challenges::Challenges,
    people: people::People,
    orders: orders::Orders,
    agreed: agreed::Agreed,
    policies: policies::Policies,
}

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

    /// The hash of the policy in force, by what is recorded; `None` before the first.
    pub fn policy(&self) -> Option<&str> {
        self.policies.current().map(|hash| &**hash)
    }

    /// What the daemon's clock and the issuers' clocks agreed on last: it is at least so late. `None` before the first token.
    pub fn agreed_time(&self) -> Option<OffsetDateTime> {
        self.agreed.time()
    }

    /// The passes that may still be good somewhere, by serial: all but those that ended more than [`MARGIN`] before
    /// [`Standing::agreed_time`].
    pub fn passes(&self) -> impl Iterator<Item = &Pass> {
        self.passes.iter()
    }

    /// Whether `serial` is one of [`Standing::passes`].
    pub fn has_pass(&self, serial: u64) -> bool {
        self.passes.get(serial).is_some()
    }

    /// The request or review of that id, while it is remembered.
    pub fn request(&self, id: u64) -> Option<&Request> {
        self.requests.get(id)
    }

    /// The request `id`, where this identity and key may redeem it at `now`.
    ///
    /// # Errors
    /// The rule that is against it.
    pub fn redeemable(
        &self,
        id: u64,
        who: &Who,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<&Request, Objection> {
        self.requests.redeemable(id, who, key, now)
    }

    /// Requests and reviews by id: all that wait, and those that ended last.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    /// Those with larger ids than `id`.
    pub fn requests_after(&self, id: u64) -> impl Iterator<Item = &Request> {
        self.requests.after(id)
    }

    /// The requests and reviews that changed after this revision, in the order of their last changes.
    pub fn changed_after(&self, revision: u64) -> impl Iterator<Item = &Request> {
        self.requests.changed_after(revision)
    }

    /// The requests whose time ended after `from`, up to `to`, before any event ended them.
    pub fn ended_between(
        &self,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> impl Iterator<Item = &Request> {
        self.requests.ended_between(from, to)
    }

    /// A number that grows with each change of a request.
    pub fn revision(&self) -> u64 {
        self.requests.revision()
    }
}

/// Why an event may not come next: the rule, and a sentence for whoever wanted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Objection {
    /// The rule that is against it.
    pub rule: Rule,
    /// One line for the caller.
    pub detail: String,
}

impl Objection {
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

#[cfg(test)]
mod tests;
