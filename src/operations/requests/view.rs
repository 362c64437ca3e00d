//! A request as one identity sees it.

use time::OffsetDateTime;

use crate::{
    identity::Identity,
    ledger::state::{Rejection, Request, Rule, State, Verb},
    operations::{authority::Authority, error::Error, record},
    policy::{self, Ask, Denial, Policy, Reason},
};

/// A request as one identity sees it.
#[derive(Clone, Debug)]
pub struct View {
    /// The request, as the ledger has it.
    pub request: Request,
    /// Its state at the time of the call.
    pub state: State,
    /// Its event's stored bytes. Deciders sign their leaf hash.
    pub event: Vec<u8>,
    /// Whether this identity may decide it now.
    pub may_decide: bool,
    /// Whether an ask was answered with it that did not open it.
    pub was_open: bool,
    /// If an approval needs presence: the lines of this identity's keys that show it.
    pub presence: Option<Vec<String>>,
}

/// An identity under one policy: what it may see, and what it may decide.
pub(in crate::operations) struct Reader<'a> {
    pub(in crate::operations) policy: &'a Policy,
    pub(in crate::operations) identity: &'a Identity,
}

impl Reader<'_> {
    /// Whether the identity opened the request, may decide it, or may read the ledger.
    pub(in crate::operations) fn may_see(&self, request: &Request) -> bool {
        let (policy, identity) = (self.policy, self.identity);
        let ask = record::ask(&request.ask);
        request.is_by(&record::who(identity))
            || policy.may_approve(identity, &ask)
            || policy.may_review(identity, &ask)
            || policy.may_audit(identity)
    }

    /// Refuses a decision that the policy does not give this identity. That people do not decide
    /// their own requests is checked by the ledger, and allowed here.
    pub(in crate::operations) fn expect_decider(
        &self,
        request: &Request,
        verb: Verb,
    ) -> Result<(), Denial> {
        let (policy, identity) = (self.policy, self.identity);
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
        if may {
            return Ok(());
        }
        let (verb, role) = (verb.as_str(), &request.ask.role);
        let detail = format!("you are not among those who may {verb} for role {role:?}");
        Err(Denial::new(Reason::Approval, detail))
    }

    /// The view of `request`, whose event's bytes are `event`.
    pub(in crate::operations) fn view(
        &self,
        request: Request,
        event: Vec<u8>,
        now: OffsetDateTime,
    ) -> View {
        let state = request.state(now);
        View {
            may_decide: self.may_decide(&request, state),
            was_open: false,
            presence: self.presence(&request, state),
            event,
            request,
            state,
        }
    }

    fn presence(&self, request: &Request, state: State) -> Option<Vec<String>> {
        let is_wanted =
            state == State::Pending && self.policy.demands_presence(&record::ask(&request.ask));
        is_wanted.then(|| lines(self.policy, self.identity))
    }

    fn may_decide(&self, request: &Request, state: State) -> bool {
        let verb = match state {
            State::Pending => Verb::Approve,
            State::ReviewOpen => Verb::Review,
            State::Approved
            | State::Denied
            | State::Cancelled
            | State::Expired
            | State::Redeemed
            | State::Reviewed => return false,
        };
        let who = record::who(self.identity);
        let has_decided = request.decisions.iter().any(|decision| {
            decision.who.issuer == who.issuer && decision.who.subject == who.subject
        });
        !request.is_of(&who) && !has_decided && self.expect_decider(request, verb).is_ok()
    }

    /// [`Reader::view`], with the event read from the ledger.
    pub(in crate::operations) async fn read(
        &self,
        authority: &Authority,
        request: Request,
        now: OffsetDateTime,
    ) -> Result<View, Error> {
        let event = event(authority, request.id).await?;
        Ok(self.view(request, event, now))
    }
}

/// One request or review.
///
/// # Errors
/// Returns [`Error::Rejection`] with [`Rule::NoSuchRequest`] if there is no such request that this
/// identity may see.
pub(crate) async fn get(
    authority: &Authority,
    identity: &Identity,
    id: u64,
    now: OffsetDateTime,
) -> Result<View, Error> {
    let request = current(authority, id).await?;
    let policy = &authority.policy();
    let reader = Reader { policy, identity };
    if !reader.may_see(&request) {
        return Err(unknown(authority, id));
    }
    reader.read(authority, request, now).await
}

/// The lines of the keys that show an identity's presence, as the policy has them.
pub(crate) fn presence_keys(authority: &Authority, identity: &Identity) -> Vec<String> {
    lines(&authority.policy(), identity)
}

fn lines(policy: &Policy, identity: &Identity) -> Vec<String> {
    let keys = policy.presence_keys(identity.issuer(), identity.subject());
    keys.iter().map(|key| key.line.clone()).collect()
}

/// An ask that names a request and its role, for the record of a decision that does not count.
pub(crate) fn about(request: &Request) -> Ask {
    Ask {
        role: request.ask.role.clone(),
        request: Some(request.id),
        ..Ask::default()
    }
}

/// [`find`] for a caller that may have asked another server of this ledger a moment ago.
pub(in crate::operations) async fn current(
    authority: &Authority,
    id: u64,
) -> Result<Request, Error> {
    authority.store.follow().await?;
    find(authority, id)
}

/// The request as this server has it now.
pub(in crate::operations) fn find(authority: &Authority, id: u64) -> Result<Request, Error> {
    let found = authority.store.state(|state| state.request(id).cloned());
    found.ok_or_else(|| unknown(authority, id))
}

/// The stored bytes of a request's event.
pub(in crate::operations) async fn event(authority: &Authority, id: u64) -> Result<Vec<u8>, Error> {
    let mut entries = authority.store.entries(id, 1).await?;
    let event = entries.pop().map(|(_, event)| event);
    event.ok_or_else(|| unknown(authority, id))
}

fn unknown(authority: &Authority, id: u64) -> Error {
    let size = authority.store.size();
    let detail = if id < size {
        format!(
            "there is no request {id} that you may see; if it ended long ago, `daypass ledger show {id}` has it"
        )
    } else {
        format!("there is no request {id}: the ledger has {size} entries")
    };
    Error::Rejection(Rejection::new(Rule::NoSuchRequest, detail))
}
