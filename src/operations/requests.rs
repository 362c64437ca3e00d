//! Requests that wait for approval, and reviews of emergencies: open, show, decide, follow.
//! [`super::issuance`] files and redeems them.
//!
//! Checks here exist for a good message. The store's writer checks each event against the ledger
//! once more, in order: of two racing approvals or redemptions, one counts.

mod deciding;
pub(super) mod once;
mod opening;
pub(super) mod view;
mod viewing;

use super::{authority::Authority, error::Error, record};
use crate::{
    identity::Identity,
    ledger::{
        LedgerState,
        event::{Applicant, Requested},
        tree::{Hash, leaf_hash},
    },
    policy::Restriction,
};

pub(crate) use crate::ledger::state::Request;
pub(crate) use deciding::{Verdict, decide};
pub(crate) use view::{View, about, get, presence_keys};
pub(crate) use viewing::{Change, ListOptions, PAGE, Viewer, changes, list};

/// A number that grows with each change of any request.
pub(crate) fn revision(authority: &Authority) -> u64 {
    authority.store.state(|state| state.revision())
}

/// Waits until [`revision`] differs from `seen`. Returns false if the store was closed before.
pub(crate) async fn changed(authority: &Authority, seen: u64) -> bool {
    let other = || revision(authority) != seen;
    authority.store.until(other).await
}

/// Takes over what other servers of this ledger have recorded, for a caller that may have asked one
/// of them a moment ago.
///
/// # Errors
/// Returns [`Error::Store`] if a shared database does not answer.
pub(crate) async fn follow(authority: &Authority) -> Result<(), Error> {
    Ok(authority.store.follow().await?)
}

/// Checks that no lock covers an identity.
///
/// # Errors
/// Returns [`Error::Rejection`] that names the lock.
pub(crate) fn expect_unlocked(authority: &Authority, identity: &Identity) -> Result<(), Error> {
    let who = record::who(identity);
    let applicant = Applicant::new(&who, None, None);
    let state = |state: &LedgerState| state.expect_unlocked(&applicant);
    authority.store.state(state).map_err(Error::Rejection)
}

/// The digest that deciders of this request sign.
///
/// # Errors
/// Returns [`Error::Rejection`] with the rule `NoSuchRequest` if there is no such request.
pub(crate) async fn digest(authority: &Authority, id: u64) -> Result<(Request, Hash), Error> {
    let request = view::current(authority, id).await?;
    let event = view::event(authority, id).await?;
    Ok((request, leaf_hash(&event)))
}

/// The permissions that a request's approvers approved: its pass stays within them.
pub(crate) fn rights(requested: &Requested) -> Restriction {
    record::rights(requested)
}
