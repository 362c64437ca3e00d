//! One request or review, and what is dropped of it when it has ended. Pure.

use time::OffsetDateTime;

use super::{State, Verb};
use crate::{
    ledger::{
        approval,
        event::{Actor, RequestDetails, Requested},
    },
    unix_seconds::UnixSeconds,
};

/// One decision about a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Who decided; without their claims once the request has ended.
    pub who: Actor,
    /// What.
    pub verb: Verb,
    /// When.
    pub at: OffsetDateTime,
    /// Their words.
    pub comment: String,
    /// Their key in OpenSSH form.
    pub key: String,
}

/// An ask that waits, or an emergency whose review is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The index of its `requested` event; for a review, of its `issued` event.
    pub id: u64,
    /// Who asked, without their claims.
    pub who: Actor,
    /// Fingerprint of the subject key.
    pub key: String,
    /// For what.
    pub ask: RequestDetails,
    /// All that its pass would be, if it is a request that may still become one, or has.
    pub requested: Option<Box<Requested>>,
    /// When it was opened.
    pub at: OffsetDateTime,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// The pass it was redeemed for, or that is under review; 0 before.
    pub serial: u64,
    /// Who else signed for it, if registered keys let a person in; without their claims.
    pub signers: Vec<Actor>,
    /// Fingerprints of the registered keys that signed for it.
    pub signers_keys: Vec<String>,
    /// The number of its last change, counted over all requests.
    pub revision: u64,
    pub(super) needed: u32,
    pub(super) expires_at: u64,
    pub(super) state: State,
}

impl Request {
    /// What it is at `now`.
    pub fn state(&self, now: OffsetDateTime) -> State {
        match self.state {
            State::Pending | State::Approved if self.ends_by(now) => State::Expired,
            state => state,
        }
    }

    /// Unix seconds; when it ends by itself. 0 for a review.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// How many distinct approvers are needed.
    pub fn needed(&self) -> u32 {
        self.needed
    }

    /// Whether `who` opened it. The same subject at another issuer is another person, for nothing says that they are one:
    /// where one person has two issuers, `approval.by` names those of one (`issuer`).
    pub fn is_by(&self, who: &Actor) -> bool {
        same(&self.who, who)
    }

    /// Whether `who` opened it, or signed that it may be.
    pub fn is_of(&self, who: &Actor) -> bool {
        self.is_by(who) || self.signers.iter().any(|signer| same(signer, who))
    }

    /// Those who approved it, each once.
    pub fn approvers(&self) -> impl Iterator<Item = &Actor> {
        let decisions = self.decisions.iter();
        decisions
            .filter(|decision| decision.verb == Verb::Approve)
            .map(|decision| &decision.who)
    }

    /// Whether this key asked for it, or signed that it may be.
    pub(super) fn is_of_key(&self, fingerprint: &str) -> bool {
        self.key == fingerprint || self.signers_keys.iter().any(|key| key == fingerprint)
    }

    /// Whether this key has approved it.
    pub(super) fn is_approved_with(&self, fingerprint: &str) -> bool {
        let mut decisions = self.decisions.iter();
        decisions.any(|decision| {
            decision.verb == Verb::Approve
                && approval::fingerprint(&decision.key).as_deref() == Some(fingerprint)
        })
    }

    fn ends_by(&self, now: OffsetDateTime) -> bool {
        UnixSeconds::from(now).get() >= self.expires_at
    }

    /// Whether an event has ended it. Time may have, too.
    pub(super) fn has_ended(&self) -> bool {
        match self.state {
            State::Pending | State::Approved | State::ReviewOpen => false,
            State::Denied
            | State::Cancelled
            | State::Expired
            | State::Redeemed
            | State::Reviewed => true,
        }
    }

    /// Drops what is of no use once it has ended. What a redeemed request allowed is kept for its jump pass.
    pub(super) fn shrink(&mut self) {
        for decision in &mut self.decisions {
            decision.who = bare(&decision.who);
        }
        match &mut self.requested {
            Some(asked) if self.state == State::Redeemed => asked.ask = RequestDetails::default(),
            _ => self.requested = None,
        }
    }
}

/// An identity without its claims, which may be large.
pub(super) fn bare(who: &Actor) -> Actor {
    Actor {
        issuer: who.issuer.clone(),
        subject: who.subject.clone(),
        label: who.label.clone(),
        claims: serde_json::Value::Null,
    }
}

/// `(issuer, subject)` is the identity; the label is not part of it.
pub(super) fn same(one: &Actor, other: &Actor) -> bool {
    one.issuer == other.issuer && one.subject == other.subject
}
