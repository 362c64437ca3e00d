//! Locking, unlocking, revoking: for those whom the policy's `[admin]` names.
//!
//! What changes something takes a [`Holder`]: a token that was stolen without its key does nothing. All of it is one event each, checked and applied by the store's single writer: once a lock is acknowledged, nobody who
//! was on the way to a pass gets it, and every pass that went out before is revoked.

use ssh_key::PublicKey;
use time::OffsetDateTime;

use super::{Authority, Error, issuance, record};
use crate::{
    identity::{Holder, Identity},
    ledger::{
        Event, What,
        event::{Covered, LockTarget, Locked, RevokeTarget, Revoked, Unlocked},
        order::{Proof, Target},
        standing::{Lock, Preview},
    },
    policy::{self, Ask, Context},
    reason,
};

/// What a lock or a revocation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its event's index.
    pub index: u64,
    /// When it was recorded.
    pub at: OffsetDateTime,
    /// The passes that it revoked: those that were out and not revoked before.
    pub serials: Vec<u64>,
    /// Everyone whom its target's name stands for.
    pub covers: Vec<Covered>,
}

/// The part of an order that its event keeps besides the target.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The administrator's reason, if one was given.
    pub reason: Option<String>,
    /// The administrator's signature over the order.
    pub proof: Proof,
}

/// Gives no new pass to the target, and revokes those it has. A second lock of the same replaces the first one's reason.
///
/// # Errors
/// [`Error::AdminDenied`], recorded; [`Error::NotFound`] for a role that there is not; [`Error::Objection`] for whoever is
/// locked themselves.
pub async fn lock(
    authority: &Authority,
    holder: &Holder,
    target: LockTarget,
    order: Signed,
    context: Context,
) -> Result<Done, Error> {
    let wanted = || format!("lock {target}");
    expect_signed(authority, holder, wanted, &order.reason, context).await?;
    expect_known(authority, &target)?;
    let (who, now) = (record::who(holder.identity()), context.now);
    let compose = authority.store.compose(
        move |standing| {
            let serials = standing.lockable(&target, now);
            let covers = standing.covered(&Target::from(&target), &who);
            Ok(What::Locked(Box::new(Locked {
                who,
                target,
                reason: order.reason,
                serials,
                covers,
                proof: Some(order.proof),
            })))
        },
        now,
    );
    Ok(compose.await?.into())
}

/// Gives the target passes again. What was revoked stays revoked. Answers with the event's index.
///
/// # Errors
/// [`Error::AdminDenied`], recorded; [`Error::Objection`] where it is not locked, or whoever unlocks is.
pub async fn unlock(
    authority: &Authority,
    holder: &Holder,
    target: LockTarget,
    order: Signed,
    context: Context,
) -> Result<u64, Error> {
    let wanted = || format!("unlock {target}");
    expect_signed(authority, holder, wanted, &order.reason, context).await?;
    let unlocked = Unlocked {
        who: record::who(holder.identity()),
        target,
        reason: order.reason,
        proof: Some(order.proof),
    };
    let unlocked = What::Unlocked(Box::new(unlocked));
    Ok(authority.store.record(unlocked, context.now).await?)
}

/// Makes hosts refuse passes that are out.
///
/// # Errors
/// [`Error::AdminDenied`], recorded; [`Error::Objection`] for a serial that is no pass, or for whoever is locked.
pub async fn revoke(
    authority: &Authority,
    holder: &Holder,
    target: RevokeTarget,
    order: Signed,
    context: Context,
) -> Result<Done, Error> {
    let wanted = || format!("revoke {target}");
    expect_signed(authority, holder, wanted, &order.reason, context).await?;
    let (who, now) = (record::who(holder.identity()), context.now);
    let compose = authority.store.compose(
        move |standing| {
            let serials = standing.revocable(&target, now);
            let covers = standing.covered(&Target::from(&target), &who);
            Ok(What::Revoked(Box::new(Revoked {
                who,
                target,
                reason: order.reason,
                serials,
                covers,
                proof: Some(order.proof),
            })))
        },
        now,
    );
    Ok(compose.await?.into())
}

