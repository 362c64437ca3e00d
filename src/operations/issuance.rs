//! One issuance: from the ask of a proven key holder to a pass.
//!
//! ```text
//! Issuance::new ─▶ issue ─▶ Policy::decide ─┬─▶ refuse        one `denied` event
//!                                           ├─▶ file          a request that waits for approval
//!                                           └─▶ draft ─▶ sign  a pass
//! ```
//!
//! `redeem` turns an approved request into a grant. Emergencies and jump passes take the same way.
//! Nothing here knows the wire, and nothing here grants: grants come from [`Policy::decide`] and
//! are only narrowed.
//!
//! Futures of rare and of large steps are boxed. A future is copied with room for its largest step
//! each time it is handed on, and a pass would pay for steps that it does not take.

use std::sync::Arc;

use ssh_key::Certificate;

pub(crate) use super::jump::Jump;
use super::{
    attempt::Attempt,
    authority::Authority,
    error::Error,
    hosts::certified::certified_until,
    jump, page,
    record::{self, Basis},
    requests::{
        once::Opened,
        view::{self, View},
    },
};
use crate::{
    ca::{Ca, Draft},
    identity::KeyHolder,
    ledger::{
        EventKind,
        event::{self, Issued},
        state::{Decision as Approval, Rejection, Request, Rule},
    },
    policy::{Ask, Context, Decision, Grant, PageTiming, Pending, Policy, Restriction},
    ssh::key::fingerprint,
    unix_seconds::UnixSeconds,
};

/// A pass, with the grant it came from.
#[derive(Debug)]
pub struct IssuedPass {
    /// Signed, linted and verified.
    pub certificate: Certificate,
    /// The policy's answer.
    pub grant: Grant,
    /// The jump pass, if the host is reached through a bastion.
    pub jump: Option<Box<Jump>>,
    /// First second at which the host of the ask has no valid certificate any more; 0 if it has
    /// none.
    pub host_certificate_until: UnixSeconds,
}

/// The answer to an ask that was not refused.
#[derive(Debug)]
pub enum Outcome {
    /// A pass.
    Pass(Box<IssuedPass>),
    /// A request: other people must approve first.
    Pending(Box<View>),
}

/// Decisions about one ask at most: the first, one more after its page, and one after each
/// replacement of the policy.
const MAX_DECISIONS: usize = 8;

/// One ask of one key holder, from the start of the request to its answer.
///
/// Opening a request and deciding it ([`super::requests`]) are steps of it, too.
pub struct Issuance<'a> {
    pub(super) authority: &'a Authority,
    /// The policy that decides: the one in force when the current decision began.
    pub(super) policy: Arc<Policy>,
    pub(super) holder: &'a KeyHolder,
    pub(super) ask: &'a Ask,
    pub(super) context: Context,
}

/// A draft, and the event that must be durable before the draft is signed.
struct Drafted {
    ca: Arc<Ca>,
    draft: Draft,
    issued: Box<Issued>,
}

/// Next step of an issuance after one decision of the policy.
pub(super) trait Step: Send {
    /// Its result.
    type Outcome: Send;

    /// Decides and records. `None`: the policy must decide again.
    fn take(
        &mut self,
        issuance: &Issuance<'_>,
    ) -> impl Future<Output = Result<Option<Self::Outcome>, Error>> + Send;
}

/// Answers with a pass or a request.
struct Issue {
    nonce: [u8; 32],
    /// The grant that an acknowledged page was about: the pass stays within it.
    paged: Option<Box<Restriction>>,
}

impl Step for Issue {
    type Outcome = Outcome;

    async fn take(&mut self, it: &Issuance<'_>) -> Result<Option<Outcome>, Error> {
        if it.ask.request.is_some() {
            // It may have been approved on another server of this ledger a moment ago.
            Box::pin(it.authority.store.follow()).await?;
        }
        let granted = match (it.ask.request, it.decision()) {
            (Some(id), decision) => it.redeem(id, decision),
            (None, Decision::Granted(grant)) => Ok(grant),
            (None, Decision::Denied(denial)) => Err(Error::Denied(denial)),
            (None, Decision::NeedsApproval(pending)) => {
                let view = Box::pin(it.file(&pending)).await?;
                return Ok(Some(Outcome::Pending(Box::new(view))));
            }
        };
        let grant = match granted.and_then(|grant| within(grant, self.paged.as_deref())) {
            Ok(grant) => grant,
            Err(refusal) => return Box::pin(it.refuse(refusal)).await,
        };
        if self.paged.is_none() && it.policy.page(it.ask) == Some(PageTiming::Before) {
            let drafted = Box::pin(it.draft(&grant, self.nonce)).await?;
            let page = page::before(it.authority, &drafted.issued, it.context, &self.nonce);
            Box::pin(page).await?;
            self.paged = Some(Box::new(grant.as_restriction()));
            return Ok(None);
        }
        let pass = Box::pin(it.pass(grant, self.nonce)).await?;
        Ok(Some(Outcome::Pass(Box::new(pass))))
    }
}

