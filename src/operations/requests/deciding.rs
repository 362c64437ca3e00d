//! Decisions about requests, and reviews of emergencies.

use ssh_key::PublicKey;

use super::{
    super::{
        Authority, Error,
        issuance::{self, MOST_DECISIONS},
        record,
    },
    view::{View, about, find, may_decide, view},
};
use crate::{
    identity::Holder,
    ledger::{What, approval, event::Decided, standing::Verb},
    policy::Context,
};

/// A decision, with the signature that the door has checked.
pub struct Verdict<'a> {
    /// The request's id.
    pub id: u64,
    /// The decision.
    pub verb: Verb,
    /// The decider's words.
    pub comment: &'a str,
    /// The armored SSHSIG.
    pub signature: &'a str,
}

/// Takes a decision of a proven holder about a request.
///
/// # Errors
/// [`Error::Denied`] and [`Error::Objection`] are in the ledger, once, and do not count.
pub async fn decide(
    authority: &Authority,
    holder: &Holder,
    verdict: &Verdict<'_>,
    context: Context,
) -> Result<View, Error> {
    for _ in 0..MOST_DECISIONS {
        match decide_once(authority, holder, verdict, context).await {
            Err(error) if error.is_policy_changed() => {
                authority.settle_policy(context.now).await?;
            }
            outcome => return outcome,
        }
    }
    let ask = about(&find(authority, verdict.id)?);
    Err(issuance::replaced_too_often(authority, holder, &ask, context).await)
}

async fn decide_once(
    authority: &Authority,
    holder: &Holder,
    verdict: &Verdict<'_>,
    context: Context,
) -> Result<View, Error> {
    let request = find(authority, verdict.id)?;
    let policy = authority.policy();
    let identity = holder.identity();
    if let Err(problem) = record::expect_recordable(identity, &about(&request), context) {
        return Err(issuance::invalid(authority, holder, &about(&request), context, problem).await);
    }
    if let Err(denial) = may_decide(&policy, identity, &request, verdict.verb) {
        let ask = about(&request);
        let (code, detail) = (denial.reason.code(), &denial.detail);
        issuance::refuse_holder(authority, holder, &ask, context, code, detail).await?;
        return Err(Error::Denied(denial));
    }
    let decided = Box::new(Decided {
        request: request.id,
        role: request.ask.role.clone(),
        who: record::who(identity),
        key: openssh(holder.key())?,
        signature: approval::compact(verdict.signature),
        comment: verdict.comment.to_owned(),
        policy: policy.hash().to_owned(),
    });
    let what = match verdict.verb {
        Verb::Approve => What::Approved(decided),
        Verb::Deny => What::Refused(decided),
        Verb::Cancel => What::Cancelled(decided),
        Verb::Review => What::Reviewed(decided),
    };
    authority.store.record(what, context.now).await?;
    let request = find(authority, verdict.id)?;
    view(authority, &policy, identity, request, context.now).await
}

fn openssh(key: &PublicKey) -> Result<String, Error> {
    key.to_openssh()
        .map_err(|error| Error::Invalid(format!("the key cannot be written: {error}")))
}
