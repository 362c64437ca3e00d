//! Calls over a connection that may end between two of them, as when the server restarts.
//!
//! [`Channel`] dials again by itself, but the call that meets the end of a connection fails. It is
//! made once more if that cannot do anything twice: if it only reads, or if the server surely never
//! took it.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll},
};

use h2::Reason;
use tonic::{ConnectError, TimeoutExpired, body::Body, transport::Channel};
use tower::{Service, ServiceExt};

/// The largest message that is kept for a second try; the server takes no more either.
const LARGEST: usize = 64 * 1024;

/// Methods that change nothing, by service and name.
const READING: [&str; 15] = [
    "daypass.v1.Trust/GetTrust",
    "daypass.v1.Trust/GetRevocations",
    "daypass.v1.Passes/ListRoles",
    "daypass.v1.Passes/WhoAmI",
    "daypass.v1.Requests/Get",
    "daypass.v1.Requests/List",
    "daypass.v1.Requests/Watch",
    "daypass.v1.Ledger/GetCheckpoint",
    "daypass.v1.Ledger/Prove",
    "daypass.v1.Ledger/List",
    "daypass.v1.Ledger/FindPolicy",
    "daypass.v1.Ledger/Export",
    "daypass.v1.Admin/Preview",
    "daypass.v1.Admin/ListLocks",
    "daypass.v1.Admin/ListWebhooks",
];

type BoxError = Box<dyn StdError + Send + Sync>;

/// A channel whose calls outlive one connection.
#[derive(Clone, Debug)]
pub(crate) struct Link(Channel);

impl Link {
    pub(super) fn new(channel: Channel) -> Self {
        Self(channel)
    }
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let next = self.0.clone();
        // The channel that is ready is used, and its clone is not.
        let ready = std::mem::replace(&mut self.0, next.clone());
        Box::pin(call(ready, next, request))
    }
}

async fn call(
    mut ready: Channel,
    mut next: Channel,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(axum::body::Body::new(body), LARGEST).await?;
    let whole = || {
        http::Request::from_parts(
            head.clone(),
            Body::new(axum::body::Body::from(body.clone())),
        )
    };
    match ready.call(whole()).await {
        Err(error) if may_repeat(head.uri.path(), &error) => {
            Ok(next.ready().await?.call(whole()).await?)
        }
        done => Ok(done?),
    }
}

/// A call that timed out, or for which no connection was made, has been waited for long enough.
fn may_repeat(path: &str, error: &(dyn StdError + 'static)) -> bool {
    let is_over = |error: &(dyn StdError + 'static)| {
        error.is::<TimeoutExpired>() || error.is::<ConnectError>()
    };
    !causes(error).any(is_over) && (is_reading(path) || causes(error).any(never_left))
}

fn is_reading(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|method| READING.contains(&method))
}

/// An error, and its causes.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Whether this cause says that the server surely did not take the call: it was never sent, or the
/// server said so while it went away.
fn never_left(error: &(dyn StdError + 'static)) -> bool {
    let unsent = |error: &hyper::Error| error.is_canceled() || error.is_closed();
    error.downcast_ref().is_some_and(unsent) || error.downcast_ref().is_some_and(is_refused)
}

/// RFC 9113, 6.8 and 8.7: a stream above the last one of GOAWAY, or one that is refused, was not
/// processed. For the streams below, an orderly GOAWAY is no error.
fn is_refused(error: &h2::Error) -> bool {
    error.is_remote()
        && match error.reason() {
            Some(Reason::NO_ERROR) => error.is_go_away(),
            Some(Reason::REFUSED_STREAM) => error.is_reset(),
            // Numbers of h2.
            Some(_) | None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::FILE_DESCRIPTOR_SET;

    #[test]
    fn every_method_that_is_repeated_exists_and_none_of_them_changes_anything() {
        let is_known = |name: &str| {
            let mut windows = FILE_DESCRIPTOR_SET.windows(name.len());
            windows.any(|window| window == name.as_bytes())
        };
        for method in READING {
            assert!(is_reading(&format!("/{method}")), "{method}");
            let (service, name) = method.split_once('/').unwrap_or_default();
            let service = service.trim_start_matches("daypass.v1.");
            assert!(is_known(service) && is_known(name), "{method}");
        }
        for changing in [
            "Passes/Issue",
            "Requests/Open",
            "Admin/Lock",
            "Admin/TestWebhook",
        ] {
            assert!(
                !is_reading(&format!("/daypass.v1.{changing}")),
                "{changing}"
            );
        }
    }

    #[test]
    fn only_a_stream_that_the_server_did_not_take_is_sent_again() {
        for (reason, expected) in [(Reason::NO_ERROR, false), (Reason::REFUSED_STREAM, false)] {
            // Of this side: says nothing about what the server did.
            assert_eq!(is_refused(&h2::Error::from(reason)), expected, "{reason:?}");
        }
        let lost = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(!may_repeat("/daypass.v1.Passes/Issue", &lost));
        assert!(may_repeat("/daypass.v1.Passes/ListRoles", &lost));
    }
}
