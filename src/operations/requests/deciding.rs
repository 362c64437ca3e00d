//! Decisions about requests, and reviews of emergencies.

use ssh_key::PublicKey;

use super::view::{Reader, View, about, current, find};
use crate::{
    identity::KeyHolder,
    ledger::{EventKind, event::RequestDecision, state::Verb},
    operations::{
        authority::Authority,
        error::Error,
        issuance::{Issuance, Step},
        record,
    },
    policy::Context,
    ssh::sshsig,
};

/// A decision, with the signature that the server has verified.
pub(crate) struct Verdict<'a> {
    /// The request's id.
    pub id: u64,
    /// The decision.
    pub verb: Verb,
    /// The decider's words.
    pub comment: &'a str,
    /// The armored SSHSIG.
    pub signature: &'a str,
}

/// Takes a decision of a proven key holder about a request.
///
/// # Errors
/// Returns [`Error::Denied`] or [`Error::Rejection`] if the decision does not count; the ledger
/// holds that refusal once. Returns [`Error::Store`] if the ledger cannot be written.
pub(crate) async fn decide(
    authority: &Authority,
    holder: &KeyHolder,
    verdict: &Verdict<'_>,
    context: Context,
) -> Result<View, Error> {
    let ask = about(&current(authority, verdict.id).await?);
    let issuance = Issuance::new(authority, holder, &ask, context);
    issuance.expect_recordable().await?;
    issuance.decide(verdict).await
}

impl Step for &Verdict<'_> {
    type Outcome = View;

    async fn take(&mut self, it: &Issuance<'_>) -> Result<Option<View>, Error> {
        let (authority, now) = (it.authority, it.context.now);
        let request = find(authority, self.id)?;
        let reader = Reader {
            policy: &it.policy,
            identity: it.holder.identity(),
        };
        if let Err(denial) = reader.expect_decider(&request, self.verb) {
            return it.refuse(Error::Denied(denial)).await;
        }
        let decided = Box::new(RequestDecision {
            request: request.id,
            role: request.ask.role,
            who: record::who(it.holder.identity()),
            key: openssh(it.holder.key())?,
            signature: sshsig::compact(self.signature),
            comment: self.comment.to_owned(),
            policy: it.policy.hash().to_owned(),
        });
        let what = match self.verb {
            Verb::Approve => EventKind::Approved(decided),
            Verb::Deny => EventKind::Refused(decided),
            Verb::Cancel => EventKind::Cancelled(decided),
            Verb::Review => EventKind::Reviewed(decided),
        };
        authority.store.record(what, now).await?;
        let request = find(authority, self.id)?;
        reader.read(authority, request, now).await.map(Some)
    }
}

fn openssh(key: &PublicKey) -> Result<String, Error> {
    key.to_openssh()
        .map_err(|error| Error::Invalid(format!("the key cannot be written: {error}")))
}
