//! A request as one identity sees it.

use time::OffsetDateTime;

use crate::{
    identity::Identity,
    ledger::standing::{Objection, Request, Rule, State, Verb},
    operations::{authority::Authority, error::Error, record},
    policy::{self, Ask, Denial, Policy, Reason},
};

/// A request as one identity sees it.
#[derive(Clone, Debug)]
pub struct View {
    /// What stands of it.
    pub request: Request,
    /// What it is now.
    pub state: State,
    /// Its event's stored bytes, whose leaf hash deciders sign.
    pub event: Vec<u8>,
    /// Whether this identity may decide it now.
    pub may_decide: bool,
}

/// An ask that names a request and its role, for the record of a decision that does not count.
pub fn about(request: &Request) -> Ask {
    Ask {
        role: request.ask.role.clone(),
        request: Some(request.id),
        ..Ask::default()
    }
}

pub(in crate::operations) fn may_see(
    policy: &Policy,
    identity: &Identity,
    request: &Request,
) -> bool {
    let ask: Ask = record::ask(&request.ask);
    request.is_by(&record::who(identity))
        || policy.may_approve(identity, &ask)
        || policy.may_review(identity, &ask)
        || policy.may_audit(identity)
}

pub(in crate::operations) async fn view(
    authority: &Authority,
    policy: &Policy,
    identity: &Identity,
    request: Request,
    now: OffsetDateTime,
) -> Result<View, Error> {
    let event = event(authority, request.id).await?;
    Ok(view_of(policy, identity, request, event, now))
}

pub(in crate::operations) fn view_of(
    policy: &Policy,
    identity: &Identity,
    request: Request,
    event: Vec<u8>,
    now: OffsetDateTime,
) -> View {
    let who = record::who(identity);
    let state = request.state(now);
    let again = |decision: &crate::ledger::standing::Decision| {
        decision.who.issuer == who.issuer && decision.who.subject == who.subject
    };
    let verb = match state {
        State::Pending => Some(Verb::Approve),
        State::ReviewOpen => Some(Verb::Review),
        _ => None,
    };
    let may_decide = !request.is_of(&who)
        && !request.decisions.iter().any(again)
        && verb.is_some_and(|verb| may_decide(policy, identity, &request, verb).is_ok());
    View {
        event,
        request,
        state,
        may_decide,
    }
}

pub(in crate::operations) fn find(authority: &Authority, id: u64) -> Result<Request, Error> {
    let found = authority
        .store
        .standing(|standing| standing.request(id).cloned());
    found.ok_or_else(|| Error::Objection(unknown(id)))
}

pub(in crate::operations) fn unknown(id: u64) -> Objection {
    Objection::new(
        Rule::NoSuchRequest,
        format!(
            "there is no request {id} that you may see (`daypass ledger show {id}` has one that ended long ago)"
        ),
    )
}

pub(in crate::operations) async fn event(authority: &Authority, id: u64) -> Result<Vec<u8>, Error> {
    let mut entries = authority.store.entries(id, 1).await?;
    let event = entries.pop().map(|(_, event)| event);
    event.ok_or_else(|| Error::Objection(unknown(id)))
}

/// The policy's side of it; that people do not decide their own is the standing's.
pub(in crate::operations) fn may_decide(
    policy: &Policy,
    identity: &Identity,
    request: &Request,
    verb: Verb,
) -> Result<(), Denial> {
    if verb != Verb::Cancel {
        policy::expect_bound(identity)?;
    }
    let ask = record::ask(&request.ask);
    let own = request.is_by(&record::who(identity));
    let may = match verb {
        Verb::Cancel => true,
        Verb::Approve | Verb::Deny => own || policy.may_approve(identity, &ask),
        Verb::Review => own || policy.may_review(identity, &ask),
    };
    match may {
        true => Ok(()),
        false => Err(Denial::new(
            Reason::Approval,
            format!(
                "you are not among those who may {} for role {:?}",
                verb.word(),
                request.ask.role
            ),
        )),
    }
}
