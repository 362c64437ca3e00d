//! One request or review, and what is dropped from it when it ends. Pure.

use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The decider; without claims once the request has ended.
    pub who: Actor,
    /// The kind of decision.
    pub verb: Verb,
    /// Time of the decision.
    pub at: OffsetDateTime,
    /// The decider's comment.
    pub comment: String,
    /// The decider's public key in OpenSSH form.
    pub key: String,
    /// The key that showed the decider's presence, in OpenSSH form.
    pub presence: Option<String>,
}

impl Decision {
    /// The keys that signed, in OpenSSH form.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let presence = self.presence.iter();
        std::iter::once(&self.key)
            .chain(presence)
            .map(String::as_str)
    }
}

/// A request that waits for approval, or an emergency with an open review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The index of its `requested` event; for a review, that of its `issued` event.
    pub id: u64,
    /// The requester, without claims.
    pub who: Actor,
    /// Fingerprint of the subject key.
    pub key: String,
    /// The ask.
    pub ask: RequestDetails,
    /// The content of its pass, for a request that is open or was redeemed.
    pub requested: Option<Box<Requested>>,
    /// Time at which it was opened.
    pub at: OffsetDateTime,
    /// The decisions, in order.
    pub decisions: Vec<Decision>,
    /// The pass that it was redeemed for, or that is under review; 0 before.
    pub serial: u64,
    /// The other signers of an emergency by registered keys, without claims.
    pub signers: Vec<Actor>,
    /// Fingerprints of the registered keys that signed for it.
    pub signers_keys: Vec<String>,
    /// Revision of its last change, counted over all requests.
    pub revision: u64,
    pub(super) needed: u32,
    pub(super) expires_at: UnixSeconds,
    pub(super) state: State,
}

impl Request {
    /// The state at `now`.
    pub(crate) fn state(&self, now: OffsetDateTime) -> State {
        match self.state {
            State::Pending | State::Approved if self.ends_by(now) => State::Expired,
            state => state,
        }
    }

    /// Required number of distinct approvers.
    pub(crate) fn needed(&self) -> u32 {
        self.needed
    }

    /// Whether `who` opened it.
    ///
    /// The same subject at another issuer is another person, because nothing proves that they are
    /// one. If people have accounts at two issuers, `approval.by` should name one of them
    /// (`issuer`).
    pub(crate) fn is_by(&self, who: &Actor) -> bool {
        same(&self.who, who)
    }

    /// Whether `who` opened it, or signed for it.
    pub(crate) fn is_of(&self, who: &Actor) -> bool {
        self.is_by(who) || self.signers.iter().any(|signer| same(signer, who))
    }

    /// The approvals, one of each approver.
    pub(crate) fn approvals(&self) -> impl Iterator<Item = &Decision> {
        let decisions = self.decisions.iter();
        decisions.filter(|decision| decision.verb == Verb::Approve)
    }

    /// Whether this key asked for it, or signed for it.
    pub(super) fn is_of_key(&self, fingerprint: &str) -> bool {
        self.key == fingerprint || self.signers_keys.iter().any(|key| key == fingerprint)
    }

    /// Whether this key has approved it.
    pub(super) fn is_approved_with(&self, fingerprint: &str) -> bool {
        let mut keys = self.approvals().flat_map(Decision::keys);
        keys.any(|key| approval::fingerprint(key).as_deref() == Some(fingerprint))
    }

    fn ends_by(&self, now: OffsetDateTime) -> bool {
        UnixSeconds::from(now) >= self.expires_at
    }

    /// Whether an event has ended it. It may also have expired.
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

    /// Drops what an ended request no longer needs. The content of a redeemed request is kept for
    /// its jump pass.
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
        claims: serde_json::Value::Null.into(),
    }
}

/// Whether two identities are equal: `(issuer, subject)`, without the label.
pub(super) fn same(one: &Actor, other: &Actor) -> bool {
    one.issuer == other.issuer && one.subject == other.subject
}
