//! Locking, unlocking and revoking, for the administrators whom the policy's `[admin]` names.
//!
//! An order takes a key holder: a token that was stolen without its key orders nothing. Each order
//! is one event, checked and applied by the store's single writer. Once a lock is acknowledged, no
//! caller that was about to get a pass gets it, and every earlier pass is revoked.

use time::OffsetDateTime;

use super::{attempt::Attempt, authority::Authority, error::Error, record};
use crate::{
    identity::{Identity, KeyHolder},
    ledger::{
        Event, EventKind, LedgerState,
        event::{Covered, LockTarget, Locked, RevokeTarget, Revoked, Unlocked},
        order::{Proof, Target},
        restore::SignedRestore,
        state::{Lock, Preview, Rejection},
    },
    policy::{self, Ask, Context},
    reason,
};

/// The result of a lock or a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Its event's index.
    pub index: u64,
    /// When it was recorded.
    pub at: OffsetDateTime,
    /// The passes that it revoked: those that were out and not revoked before.
    pub serials: Vec<u64>,
    /// The identities that its target's name stands for.
    pub covers: Vec<Covered>,
}

/// The part of an order that its event keeps besides the target.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// The administrator's reason, if one was given.
    pub reason: Option<String>,
    /// The administrator's signature over the order.
    pub proof: Proof,
}

/// One order of a proven key holder.
pub(crate) struct SignedOrder<'a> {
    /// The CA that the order is for.
    pub authority: &'a Authority,
    /// The administrator.
    pub holder: &'a KeyHolder,
    /// The reason and the signature.
    pub signed: Signed,
    /// When, and from where.
    pub context: Context,
}

impl SignedOrder<'_> {
    /// Gives the target no new pass, and revokes the passes that it has. A second lock of the same
    /// target replaces the first one's reason.
    ///
    /// # Errors
    /// Returns [`Error::AdminDenied`] if the policy does not name this identity, and
    /// [`Error::Rejection`] if the administrator is locked; both are recorded. Returns
    /// [`Error::NotFound`] if there is no such role.
    pub(crate) async fn lock(self, target: LockTarget) -> Result<Done, Error> {
        self.expect_permitted(&format!("lock {target}")).await?;
        expect_known(self.authority, &target)?;
        put_lock(self, target, |_| Ok(())).await
    }

    /// Gives the target passes again. What was revoked stays revoked. Returns the event's index.
    ///
    /// # Errors
    /// Returns [`Error::AdminDenied`] if the policy does not name this identity, and
    /// [`Error::Rejection`] if the target is not locked or the administrator is; all are recorded.
    pub(crate) async fn unlock(self, target: LockTarget) -> Result<u64, Error> {
        self.expect_permitted(&format!("unlock {target}")).await?;
        let unlocked = Unlocked {
            who: record::who(self.holder.identity()),
            target,
            reason: self.signed.reason,
            proof: Some(self.signed.proof),
        };
        let unlocked = EventKind::Unlocked(Box::new(unlocked));
        let store = &self.authority.store;
        Ok(store.record(unlocked, self.context.now).await?)
    }

    /// Makes hosts refuse passes that are out. `restore` is the statement that accepts a restored
    /// ledger.
    ///
    /// # Errors
    /// Returns [`Error::AdminDenied`] if the policy does not name this identity, and
    /// [`Error::Rejection`] if the serial is no pass's, the administrator is locked or the
    /// statement does not count; all are recorded.
    pub(crate) async fn revoke(
        self,
        target: RevokeTarget,
        restore: Option<SignedRestore>,
    ) -> Result<Done, Error> {
        self.expect_permitted(&format!("revoke {target}")).await?;
        self.expect_statement(&target, restore.as_ref()).await?;
        let (who, now) = (record::who(self.holder.identity()), self.context.now);
        let goes_on = matches!(target, RevokeTarget::Through(_));
        let compose = self.authority.store.compose(
            move |state| {
                let serials = state.revocable(&target, now);
                let covers = state.covered(&Target::from(&target), &who);
                Ok(EventKind::Revoked(Box::new(Revoked {
                    who,
                    target,
                    reason: self.signed.reason,
                    serials,
                    covers,
                    proof: Some(self.signed.proof),
                    restore,
                })))
            },
            now,
        );
        let done = compose.await?;
        if goes_on {
            self.authority.store.skip(now).await?;
        }
        Ok(done.into())
    }

    pub(super) async fn expect_permitted(&self, wanted: &str) -> Result<(), Error> {
        let ask = self.asked();
        let attempt = Attempt::of(self.holder, &ask, self.context);
        expect_administrator(self.authority, attempt, wanted).await
    }

    /// Records a refusal of this order.
    pub(super) async fn refuse(&self, code: &str, detail: &str) -> Result<(), Error> {
        let ask = self.asked();
        let attempt = Attempt::of(self.holder, &ask, self.context);
        attempt.refuse(self.authority, code, detail).await
    }

    fn asked(&self) -> Ask {
        Ask {
            reason: self.signed.reason.clone(),
            ..Ask::default()
        }
    }
}

