//! Deliveries to webhooks, for the administrators whom the policy's `[admin]` names.

use super::{admin::expect_reader, authority::Authority, error::Error, record};
pub(crate) use crate::notify::{DeadLetter, DeliveryReport, Which};
use crate::{identity::Identity, ledger::event::Applicant, policy::Context};

/// Dead letters of one webhook.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadLetters<'a> {
    /// The webhook's name.
    pub webhook: &'a str,
    /// One of them, or all.
    pub which: Which,
}

/// The state of each webhook.
///
/// # Errors
/// Returns [`Error::AdminDenied`], recorded, if the policy does not name this identity.
pub(crate) async fn list(
    authority: &Authority,
    identity: &Identity,
    context: Context,
) -> Result<Vec<DeliveryReport>, Error> {
    expect_reader(authority, identity, context, "list webhooks").await?;
    Ok(authority.notifier.reports())
}

/// Delivers dead letters again, from the first attempt. Returns how many those are.
///
/// # Errors
/// Returns [`Error::AdminDenied`], recorded, if the policy does not name this identity, and
/// [`Error::NotFound`] if there is no such webhook or dead letter.
pub(crate) async fn retry(
    authority: &Authority,
    identity: &Identity,
    letters: DeadLetters<'_>,
    context: Context,
) -> Result<u64, Error> {
    let DeadLetters { webhook, which } = letters;
    let wanted = format!("retry webhook {webhook}");
    expect_reader(authority, identity, context, &wanted).await?;
    let who = record::who(identity);
    authority
        .store
        .state(|state| state.expect_unlocked(&Applicant::new(&who, None, None)))
        .map_err(Error::Rejection)?;
    let revived = authority.notifier.revive(webhook, which, context.now);
    match (revived, which) {
        (None, _) => Err(Error::NotFound(format!("there is no webhook {webhook:?}"))),
        (Some(0), Which::Index(index)) => Err(Error::NotFound(format!(
            "webhook {webhook:?} has no dead letter {index}"
        ))),
        (Some(count), _) => Ok(count),
    }
}
