//! Deliveries to webhooks, for the administrators whom the policy's `[admin]` names.

use super::{admin::expect_reader, authority::Authority, error::Error, record};
pub(crate) use crate::notify::{DeadLetter, DeliveryReport, TestReport, Which};
use crate::{
    identity::Identity,
    ledger::{
        event::{Actor, Applicant},
        state::{Rejection, Rule},
    },
    notify::NoTest,
    policy::Context,
    store,
};

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
    authority.notifier.reports().await.map_err(unavailable)
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
    expect_unlocked(authority, &record::who(identity))?;
    let revived = authority.notifier.revive(webhook, which, context.now);
    let revived = revived.await.map_err(unavailable)?;
    match (revived, which) {
        (None, _) => Err(Error::NotFound(format!("there is no webhook {webhook:?}"))),
        (Some(0), Which::Index(index)) => Err(Error::NotFound(format!(
            "webhook {webhook:?} has no dead letter {index}"
        ))),
        (Some(count), _) => Ok(count),
    }
}

/// Sends a signed test notification to one webhook now, and waits for the receiver's answer.
///
/// # Errors
/// Returns [`Error::AdminDenied`], recorded, if the policy does not name this identity,
/// [`Error::NotFound`] if there is no such webhook, and [`Error::Rejection`] if the last test of it
/// was a moment ago.
pub(crate) async fn test(
    authority: &Authority,
    identity: &Identity,
    webhook: &str,
    context: Context,
) -> Result<TestReport, Error> {
    let wanted = format!("test webhook {webhook}");
    expect_reader(authority, identity, context, &wanted).await?;
    let who = record::who(identity);
    expect_unlocked(authority, &who)?;
    let server = &authority.server_name;
    let tested = authority.notifier.test(webhook, server, &who, context.now);
    tested.await.map_err(|none| match none {
        NoTest::Unknown => Error::NotFound(format!("there is no webhook {webhook:?}")),
        NoTest::TooSoon => Error::Rejection(Rejection::new(
            Rule::TooMany,
            format!("webhook {webhook:?} was tested a moment ago: wait some seconds"),
        )),
    })
}

/// The mailboxes are in the ledger's database.
fn unavailable(error: std::io::Error) -> Error {
    Error::Store(store::Error::Unavailable(error.to_string()))
}

fn expect_unlocked(authority: &Authority, who: &Actor) -> Result<(), Error> {
    let applicant = Applicant::new(who, None, None);
    let unlocked = authority
        .store
        .state(|state| state.expect_unlocked(&applicant));
    unlocked.map_err(Error::Rejection)
}