/// The locks in force.
///
/// # Errors
/// [`Error::AdminDenied`], recorded.
pub async fn locks(
    authority: &Authority,
    identity: &Identity,
    context: Context,
) -> Result<Vec<Lock>, Error> {
    let wanted = || "list locks".to_owned();
    expect_administrator(authority, identity, None, wanted, &None, context).await?;
    let locks = |standing: &crate::ledger::Standing| standing.locks().collect();
    Ok(authority.store.standing(locks))
}

/// What an order by this administrator about `target` would meet. It changes nothing.
///
/// # Errors
/// [`Error::AdminDenied`], recorded.
pub async fn preview(
    authority: &Authority,
    identity: &Identity,
    target: &Target,
    context: Context,
) -> Result<Preview, Error> {
    let wanted = || format!("look at what an order about {target} would do");
    expect_administrator(authority, identity, None, wanted, &None, context).await?;
    let who = record::who(identity);
    let look = |standing: &crate::ledger::Standing| standing.preview(target, &who, context.now);
    Ok(authority.store.standing(look))
}

impl From<Event> for Done {
    fn from(event: Event) -> Self {
        let (index, at) = (event.index, event.at);
        let (serials, covers) = came_to(event.what);
        Self {
            index,
            at,
            serials,
            covers,
        }
    }
}

/// [`expect_administrator`] for a call that the caller's key has signed.
async fn expect_signed(
    authority: &Authority,
    holder: &Holder,
    wanted: impl FnOnce() -> String,
    reason: &Option<String>,
    context: Context,
) -> Result<(), Error> {
    let (identity, key) = (holder.identity(), Some(holder.key()));
    expect_administrator(authority, identity, key, wanted, reason, context).await
}

/// Whoever may not leaves one event that says what they wanted.
pub(super) async fn expect_administrator(
    authority: &Authority,
    identity: &Identity,
    key: Option<&PublicKey>,
    wanted: impl FnOnce() -> String,
    reason: &Option<String>,
    context: Context,
) -> Result<(), Error> {
    let ask = Ask {
        reason: reason.clone(),
        ..Ask::default()
    };
    if authority.policy().may_administer(identity) {
        let Err(denial) = policy::expect_bound(identity) else {
            return Ok(());
        };
        let detail = format!("{}: {}", wanted(), denial.detail);
        let code = denial.reason.code();
        issuance::refuse(authority, identity, key, &ask, context, code, &detail).await?;
        return Err(Error::Denied(denial));
    }
    let detail = format!("the policy does not let them {}", wanted());
    let code = reason::ADMIN_DENIED;
    issuance::refuse(authority, identity, key, &ask, context, code, &detail).await?;
    Err(Error::AdminDenied)
}

/// A lock on a role that there is not would stop nobody: more likely its name is mistyped.
fn expect_known(authority: &Authority, target: &LockTarget) -> Result<(), Error> {
    let LockTarget::Role(name) = target else {
        return Ok(());
    };
    let policy = authority.policy();
    let is_in_policy = policy.roles().iter().any(|role| role.name == *name);
    let is_out = || {
        authority
            .store
            .standing(|standing| standing.passes().any(|pass| pass.role == *name))
    };
    match is_in_policy || is_out() {
        true => Ok(()),
        false => Err(Error::NotFound(format!("there is no role {name:?}"))),
    }
}

/// The passes that an order revoked, and whom it covers.
fn came_to(what: What) -> (Vec<u64>, Vec<Covered>) {
    match what {
        What::Locked(locked) => (locked.serials, locked.covers),
        What::Revoked(revoked) => (revoked.serials, revoked.covers),
        _ => (Vec::new(), Vec::new()),
    }
}