impl<'a> Issuance<'a> {
    /// Begins to answer `ask`. Nothing is decided or recorded yet.
    pub fn new(
        authority: &'a Authority,
        holder: &'a KeyHolder,
        ask: &'a Ask,
        context: Context,
    ) -> Self {
        Self {
            authority,
            policy: authority.policy(),
            holder,
            ask,
            context,
        }
    }

    /// Answers with a pass, or with a request if the role needs approval.
    ///
    /// `nonce` is random and used once.
    ///
    /// # Errors
    /// Returns [`Error::Denied`], [`Error::Invalid`], [`Error::Rejection`], [`Error::SubjectKey`]
    /// or [`Error::PageFailed`] if the ask is refused; the ledger holds that refusal once. Returns
    /// [`Error::Store`] if the ledger cannot be written, [`Error::KeyAway`] if the key is known not
    /// to answer, and [`Error::Ca`] if it fails; the ledger says why. No pass leaves in either
    /// case: if only the jump pass fails, the ledger lists the main pass, and a redeemed request is
    /// spent.
    pub async fn issue(self, nonce: [u8; 32]) -> Result<Outcome, Error> {
        self.expect_recordable().await?;
        self.decide(Issue { nonce, paged: None }).await
    }

    /// Takes `step` under the policy in force. Takes it again if it answers `None`, or if the
    /// policy was replaced before the ledger had the decision: each event is decided by the policy
    /// in force at its place in the ledger.
    pub(super) async fn decide<S: Step>(mut self, mut step: S) -> Result<S::Outcome, Error> {
        for _ in 0..MAX_DECISIONS {
            self.policy = self.authority.policy();
            match step.take(&self).await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                // The next draft is for the key that signs now.
                Err(error) if error.is_ca_key_changed() => {}
                Err(error) if error.is_policy_changed() => {
                    Box::pin(self.authority.settle_policy(self.context.now)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let rejection = Rejection::policy_changed();
        self.refuse(Error::Rejection(rejection)).await
    }

    pub(super) fn decision(&self) -> Decision {
        let (identity, ask, context) = (self.holder.identity(), self.ask, self.context);
        match self.holder.on_behalf() {
            None => self.policy.decide(identity, ask, context),
            Some(it) => self
                .policy
                .decide_on_behalf(identity, it.by(), ask, context),
        }
    }

    /// Records `refusal` if it is one of the ask, and returns it. Returns [`Error::Store`] instead
    /// if it cannot be recorded.
    pub(super) async fn refuse<T>(&self, refusal: Error) -> Result<T, Error> {
        if let Some((code, detail)) = refusal.denial() {
            let attempt = Attempt::of(self.holder, self.ask, self.context);
            Box::pin(attempt.refuse(self.authority, code, &detail)).await?;
        }
        Err(refusal)
    }

    /// Refuses an ask or claims that the ledger cannot hold whole.
    pub(super) async fn expect_recordable(&self) -> Result<(), Error> {
        let identity = self.holder.identity();
        let by = self.holder.on_behalf().map(|it| it.by());
        match record::expect_recordable(identity, by, self.ask, self.context) {
            Ok(()) => Ok(()),
            Err(problem) => self.refuse(Error::Invalid(problem)).await,
        }
    }

    /// Records a request that waits for `pending`'s approvals. If the same request is open already,
    /// nothing is recorded: the ask gets that one.
    pub(super) async fn file(&self, pending: &Pending) -> Result<View, Error> {
        let (identity, now) = (self.holder.identity(), self.context.now);
        let permissions = pending.permissions();
        if let Err(invalid) = permissions.expect_key(self.holder.key()) {
            return self.refuse(Error::SubjectKey(invalid)).await;
        }
        let command = permissions.force_command.as_deref();
        if let Err(problem) = record::expect_recordable_command(command) {
            return self.refuse(Error::Invalid(problem)).await;
        }
        let requested = self.basis().requested(pending);
        match self.authority.open_once(requested, identity, now).await? {
            Opened::New(id) => view::get(self.authority, identity, id, now).await,
            Opened::Already(id) => {
                let view = view::get(self.authority, identity, id, now).await?;
                Ok(View {
                    was_open: true,
                    ..view
                })
            }
            Opened::TooMany => {
                let detail = "you have opened many requests lately: wait a minute, and try again";
                let rejection = Rejection::new(Rule::TooMany, detail);
                self.refuse(Error::Rejection(rejection)).await
            }
        }
    }

    /// Narrows the decision to what request `id` was approved for. If the role still needs
    /// approval, only approvers count who may still approve.
    fn redeem(&self, id: u64, decision: Decision) -> Result<Grant, Error> {
        let grant = match decision {
            Decision::Denied(denial) => Err(denial),
            Decision::Granted(grant) => grant.narrow(&record::approved(&self.redeemable(id)?)),
            Decision::NeedsApproval(pending) => {
                let request = self.redeemable(id)?;
                let ask = record::ask(&request.ask);
                let counts = |approval: &&Approval| {
                    let (who, shown) = (&approval.who, approval.presence.as_deref());
                    record::person(who)
                        .is_some_and(|person| self.policy.counts(person, &ask, shown))
                };
                let approvals = request.approvals().filter(counts).count();
                pending.approved(approvals, &record::approved(&request))
            }
        };
        grant.map_err(Error::Denied)
    }

    fn redeemable(&self, id: u64) -> Result<Request, Error> {
        let who = record::who(self.holder.identity());
        let (key, now) = (fingerprint(self.holder.key()), self.context.now);
        let request = self
            .authority
            .store
            .state(|state| state.redeemable(id, &who, &key, now).cloned());
        request.map_err(Error::Rejection)
    }

    /// Makes the pass and its jump pass, if it has one. Both are drafted before either is recorded:
    /// a grant that makes no certificate leaves no `issued` event.
    async fn pass(&self, grant: Grant, nonce: [u8; 32]) -> Result<IssuedPass, Error> {
        let drafted = self.draft(&grant, nonce).await?;
        let jump = match grant.jump() {
            None => None,
            Some((jump_host, rights)) => {
                let drafted = Box::pin(self.draft(&rights, jump::nonce(&nonce))).await?;
                Some(Box::new((jump_host.clone(), rights, drafted)))
            }
        };
        let certificate = self.sign(drafted).await?;
        let jump = match jump {
            None => None,
            Some(jump) => {
                let (jump_host, grant, mut drafted) = *jump;
                let (bastion, pass) = (jump_host.bastion.clone(), certificate.serial());
                let jump = event::Jump { bastion, pass };
                drafted.issued.jump = Some(jump.clone());
                let certificate = match Box::pin(self.sign(drafted)).await {
                    // Another key was activated after the first pass was recorded.
                    Err(error) if error.is_ca_key_changed() => {
                        let again = self.draft(&grant, jump::nonce(&nonce));
                        let mut drafted = Box::pin(again).await?;
                        drafted.issued.jump = Some(jump);
                        Box::pin(self.sign(drafted)).await?
                    }
                    signed => signed?,
                };
                Some(Box::new(Jump {
                    jump_host,
                    certificate,
                    grant,
                }))
            }
        };
        let host = self.ask.host.as_deref().unwrap_or_default();
        let host_certificate_until =
            certified_until(self.authority, host, self.context.now.into()).await;
        Ok(IssuedPass {
            host_certificate_until,
            certificate,
            grant,
            jump,
        })
    }

    async fn draft(&self, grant: &Grant, nonce: [u8; 32]) -> Result<Drafted, Error> {
        let (ca, now) = (self.authority.ca(), self.context.now);
        // Recorded passes that are never signed would tell an auditor nothing.
        ca.expect_key()?;
        match Draft::new(self.holder, grant, &ca, nonce, now) {
            Err(error) => self.refuse(error.into()).await,
            Ok(draft) => {
                let issued = Box::new(self.basis().issued(grant, &draft));
                Ok(Drafted { ca, draft, issued })
            }
        }
    }

    /// Records, then signs: the event is durable before the key is used.
    async fn sign(&self, drafted: Drafted) -> Result<Certificate, Error> {
        let (store, now) = (&self.authority.store, self.context.now);
        let (draft, receipt) = store.issue(drafted.draft, drafted.issued, now).await?;
        let serial = receipt.serial();
        match drafted.ca.sign(draft, receipt).await {
            Ok(certificate) => Ok(certificate),
            Err(error) => {
                let cause = error.to_string();
                tracing::error!(serial, cause, "signing failed");
                let failed = EventKind::SigningFailed { serial, cause };
                Box::pin(store.record(failed, now)).await?;
                Err(error.into())
            }
        }
    }

    fn basis(&self) -> Basis<'_> {
        Basis {
            holder: self.holder,
            ask: self.ask,
            context: self.context,
            policy: self.policy.hash(),
        }
    }
}

/// Narrows the grant to `limit`. Refuses a force-command that the ledger cannot hold whole.
fn within(grant: Grant, limit: Option<&Restriction>) -> Result<Grant, Error> {
    let grant = match limit {
        None => grant,
        Some(limit) => grant.narrow(limit).map_err(Error::Denied)?,
    };
    record::expect_recordable_command(grant.command()).map_err(Error::Invalid)?;
    Ok(grant)
}
