//! The caller's own access: the passes that are valid, and a lock by which they lock themself.

use time::OffsetDateTime;

use super::{
    admin::{Done, SignedOrder, put_lock},
    authority::Authority,
    error::Error,
    record,
};
use crate::{
    identity::Identity,
    ledger::{
        Event, EventKind, LedgerState,
        event::{Issued, LockTarget},
        order::Target,
        state::{Preview, Rejection, Rule},
    },
    policy::{self, Context},
    unix_seconds::UnixSeconds,
};

/// Passes in one answer at most.
const MOST: usize = 200;

/// A pass that hosts accept now.
pub(crate) struct ValidPass {
    pub(crate) serial: u64,
    pub(crate) at: OffsetDateTime,
    pub(crate) issued: Issued,
}

/// The passes of `identity` that are valid at `now`, newest first, and how many more there are.
/// Passes of bastions are left out: each belongs to another pass.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(crate) async fn passes(
    authority: &Authority,
    identity: &Identity,
    now: OffsetDateTime,
) -> Result<(Vec<ValidPass>, usize), Error> {
    authority.store.follow().await?;
    let seconds = UnixSeconds::from(now);
    let mut serials: Vec<u64> = authority.store.state(|state| {
        let own = state.passes().filter(|pass| {
            pass.issuer == identity.issuer()
                && pass.subject == identity.subject()
                && !pass.is_revoked
                && pass.valid_before > seconds
                && pass.jump_of.is_none()
        });
        own.map(|pass| pass.serial).collect()
    });
    serials.reverse();
    let more = serials.len().saturating_sub(MOST);
    serials.truncate(MOST);
    let leaves = authority.store.leaves(&serials).await?;
    let mut passes: Vec<ValidPass> = leaves
        .iter()
        .filter_map(|(_, leaf)| valid(Event::parse(leaf).ok()?))
        .collect();
    passes.sort_by_key(|pass| std::cmp::Reverse(pass.serial));
    Ok((passes, more))
}

fn valid(event: Event) -> Option<ValidPass> {
    let (serial, at) = (event.index, event.at);
    let EventKind::Issued(issued) = event.what else {
        return None;
    };
    Some(ValidPass {
        serial,
        at,
        issued: *issued,
    })
}

/// The target of a lock by which `identity` locks itself: its subject, which issuers never change.
pub(crate) fn own_target(identity: &Identity) -> LockTarget {
    LockTarget::Identity(identity.subject().to_owned())
}

/// The effect that a lock of `identity` by itself would have. Names of others, and the words of an
/// administrator's lock, are for administrators only and left out.
///
/// # Errors
/// Returns [`Error::Store`] if a shared database does not answer.
pub(crate) async fn preview_own_lock(
    authority: &Authority,
    identity: &Identity,
    context: Context,
) -> Result<Preview, Error> {
    let (who, target) = (record::who(identity), Target::from(&own_target(identity)));
    authority.store.follow().await?;
    let look = |state: &LedgerState| state.preview(&target, &who, context.now);
    let mut preview = authority.store.state(look);
    let own = (identity.issuer(), identity.subject());
    preview
        .covers
        .retain(|one| (&*one.issuer, &*one.subject) == own);
    Ok(Preview {
        near: Vec::new(),
        lock: None,
        ..preview
    })
}

/// Locks the holder. Only an administrator ends the lock.
///
/// # Errors
/// Returns [`Error::Denied`] if the token is bound to no key, [`Error::Invalid`] if the subject is
/// that of another identity too, and [`Error::Rejection`] if the holder is locked already.
pub(crate) async fn lock_me(order: SignedOrder<'_>) -> Result<Done, Error> {
    let identity = order.holder.identity();
    if let Err(denial) = policy::expect_bound(identity) {
        let detail = format!("lock themself: {}", denial.detail);
        order.refuse(denial.reason.code(), &detail).await?;
        return Err(Error::Denied(denial));
    }
    let (who, target) = (record::who(identity), own_target(identity));
    let is_alone = move |state: &LedgerState| {
        let covers = state.covered(&Target::from(&target), &who);
        let own = (who.issuer.as_str(), who.subject.as_str());
        covers
            .iter()
            .all(|one| (&*one.issuer, &*one.subject) == own)
    };
    order.authority.store.follow().await?;
    if !order.authority.store.state(&is_alone) {
        return Err(Error::Invalid(
            "your subject is also a name of another identity, and the lock would cover it: ask an administrator"
                .to_owned(),
        ));
    }
    // An identity that came since would be covered, too.
    let check = move |state: &LedgerState| match is_alone(state) {
        true => Ok(()),
        false => Err(Rejection::new(
            Rule::Stale,
            "another identity of your name came first: run the command again",
        )),
    };
    let target = own_target(identity);
    put_lock(order, target, check).await
}
