//! What became of webhooks, for those whom the policy's `[admin]` names.

use super::{Authority, Error, admin, record};
pub use crate::notify::{DeadLetter, Report, Which};
use crate::{identity::Identity, ledger::event::Applicant, policy::Context};

/// How things stand with each webhook.
///
/// # Errors
/// [`Error::AdminDenied`], recorded.
pub async fn list(
    authority: &Authority,
    identity: &Identity,
    context: Context,
) -> Result<Vec<Report>, Error> {
    let wanted = || "list webhooks".to_owned();
    admin::expect_administrator(authority, identity, None, wanted, &None, context).await?;
    Ok(authority.notifier.reports())
}

/// Lets dead letters of a webhook be tried again from the start; how many those are.
///
/// # Errors
/// [`Error::AdminDenied`], recorded; [`Error::NotFound`] where there is no such webhook or dead letter.
pub async fn retry(
    authority: &Authority,
    identity: &Identity,
    name: &str,
    which: Which,
    context: Context,
) -> Result<u64, Error> {
    let wanted = || format!("retry webhook {name}");
    admin::expect_administrator(authority, identity, None, wanted, &None, context).await?;
    let who = record::who(identity);
    authority
        .store
        .standing(|standing| standing.expect_unlocked(&Applicant::new(&who, None, None)))
        .map_err(Error::Objection)?;
    match (authority.notifier.revive(name, which, context.now), which) {
        (None, _) => Err(Error::NotFound(format!("there is no webhook {name:?}"))),
        (Some(0), Which::Index(index)) => Err(Error::NotFound(format!(
            "webhook {name:?} has no dead letter {index}"
        ))),
        (Some(count), _) => Ok(count),
    }
}