/// Records the lock of `target` if `check` still permits it at its place in the ledger.
pub(super) async fn put_lock(
    order: SignedOrder<'_>,
    target: LockTarget,
    check: impl FnOnce(&LedgerState) -> Result<(), Rejection> + Send + 'static,
) -> Result<Done, Error> {
    let (who, now) = (record::who(order.holder.identity()), order.context.now);
    let signed = order.signed;
    let compose = order.authority.store.compose(
        move |state| {
            check(state)?;
            let serials = state.lockable(&target, now);
            let covers = state.covered(&Target::from(&target), &who);
            Ok(EventKind::Locked(Box::new(Locked {
                who,
                target,
                reason: signed.reason,
                serials,
                covers,
                proof: Some(signed.proof),
            })))
        },
        now,
    );
    Ok(compose.await?.into())
}

/// The locks in force, for administrators and for those who may read the ledger: it has them all.
///
/// # Errors
/// Returns [`Error::AdminDenied`], recorded, if the policy names this identity for neither.
pub(crate) async fn locks(
    authority: &Authority,
    identity: &Identity,
    context: Context,
) -> Result<Vec<Lock>, Error> {
    if !authority.policy().may_audit(identity) {
        expect_reader(authority, identity, context, "list locks").await?;
    }
    authority.store.follow().await?;
    let locks = |state: &LedgerState| state.locks().collect();
    Ok(authority.store.state(locks))
}

/// The effect that an order about `target` by this administrator would have. Changes nothing.
///
/// # Errors
/// Returns [`Error::AdminDenied`], recorded, if the policy does not name this identity.
pub(crate) async fn preview(
    authority: &Authority,
    identity: &Identity,
    target: &Target,
    context: Context,
) -> Result<Preview, Error> {
    let wanted = format!("look at what an order about {target} would do");
    expect_reader(authority, identity, context, &wanted).await?;
    let who = record::who(identity);
    authority.store.follow().await?;
    let look = |state: &LedgerState| state.preview(target, &who, context.now);
    Ok(authority.store.state(look))
}

impl From<Event> for Done {
    fn from(event: Event) -> Self {
        let (index, at) = (event.index, event.at);
        let (serials, covers) = event.what.came_to();
        Self {
            index,
            at,
            serials,
            covers,
        }
    }
}

/// [`expect_administrator`] for a call that changes no pass, and is not signed.
pub(super) async fn expect_reader(
    authority: &Authority,
    identity: &Identity,
    context: Context,
    wanted: &str,
) -> Result<(), Error> {
    let attempt = Attempt {
        by: None,
        identity,
        key: None,
        ask: &Ask::default(),
        context,
    };
    expect_administrator(authority, attempt, wanted).await
}

/// Refuses, and records what was `wanted`, if the policy's `[admin]` does not name this identity or
/// its token is bound to no key.
async fn expect_administrator(
    authority: &Authority,
    attempt: Attempt<'_>,
    wanted: &str,
) -> Result<(), Error> {
    if !authority.policy().may_administer(attempt.identity) {
        let detail = format!("the policy does not let them {wanted}");
        attempt
            .refuse(authority, reason::ADMIN_DENIED, &detail)
            .await?;
        return Err(Error::AdminDenied);
    }
    let Err(denial) = policy::expect_bound(attempt.identity) else {
        return Ok(());
    };
    let detail = format!("{wanted}: {}", denial.detail);
    attempt
        .refuse(authority, denial.reason.code(), &detail)
        .await?;
    Err(Error::Denied(denial))
}

/// Refuses a role that is neither in the policy nor on a pass: its name is probably mistyped, and
/// the lock would stop no caller.
fn expect_known(authority: &Authority, target: &LockTarget) -> Result<(), Error> {
    let LockTarget::Role(name) = target else {
        return Ok(());
    };
    let policy = authority.policy();
    let is_in_policy = policy.roles().iter().any(|role| role.name == *name);
    let is_out = || {
        authority
            .store
            .state(|state| state.passes().any(|pass| pass.role == *name))
    };
    match is_in_policy || is_out() {
        true => Ok(()),
        false => Err(Error::NotFound(format!("there is no role {name:?}"))),
    }
}
