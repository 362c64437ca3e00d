//! Asks that wait for somebody else's yes: open, show, decide, redeem. And the reviews of emergencies.
//!
//! What is checked here is checked for good words; the store's writer admits each event by the standing once more, in
//! order, so that of two racing approvals or redemptions one counts.

mod deciding;
mod view;
mod viewing;

use std::sync::PoisonError;

use time::OffsetDateTime;

use super::{
    Authority, Error,
    issuance::{self, MOST_DECISIONS},
    record,
};
use view::{event, find, may_see, unknown, view};

use crate::{
    ca::draft::fingerprint,
    identity::{Holder, Identity},
    ledger::{
        What,
        bucket::Buckets,
        event::Requested,
        standing::{Objection, Rule},
        tree::{Hash, leaf_hash},
    },
    policy::{Ask, Context, Decision, Grant, Means, Pending, Person, Policy, Restriction},
};

pub use crate::ledger::standing::Request;
pub use deciding::{Verdict, decide};
pub use view::{View, about};
pub use viewing::{Change, PAGE, Page, Viewer, changes, list};

/// Files a request, unless the role needs none.
///
/// # Errors
/// As [`issuance::issue`]; [`Error::Invalid`] where there is nothing to wait for.
pub async fn open(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
) -> Result<View, Error> {
    if ask.request.is_some() || ask.emergency {
        let problem = "a request is opened without `request` and `emergency`".to_owned();
        return Err(issuance::invalid(authority, holder, ask, context, problem).await);
    }
    if let Err(problem) = record::expect_recordable(holder.identity(), ask, context) {
        return Err(issuance::invalid(authority, holder, ask, context, problem).await);
    }
    for _ in 0..MOST_DECISIONS {
        match decide_ask(authority, holder, ask, context).await {
            Err(error) if error.is_policy_changed() => {
                authority.settle_policy(context.now).await?;
            }
            outcome => return outcome,
        }
    }
    Err(issuance::replaced_too_often(authority, holder, ask, context).await)
}

async fn decide_ask(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
) -> Result<View, Error> {
    let policy = authority.policy();
    match policy.decide(holder.identity(), ask, context) {
        Decision::NeedsApproval(pending) => {
            file(authority, &policy, holder, ask, &pending, context).await
        }
        Decision::Granted(_) => {
            let problem = format!("role {:?} needs no approval: ask for the pass", ask.role);
            Err(issuance::invalid(authority, holder, ask, context, problem).await)
        }
        Decision::Denied(denial) => {
            let (code, detail) = (denial.reason.code(), &denial.detail);
            issuance::refuse_holder(authority, holder, ask, context, code, detail).await?;
            Err(Error::Denied(denial))
        }
    }
}

/// How many requests one identity may open at once after a pause.
const OPENED_AT_ONCE: u32 = 64;

/// Time after which it may open one more. With the burst: 1,504 requests a day, and as many cancellations.
const OPENED_EVERY: time::Duration = time::Duration::MINUTE;

/// The rate at which each identity may open requests.
pub(super) fn opening_rate() -> Buckets {
    Buckets::new(OPENED_AT_ONCE, OPENED_EVERY)
}

/// Refuses an identity that opens requests without end, recorded.
async fn expect_rate(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
) -> Result<(), Error> {
    let identity = holder.identity();
    let is_within = {
        let opened = authority.opened.lock();
        let mut opened = opened.unwrap_or_else(PoisonError::into_inner);
        opened.take(identity.issuer(), identity.subject(), context.now)
    };
    if is_within {
        return Ok(());
    }
    let detail = "you have opened many requests lately: wait a minute, and try again";
    let code = Rule::TooMany.code();
    issuance::refuse_holder(authority, holder, ask, context, code, detail).await?;
    Err(Error::Objection(Objection::new(Rule::TooMany, detail)))
}

/// Records the request that waits for these approvals.
pub(super) async fn file(
    authority: &Authority,
    policy: &Policy,
    holder: &Holder,
    ask: &Ask,
    pending: &Pending,
    context: Context,
) -> Result<View, Error> {
    if let Err(problem) = record::expect_recordable_command(pending.command()) {
        return Err(issuance::invalid(authority, holder, ask, context, problem).await);
    }
    expect_rate(authority, holder, ask, context).await?;
    let asked = record::asked(ask, context);
    let requested = record::requested(holder, asked, pending, policy.hash(), context.now);
    let what = What::Requested(Box::new(requested));
    let id = authority.store.record(what, context.now).await?;
    get(authority, holder.identity(), id, context.now).await
}

/// The grant that a redeemed request comes to: within what was approved, by those who may still approve it.
///
/// # Errors
/// The objection or denial, not yet recorded.
pub(super) fn redeem(
    authority: &Authority,
    policy: &Policy,
    holder: &Holder,
    id: u64,
    decision: Decision,
    now: OffsetDateTime,
) -> Result<Grant, Error> {
    let who = record::who(holder.identity());
    let key = fingerprint(holder.key());
    let request = authority
        .store
        .standing(|standing| standing.redeemable(id, &who, &key, now).cloned())
        .map_err(Error::Objection)?;
    let approved = record::approved(&request);
    let outcome = match decision {
        Decision::Granted(grant) => grant.narrow(&approved),
        Decision::NeedsApproval(pending) => {
            let ask = record::ask(&request.ask);
            let approvers = request.approvers().filter(|approver| {
                let claims = approver.claims.as_object();
                claims.is_some_and(|claims| {
                    let (issuer, subject) = (&approver.issuer, &approver.subject);
                    let person = Person {
                        issuer,
                        subject,
                        claims,
                        means: Means::Token,
                    };
                    policy.approves(person, &ask)
                })
            });
            pending.approved(approvers.count(), &approved)
        }
        Decision::Denied(denial) => Err(denial),
    };
    outcome.map_err(Error::Denied)
}

/// One request or review.
///
/// # Errors
/// [`Error::Objection`] with [`Rule::NoSuchRequest`] where there is none that this identity may see.
pub async fn get(
    authority: &Authority,
    identity: &Identity,
    id: u64,
    now: OffsetDateTime,
) -> Result<View, Error> {
    let request = find(authority, id)?;
    let policy = authority.policy();
    if !may_see(&policy, identity, &request) {
        return Err(Error::Objection(unknown(id)));
    }
    view(authority, &policy, identity, request, now).await
}

/// A number that grows with each change of any request.
pub fn revision(authority: &Authority) -> u64 {
    authority.store.standing(|standing| standing.revision())
}

/// Waits until [`revision`] is another than `seen`; false where the store was closed before.
pub async fn changed(authority: &Authority, seen: u64) -> bool {
    let other = || revision(authority) != seen;
    authority.store.until(other).await
}

/// The digest that deciders of this request sign.
///
/// # Errors
/// [`Error::Objection`] with [`Rule::NoSuchRequest`].
pub async fn digest(authority: &Authority, id: u64) -> Result<(Request, Hash), Error> {
    let request = find(authority, id)?;
    let event = event(authority, id).await?;
    Ok((request, leaf_hash(&event)))
}

/// What a request's pass would be at most: what its approvers approved.
pub fn rights(asked: &Requested) -> Restriction {
    record::rights(asked)
}
