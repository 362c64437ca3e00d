//! Trading a proven identity and an ask for a pass.

use ssh_key::{Certificate, PublicKey};
use time::OffsetDateTime;

use super::{
    Authority, Error, jump, page, record,
    requests::{self, View},
};
use crate::{
    ca::{self, Draft, draft::fingerprint},
    identity::{Holder, Identity},
    ledger::{What, event, standing::Objection},
    policy::{Ask, Context, Decision, Grant, Means, Page, Policy, Restriction},
    reason,
};

pub use super::jump::Jump;

/// A pass, with the grant it came from.
#[derive(Debug)]
pub struct Pass {
    /// Signed, linted and verified.
    pub certificate: Certificate,
    /// What the policy answered.
    pub grant: Grant,
    /// The jump pass, where the way goes through a bastion.
    pub jump: Option<Jump>,
}

/// The answer to an ask that was not refused.
#[derive(Debug)]
pub enum Outcome {
    /// A pass.
    Pass(Box<Pass>),
    /// Somebody else must say yes first.
    Pending(Box<View>),
}

/// Decides, drafts, records, signs, in this order: the event is durable before the key is used. An
/// ask is decided again once its page was acknowledged (if the role demands one before its
/// emergencies), and if the policy was replaced before the pass was recorded: it is given by the
/// policy that is in force at its place in the ledger.
///
/// `nonce` is random and used once.
///
/// # Errors
/// [`Error::Denied`], [`Error::SubjectKey`] and [`Error::PageFailed`] are in the ledger, once. After [`Error::Store`] there
/// is no pass. After [`Error::Ca`] there is none either, and the ledger says why. (Where only the jump pass fails, the pass that it belongs to is
/// in the ledger too; it never leaves, and a request that it redeemed is spent.)
pub async fn issue(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
    nonce: [u8; 32],
) -> Result<Outcome, Error> {
    if let Err(problem) = record::expect_recordable(holder.identity(), ask, context) {
        return Err(invalid(authority, holder, ask, context, problem).await);
    }
    let mut paged = None;
    for _ in 0..MOST_DECISIONS {
        let policy = authority.policy();
        let order = Order {
            authority,
            policy: &policy,
            holder,
            ask,
            context,
        };
        match order.attempt(nonce, &mut paged).await {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            Err(error) if error.is_policy_changed() => {
                authority.settle_policy(context.now).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(replaced_too_often(authority, holder, ask, context).await)
}

/// The refusal of what the policy was replaced under each time that it was decided, recorded.
pub(super) async fn replaced_too_often(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
) -> Error {
    let objection = Objection::policy_changed();
    let (code, detail) = (objection.rule.code(), &objection.detail);
    match refuse_holder(authority, holder, ask, context, code, detail).await {
        Ok(()) => Error::Objection(objection),
        Err(error) => error,
    }
}

/// How often an ask is decided at most: once, once more after its page, and again each time that
/// the policy is replaced on the way.
pub(super) const MOST_DECISIONS: usize = 8;

/// What was granted, on its way to be signed.
pub(super) struct Order<'a> {
    pub(super) authority: &'a Authority,
    pub(super) policy: &'a Policy,
    pub(super) holder: &'a Holder,
    pub(super) ask: &'a Ask,
    pub(super) context: Context,
}

impl Order<'_> {
    /// Decides by the policy of this order, and does what follows; `None`: a page was acknowledged,
    /// and all of it is to be decided again.
    ///
    /// `paged` is what an acknowledged page was about: the pass is within it, too.
    async fn attempt(
        &self,
        nonce: [u8; 32],
        paged: &mut Option<Restriction>,
    ) -> Result<Option<Outcome>, Error> {
        let (authority, holder, ask, context) =
            (self.authority, self.holder, self.ask, self.context);
        let decision = self.policy.decide(holder.identity(), ask, context);
        let granted = match (ask.request, decision) {
            (None, Decision::NeedsApproval(pending)) => {
                let view =
                    requests::file(authority, self.policy, holder, ask, &pending, context).await?;
                return Ok(Some(Outcome::Pending(Box::new(view))));
            }
            (Some(id), decision @ (Decision::Granted(_) | Decision::NeedsApproval(_))) => {
                requests::redeem(authority, self.policy, holder, id, decision, context.now)
            }
            (None, Decision::Granted(grant)) => Ok(grant),
            (_, Decision::Denied(denial)) => Err(Error::Denied(denial)),
        };
        let granted = granted.and_then(|grant| match &*paged {
            Some(limit) => grant.narrow(limit).map_err(Error::Denied),
            None => Ok(grant),
        });
        let grant = match granted {
            Ok(grant) => grant,
            Err(refusal) => return Err(self.refuse(refusal).await),
        };
        if let Err(problem) = record::expect_recordable_command(grant.command()) {
            return Err(invalid(authority, holder, ask, context, problem).await);
        }
        if paged.is_none() && self.policy.page(ask) == Some(Page::Before) {
            let draft = self.draft(&grant, nonce).await?;
            page::before(authority, &self.issued(&grant, &draft), context, &nonce).await?;
            *paged = Some(grant.as_restriction());
            return Ok(None);
        }
        let pass = self.fill(grant, nonce).await?;
        Ok(Some(Outcome::Pass(Box::new(pass))))
    }

    /// The refusal, once it is recorded.
    async fn refuse(&self, refusal: Error) -> Error {
        let (code, detail) = match &refusal {
            Error::Denied(denial) => (denial.reason.code(), denial.detail.clone()),
            Error::Objection(objection) => (objection.rule.code(), objection.detail.clone()),
            _ => return refusal,
        };
        let (authority, holder, context) = (self.authority, self.holder, self.context);
        match refuse_holder(authority, holder, self.ask, context, code, &detail).await {
            Ok(()) => refusal,
            Err(error) => error,
        }
    }

    /// The pass, and then its jump pass if it has one. What cannot be drafted is found before
    /// anything is recorded.
    async fn fill(&self, grant: Grant, nonce: [u8; 32]) -> Result<Pass, Error> {
        let draft = self.draft(&grant, nonce).await?;
        let jump = match grant.jump() {
            None => None,
            Some((way, rights)) => {
                let draft = self.draft(&rights, jump::nonce(&nonce)).await?;
                Some((way.clone(), rights, draft))
            }
        };
        let issued = self.issued(&grant, &draft);
        let certificate = self.sign(draft, issued).await?;
        let jump = match jump {
            None => None,
            Some((way, rights, draft)) => {
                Some(jump::issue(self, way, rights, draft, certificate.serial()).await?)
            }
        };
        Ok(Pass {
            certificate,
            grant,
            jump,
        })
    }

    async fn draft(&self, grant: &Grant, nonce: [u8; 32]) -> Result<Draft, Error> {
        let (authority, holder, context) = (self.authority, self.holder, self.context);
        match Draft::new(holder, grant, &authority.ca, nonce, context.now) {
            Ok(draft) => Ok(draft),
            Err(error) => {
                let (code, detail) = (draft_code(&error), error.to_string());
                refuse_holder(authority, holder, self.ask, context, code, &detail).await?;
                Err(error.into())
            }
        }
    }

    /// The event of the pass that `draft` will be.
    pub(super) fn issued(&self, grant: &Grant, draft: &Draft) -> event::Issued {
        let asked = record::asked(self.ask, self.context);
        record::issued(self.holder, asked, grant, draft, self.policy.hash())
    }

    /// Records, then signs.
    pub(super) async fn sign(
        &self,
        draft: Draft,
        issued: event::Issued,
    ) -> Result<Certificate, Error> {
        let (authority, now) = (self.authority, self.context.now);
        let (draft, receipt) = authority.store.issue(draft, issued, now).await?;
        let serial = receipt.serial();
        match authority.ca.sign(draft, receipt) {
            Ok(certificate) => Ok(certificate),
            Err(error) => {
                record_failure(authority, serial, &error, now).await?;
                Err(Error::Ca(error))
            }
        }
    }
}

/// Records the refusal of a proven identity's ask: one `denied` event, or beyond the rate of those, one more in a count
/// (`ledger::denials`). Parameters that the role does not have are left out, names and values.
///
/// `reason` is a stable code (`SUBJECT_KEY`, `ASK_MALFORMED`, `KEY_BINDING`, `POSSESSION`), `ask` holds what of it could be
/// read, `detail` is a sentence without any secret or part of a token.
///
/// # Errors
/// [`Error::Store`] where the ledger cannot be written.
pub async fn refuse(
    authority: &Authority,
    identity: &Identity,
    key: Option<&PublicKey>,
    ask: &Ask,
    context: Context,
    reason: &str,
    detail: &str,
) -> Result<(), Error> {
    let policy = authority.policy();
    let mut asked = record::asked(ask, context);
    let all = asked.params.len();
    asked
        .params
        .retain(|name, _| policy.has_parameter(&ask.role, name));
    let denied = What::Denied {
        cut: asked.params.len() < all,
        unbound: Means::of(identity) == Means::UnboundToken,
        who: record::who(identity),
        ask: asked,
        key: key.map(fingerprint),
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        policy: policy.hash().to_owned(),
    };
    authority.store.refuse(denied, context.now).await?;
    Ok(())
}

pub(super) async fn refuse_holder(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
    reason: &str,
    detail: &str,
) -> Result<(), Error> {
    let (identity, key) = (holder.identity(), holder.key());
    refuse(authority, identity, Some(key), ask, context, reason, detail).await
}

/// The refusal of an ask that is none, recorded.
pub(super) async fn invalid(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
    problem: String,
) -> Error {
    match refuse_holder(
        authority,
        holder,
        ask,
        context,
        reason::ASK_MALFORMED,
        &problem,
    )
    .await
    {
        Ok(()) => Error::Invalid(problem),
        Err(error) => error,
    }
}

fn draft_code(error: &ca::Error) -> &'static str {
    match error {
        ca::Error::SubjectKey(_) => reason::SUBJECT_KEY,
        _ => reason::NOT_ISSUABLE,
    }
}

async fn record_failure(
    authority: &Authority,
    serial: u64,
    error: &ca::Error,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let cause = error.to_string();
    tracing::error!(serial, cause, "signing failed");
    let failed = What::SigningFailed { serial, cause };
    authority.store.record(failed, now).await?;
    Ok(())
}

impl From<ca::Error> for Error {
    fn from(error: ca::Error) -> Self {
        match error {
            ca::Error::SubjectKey(refusal) => Self::SubjectKey(refusal),
            other => Self::Ca(other),
        }
    }
}
