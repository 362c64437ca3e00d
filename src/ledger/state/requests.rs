//! Open and recently ended requests, and the reviews of emergencies. Pure.
//!
//! An approval is for one exact request, by another identity, counted once per identity, and
//! redeemed once.

mod request;
mod state;
mod table;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use request::{Decision, Request};
use request::{bare, same};
pub use state::{State, Verb};
use table::{MOST_WAITING, Table};

use super::{Rejection, Rule};
use crate::{
    ledger::{
        Event, EventKind, approval,
        emergency::Signature,
        event::{Actor, Issued, RequestDecision, RequestDetails, Requested},
    },
    ssh::certificate::BACKDATE,
    unix_seconds::UnixSeconds,
};

/// Requests and reviews by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Requests(Table);

impl Requests {
    pub(super) fn get(&self, id: u64) -> Option<&Request> {
        self.0.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.0.iter()
    }

    pub(super) fn after(&self, id: u64) -> impl Iterator<Item = &Request> {
        self.0.after(id)
    }

    pub(super) fn revision(&self) -> u64 {
        self.0.revision()
    }

    pub(super) fn changed_after(&self, revision: u64) -> impl Iterator<Item = &Request> {
        self.0.changed_after(revision)
    }

    pub(super) fn ended_between(
        &self,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> impl Iterator<Item = &Request> {
        self.0.ended_between(from.into(), to.into())
    }

    /// Checks that a new request may be opened.
    pub(super) fn admit_request(&self, event: &Event, asked: &Requested) -> Result<(), Rejection> {
        if asked.needed == 0 {
            return Err(Rejection::new(
                Rule::NotPending,
                "a request needs at least one approval",
            ));
        }
        if self.0.waiting(&asked.who, event.at) >= MOST_WAITING {
            return Err(Rejection::new(
                Rule::TooMany,
                format!("you have {MOST_WAITING} requests open: cancel one, or wait"),
            ));
        }
        Ok(())
    }

    /// Checks that this decision counts.
    pub(super) fn admit_decision(
        &self,
        verb: Verb,
        event: &Event,
        decided: &RequestDecision,
    ) -> Result<(), Rejection> {
        let request = self.find(decided.request)?;
        let state = request.state(event.at);
        let awaited: &[State] = match verb {
            Verb::Approve => &[State::Pending],
            Verb::Deny | Verb::Cancel => &[State::Pending, State::Approved],
            Verb::Review => &[State::ReviewOpen],
        };
        let is_own = match verb {
            Verb::Review => request.is_of(&decided.who),
            Verb::Approve | Verb::Deny | Verb::Cancel => request.is_by(&decided.who),
        };
        if is_own != (verb == Verb::Cancel) {
            return Err(not_theirs(verb));
        }
        if !awaited.contains(&state) {
            return Err(ended(request.id, state));
        }
        let again = |decision: &Decision| same(&decision.who, &decided.who);
        if verb == Verb::Approve && request.decisions.iter().any(again) {
            return Err(Rejection::new(
                Rule::AlreadyDecided,
                format!("you have already approved request {}", request.id),
            ));
        }
        decided
            .keys()
            .try_for_each(|key| expect_own_key(request, verb, key))
    }

    /// Checks that this pass may redeem the request that it names.
    pub(super) fn admit_pass(&self, event: &Event, issued: &Issued) -> Result<(), Rejection> {
        let Some(id) = issued.ask.request else {
            return Ok(());
        };
        let request = self.redeemable(id, &issued.who, &issued.key, event.at)?;
        let within = request.requested.as_ref().is_some_and(|approved| {
            same_ask(&approved.ask, &issued.ask) && is_subset_of(issued, approved)
        });
        if !within {
            return Err(Rejection::new(
                Rule::OtherAsk,
                format!("request {id} was approved for another ask: open a new request"),
            ));
        }
        Ok(())
    }

    /// The open request of the same identity and key that is for the same pass as `asked`, waiting
    /// or approved at `now`.
    pub(super) fn open_already(&self, asked: &Requested, now: OffsetDateTime) -> Option<&Request> {
        let wanted = timeless(asked);
        let mut own = self.0.open_of(&asked.who);
        own.find(|request| {
            let is_open = matches!(request.state(now), State::Pending | State::Approved);
            let is_same = |open: &Requested| timeless(open) == wanted;
            is_open && request.requested.as_deref().is_some_and(is_same)
        })
    }

    /// The request `id`, if `who` may redeem it with `key` at `now`.
    pub(super) fn redeemable(
        &self,
        id: u64,
        who: &Actor,
        key: &str,
        now: OffsetDateTime,
    ) -> Result<&Request, Rejection> {
        let request = self.find(id)?;
        if !request.is_by(who) || request.key != key {
            return Err(Rejection::new(
                Rule::OtherHolder,
                format!("request {id} is for another identity or key"),
            ));
        }
        match request.state(now) {
            State::Approved => Ok(request),
            state => Err(ended(id, state)),
        }
    }

    fn find(&self, id: u64) -> Result<&Request, Rejection> {
        self.get(id).ok_or_else(|| {
            Rejection::new(
                Rule::NoSuchRequest,
                format!(
                    "there is no request {id} now: `daypass requests` lists yours; if it ended long ago, `daypass ledger \
                     show {id}` has it"
                ),
            )
        })
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match &event.what {
            EventKind::Requested(asked) => self.open(event, asked),
            EventKind::Approved(decided) => self.decide(Verb::Approve, event, decided),
            EventKind::Refused(decided) => self.decide(Verb::Deny, event, decided),
            EventKind::Cancelled(decided) => self.decide(Verb::Cancel, event, decided),
            EventKind::Reviewed(decided) => self.decide(Verb::Review, event, decided),
            EventKind::Issued(issued) => self.redeem(event, issued),
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Revoked { .. }
            | EventKind::Locked { .. }
            | EventKind::Unlocked { .. }
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::LedgerKeyChanged(_)
            | EventKind::HostAdded(_)
            | EventKind::HostJoined(_)
            | EventKind::HostRemoved(_)
            | EventKind::CaKeyOrdered(_)
            | EventKind::HostCertified(_)
            | EventKind::HostBehind(_)
            | EventKind::HostCurrent { .. }
            | EventKind::ForeignLogin(_) => (),
        }
    }

    fn open(&mut self, event: &Event, asked: &Requested) {
        let requested = Requested {
            who: bare(&asked.who),
            ..asked.clone()
        };
        let request = Request {
            id: event.index,
            who: bare(&asked.who),
            key: asked.key.clone(),
            ask: asked.ask.clone(),
            requested: Some(Box::new(requested)),
            at: event.at,
            decisions: Vec::new(),
            serial: 0,
            signers: Vec::new(),
            signers_keys: Vec::new(),
            revision: 0,
            needed: asked.needed,
            expires_at: asked.expires_at,
            state: State::Pending,
        };
        self.0.insert(request, event.at);
    }

    fn decide(&mut self, verb: Verb, event: &Event, decided: &RequestDecision) {
        self.0.change(decided.request, |request| {
            request.decisions.push(Decision {
                who: decided.who.clone(),
                verb,
                at: event.at,
                comment: decided.comment.clone(),
                key: decided.key.clone(),
                presence: decided.presence.as_ref().map(|it| it.key.clone()),
            });
            let approvals = u32::try_from(request.approvals().count()).unwrap_or(u32::MAX);
            request.state = match verb {
                Verb::Approve if approvals >= request.needed() => State::Approved,
                Verb::Approve => request.state,
                Verb::Deny => State::Denied,
                Verb::Cancel => State::Cancelled,
                Verb::Review => State::Reviewed,
            };
        });
    }

    /// Redeems the request and opens the review that a pass brings. A jump pass does neither: the
    /// pass that it belongs to has.
    fn redeem(&mut self, event: &Event, issued: &Issued) {
        if issued.jump.is_some() {
            return;
        }
        if let Some(id) = issued.ask.request {
            self.0.change(id, |request| {
                request.state = State::Redeemed;
                request.serial = event.index;
            });
        }
        if issued.ask.emergency {
            let review = Request {
                id: event.index,
                who: bare(&issued.who),
                key: issued.key.clone(),
                ask: issued.ask.clone(),
                requested: None,
                at: event.at,
                decisions: Vec::new(),
                serial: event.index,
                signers: issued.signatures().map(|one| bare(&one.who)).collect(),
                signers_keys: issued
                    .signatures()
                    .filter_map(Signature::fingerprint)
                    .collect(),
                revision: 0,
                needed: 0,
                expires_at: UnixSeconds::default(),
                state: State::ReviewOpen,
            };
            self.0.insert(review, event.at);
        }
    }
}

/// Checks the key's part in a request. A key belongs to one person: it approves a request once, and
/// it neither approves a request that it made nor reviews an emergency that it signed for, even if
/// another identity presents it.
fn expect_own_key(request: &Request, verb: Verb, key: &str) -> Result<(), Rejection> {
    let Some(fingerprint) = approval::fingerprint(key) else {
        // An invalid key is refused with its signature, elsewhere.
        return Ok(());
    };
    let is_deciding = matches!(verb, Verb::Approve | Verb::Review);
    if is_deciding && request.is_of_key(&fingerprint) {
        return Err(Rejection::new(
            Rule::KeyUsed,
            format!(
                "request {} was made with this key: decide it with a key of your own",
                request.id
            ),
        ));
    }
    if verb == Verb::Approve && request.is_approved_with(&fingerprint) {
        return Err(Rejection::new(
            Rule::KeyUsed,
            format!(
                "request {} was already approved with this key: sign in with a key of your own",
                request.id
            ),
        ));
    }
    Ok(())
}

fn not_theirs(verb: Verb) -> Rejection {
    let (rule, detail) = match verb {
        Verb::Approve => (Rule::OwnRequest, "you cannot approve your own request"),
        Verb::Deny => (Rule::OwnRequest, "this request is your own: cancel it"),
        Verb::Review => (
            Rule::OwnRequest,
            "you cannot review an emergency that is yours or that you signed for",
        ),
        Verb::Cancel => (
            Rule::OtherHolder,
            "only its requester can cancel a request: deny it instead",
        ),
    };
    Rejection::new(rule, detail)
}

fn ended(id: u64, state: State) -> Rejection {
    let (rule, what) = match state {
        State::Pending => (Rule::NotApproved, "still waits for approval"),
        State::Approved => (Rule::NotPending, "has all the approvals that it needs"),
        State::Denied => (Rule::NotPending, "was denied"),
        State::Cancelled => (Rule::NotPending, "was cancelled"),
        State::Expired => (Rule::Expired, "has expired: open a new one"),
        State::Redeemed => (Rule::Redeemed, "was redeemed already"),
        State::ReviewOpen => (Rule::NotPending, "is an emergency: review it"),
        State::Reviewed => (Rule::NotPending, "was reviewed already"),
    };
    Rejection::new(rule, format!("request {id} {what}"))
}

/// Whether two asks are equal, except for the redeemed request and the caller's address.
fn same_ask(approved: &RequestDetails, now: &RequestDetails) -> bool {
    let bare = |asked: &RequestDetails| RequestDetails {
        request: None,
        caller: None,
        ..asked.clone()
    };
    bare(approved) == bare(now)
}

/// A request without its times, its policy, the caller's address and claims: what is left is equal
/// for two requests for the same pass for the same key with as many approvals.
fn timeless(requested: &Requested) -> Requested {
    Requested {
        who: bare(&requested.who),
        ask: RequestDetails {
            caller: None,
            ..requested.ask.clone()
        },
        expires_at: UnixSeconds::default(),
        policy: String::new(),
        ..requested.clone()
    }
}

/// Whether a pass is a subset of what was approved.
fn is_subset_of(issued: &Issued, approved: &Requested) -> bool {
    let lifetime = issued.valid_before.seconds_since(issued.valid_after);
    let (is, was) = (&issued.permissions, &approved.permissions);
    is.is_subset_of(was)
        // Approvers have read the command: not even a narrower one takes its place.
        && is.force_command == was.force_command
        && lifetime <= approved.ttl_seconds.saturating_add(BACKDATE.as_secs())
}

#[cfg(test)]
mod tests;
