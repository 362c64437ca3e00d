//! Trading a proven identity and an ask for a pass.

use ssh_key::{Certificate, PublicKey};
use time::OffsetDateTime;

use super::{
    Authority, Error, page, record,
    requests::{self, View},
};
use crate::{
    ca::{self, Draft, draft::fingerprint},
    identity::{Holder, Identity},
    ledger::What,
    policy::{Ask, Context, Decision, Grant, Page, Policy},
};

/// A pass, with the grant it came from.
#[derive(Debug)]
pub struct Pass {
    /// Signed, linted and verified.
    pub certificate: Certificate,
    /// What the policy answered.
    pub grant: Grant,
}

/// The answer to an ask that was not refused.
#[derive(Debug)]
pub enum Outcome {
    /// A pass.
    Pass(Box<Pass>),
    /// Somebody else must say yes first.
    Pending(Box<View>),
}

/// Decides, drafts, records, signs, in this order: the event is durable before the key is used. Where the role demands a
/// page before its emergencies, that comes between draft and record.
///
/// `nonce` is random and used once.
///
/// # Errors
/// [`Error::Denied`], [`Error::SubjectKey`] and [`Error::PageFailed`] are in the ledger, once. After [`Error::Store`] there is no pass. After
/// [`Error::Ca`] there is none either, and the ledger says why.
pub async fn issue(
    authority: &Authority,
    holder: &Holder,
    ask: &Ask,
    context: Context,
    nonce: [u8; 32],
) -> Result<Outcome, Error> {
    let policy = authority.policy();
    let decision = policy.decide(holder.identity(), ask, context);
    let granted = match (ask.request, decision) {
        (None, Decision::NeedsApproval(pending)) => {
            let view = requests::file(authority, &policy, holder, ask, &pending, context).await?;
            return Ok(Outcome::Pending(Box::new(view)));
        }
        (Some(id), decision @ (Decision::Granted(_) | Decision::NeedsApproval(_))) => {
            requests::redeem(authority, &policy, holder, id, decision, context.now)
        }
        (None, Decision::Granted(grant)) => Ok(grant),
        (_, Decision::Denied(denial)) => Err(Error::Denied(denial)),
    };
    match granted {
        Ok(grant) => {
            let pass = sign(authority, &policy, holder, ask, &grant, context, nonce).await?;
            let pass = Pass {
                certificate: pass,
                grant,
            };
            Ok(Outcome::Pass(Box::new(pass)))
        }
        Err(refusal) => {
            let (code, detail) = match &refusal {
                Error::Denied(denial) => (denial.reason.code(), denial.detail.clone()),
                Error::Objection(objection) => (objection.rule.code(), objection.detail.clone()),
                _ => return Err(refusal),
            };
            refuse_holder(authority, holder, ask, context, code, &detail).await?;
            Err(refusal)
        }
    }
}

/// Drafts, records and signs what was granted.
async fn sign(
    authority: &Authority,
    policy: &Policy,
    holder: &Holder,
    ask: &Ask,
    grant: &Grant,
    context: Context,
    nonce: [u8; 32],
) -> Result<Certificate, Error> {
    let draft = match Draft::new(holder, grant, &authority.ca, nonce, context.now) {
        Ok(draft) => draft,
        Err(error) => {
            let (code, detail) = (draft_code(&error), error.to_string());
            refuse_holder(authority, holder, ask, context, code, &detail).await?;
            return Err(error.into());
        }
    };
    let asked = record::asked(ask, context);
    let issued = record::issued(holder, asked, grant, &draft, policy.hash());
    if policy.page(ask) == Some(Page::Before) {
        page::before(authority, &issued, context, &nonce).await?;
    }
    let (draft, receipt) = authority.store.issue(draft, issued, context.now).await?;
    let serial = receipt.serial();
    match authority.ca.sign(draft, receipt) {
        Ok(certificate) => Ok(certificate),
        Err(error) => {
            record_failure(authority, serial, &error, context.now).await?;
            Err(Error::Ca(error))
        }
    }
}

/// Records the refusal of a proven identity's ask that never reached the policy: one `denied` event.
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
    let denied = What::Denied {
        who: record::who(identity),
        ask: record::asked(ask, context),
        key: key.map(fingerprint),
        reason: reason.to_owned(),
        detail: record::shortened(detail.to_owned()),
        policy: authority.policy().hash().to_owned(),
    };
    authority.store.record(denied, context.now).await?;
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

fn draft_code(error: &ca::Error) -> &'static str {
    match error {
        ca::Error::SubjectKey(_) => "SUBJECT_KEY",
        _ => "NOT_ISSUABLE",
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
