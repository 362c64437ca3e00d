//! Decisions about requests, and reviews of emergencies.

use ssh_key::PublicKey;

use super::view::{Reader, View, about, current, find};
use crate::{
    identity::KeyHolder,
    ledger::{
        EventKind,
        event::{Presence, RequestDecision},
        state::{Request, Verb},
    },
    operations::{
        authority::Authority,
        error::Error,
        issuance::{Issuance, Step},
        record,
    },
    policy::{Context, Denial},
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
    /// The signature that shows presence, if there is one: its key, and the armored SSHSIG.
    pub presence: Option<(PublicKey, &'a str)>,
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
        let presence = match self.presence(it, &request) {
            Ok(presence) => presence,
            Err(denial) => return it.refuse(Error::Denied(denial)).await,
        };
        let decided = Box::new(RequestDecision {
            request: request.id,
            role: request.ask.role,
            who: record::who(it.holder.identity()),
            key: openssh(it.holder.key())?,
            signature: sshsig::compact(self.signature),
            comment: self.comment.to_owned(),
            policy: it.policy.hash().to_owned(),
            presence,
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

impl Verdict<'_> {
    /// The presence that the policy demands of this decision; `None` if it demands none. The
    /// requester's own decision is refused elsewhere, with a better reason.
    fn presence(&self, it: &Issuance<'_>, request: &Request) -> Result<Option<Presence>, Denial> {
        let (identity, ask) = (it.holder.identity(), record::ask(&request.ask));
        let is_demanded = self.verb == Verb::Approve && it.policy.demands_presence(&ask);
        if !is_demanded || request.is_by(&record::who(identity)) {
            return Ok(None);
        }
        let key = self.presence.as_ref().map(|(key, _)| key);
        it.policy.expect_presence(identity.into(), &ask, key)?;
        let shown = self.presence.as_ref().and_then(|(key, signature)| {
            Some(Presence {
                key: key.to_openssh().ok()?,
                signature: sshsig::compact(signature),
            })
        });
        Ok(shown)
    }
}

fn openssh(key: &PublicKey) -> Result<String, Error> {
    key.to_openssh()
        .map_err(|error| Error::Invalid(format!("the key cannot be written: {error}")))
}
