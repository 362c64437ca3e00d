//! Calls over a connection that may end between two of them, as when the server restarts.
//!
//! [`Channel`] dials again by itself, but the call that meets the end of a connection fails. It is
//! made once more if that does no harm: if it only reads, or if the caller says so
//! ([`Repeatable`]). One that the server surely never took is made a few times.
//!
//! A call that the server did not take, because its caller reached a rate, waits as long as the
//! server says and is made again: a script that reads in a loop is slowed and does not fail.
//!
//! A server can also be there and lack what it needs: its database, or the CA's key. If the user
//! named several addresses, such a call goes to the others, and so do the calls after it. A
//! command begins with one that only reads.

use std::{
    error::Error as StdError,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use h2::Reason;
use parking_lot::Mutex;
use tonic::{Code, ConnectError, Status, TimeoutExpired, body::Body, transport::Channel};
use tower::{Service, ServiceExt};
use url::Url;

use super::{
    address::Address,
    channel::{causes, channel},
    dial::Dialer,
    opening::is_nothing_sent,
};
use crate::{client::Error, outbound::Stream, proto::status::Details, reason};

/// The largest message that is kept for a second try; the server takes no more either.
const LARGEST: usize = 64 * 1024;

/// Methods that change nothing, by service and name.
const READING: [&str; 19] = [
    "daypass.v1.Trust/GetTrust",
    "daypass.v1.Trust/GetRevocations",
    "daypass.v1.Passes/ListPasses",
    "daypass.v1.Passes/ListRoles",
    "daypass.v1.Passes/PreviewLockMe",
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
    "daypass.v1.Admin/ListCaKeys",
    "daypass.v1.Hosts/List",
];

/// Extension of a request that may be made twice, even if the server took it the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeatable;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A channel whose calls outlive one connection, and a server without its database.
#[derive(Clone)]
pub(crate) struct Link {
    channel: Channel,
    /// How many times this one has moved to another address.
    moves: u32,
    elsewhere: Elsewhere,
}

/// The way to the server's other addresses. Clones share where the last call went.
#[derive(Clone)]
struct Elsewhere {
    dialer: Dialer,
    address: Address,
    /// The moves so far, and the channel since the last one.
    moved: Arc<Mutex<(u32, Option<Channel>)>>,
}

impl Link {
    /// A link that begins with `stream`.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if the server does not speak HTTP/2 on it.
    pub(super) async fn new(
        dialer: &Dialer,
        address: &Address,
        stream: Box<dyn Stream>,
    ) -> Result<Self, Error> {
        Ok(Self {
            channel: channel(dialer, address, stream).await?,
            moves: 0,
            elsewhere: Elsewhere {
                dialer: dialer.clone(),
                address: address.clone(),
                moved: Arc::default(),
            },
        })
    }
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let (moves, Some(channel)) = &*self.elsewhere.moved.lock()
            && *moves != self.moves
        {
            (self.moves, self.channel) = (*moves, channel.clone());
        }
        self.channel.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let next = self.channel.clone();
        // The channel that is ready is used, and its clone is not.
        let ready = std::mem::replace(&mut self.channel, next.clone());
        Box::pin(call(ready, next, self.elsewhere.clone(), request))
    }
}

async fn call(
    mut ready: Channel,
    mut next: Channel,
    elsewhere: Elsewhere,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(axum::body::Body::new(body), LARGEST).await;
    let body = body.map_err(|_| too_large())?;
    let whole = || {
        http::Request::from_parts(
            head.clone(),
            Body::new(axum::body::Body::from(body.clone())),
        )
    };
    let mut done = ready.call(whole()).await;
    let mut lost = Lost::new(&head);
    while let Err(error) = &done
        && let Some(pause) = lost.pause_before_another(error)
    {
        tokio::time::sleep(pause).await;
        done = next.ready().await?.call(whole()).await;
    }
    let mut untried = None;
    while is_harmless(&head)
        && done.as_ref().is_ok_and(lacks_what_others_may_have)
        && let Some(mut other) = elsewhere
            .go(untried.get_or_insert_with(|| elsewhere.dialer.others()))
            .await
    {
        done = other.ready().await?.call(whole()).await;
        next = other;
    }
    let mut slow = Slow::default();
    while let Ok(answer) = &done
        && let Some(pause) = slow.pause_before_another(answer)
    {
        tokio::time::sleep(pause).await;
        done = next.ready().await?.call(whole()).await;
    }
    Ok(done?)
}

/// The one fault of a message in memory. Without a status of its own it would read as a connection
/// that broke.
fn too_large() -> Status {
    Status::out_of_range(format!(
        "the request is larger than {} KiB, which is the most that a server takes: shorten it",
        LARGEST / 1024
    ))
}

/// What a call has waited for its caller's rate.
#[derive(Default)]
struct Slow {
    waited: Duration,
}

impl Slow {
    /// A server that says so for longer has more callers than it can answer.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// For a server that asks for less.
    const SHORTEST: Duration = Duration::from_millis(100);

    /// How long to wait before the call is made again; none if the server took it, or the wait
    /// would be long.
    fn pause_before_another(&mut self, answer: &http::Response<Body>) -> Option<Duration> {
        let status = Status::from_header_map(answer.headers())?;
        let details = Details::of(&status).filter(|it| it.reason == reason::RATE_LIMITED)?;
        let pause = details.retry_after?.max(Self::SHORTEST);
        let waited = self.waited.saturating_add(pause);
        if waited > Self::PATIENCE {
            return None;
        }
        self.waited = waited;
        Some(pause)
    }
}

impl Elsewhere {
    /// A channel to one of these URLs, which is then not among them; none if none is left, or none
    /// answers. Later calls begin with it.
    async fn go(&self, untried: &mut Vec<Url>) -> Option<Channel> {
        if untried.is_empty() {
            return None;
        }
        let stream = self.dialer.dial_any(untried.clone()).await.ok()?;
        let answered = self.dialer.answered();
        untried.retain(|url| Some(url) != answered.as_ref());
        let channel = channel(&self.dialer, &self.address, stream).await.ok()?;
        let mut moved = self.moved.lock();
        *moved = (moved.0.wrapping_add(1), Some(channel.clone()));
        Some(channel)
    }
}

/// Whether the server refused for lack of something that a server at another address may have.
fn lacks_what_others_may_have(answer: &http::Response<Body>) -> bool {
    let Some(status) = Status::from_header_map(answer.headers()) else {
        return false;
    };
    let lacking = |details: Details| {
        matches!(
            details.reason.as_str(),
            reason::STORE_UNAVAILABLE | reason::CA_UNAVAILABLE
        )
    };
    status.code() == Code::Unavailable && Details::of(&status).is_some_and(lacking)
}

/// Whether the server may take the call twice.
fn is_harmless(head: &http::request::Parts) -> bool {
    is_reading(head.uri.path()) || head.extensions.get::<Repeatable>().is_some()
}

/// What is known of a call whose connection was lost.
struct Lost {
    /// The server may take it once more.
    is_harmless: bool,
    attempts: u32,
}

impl Lost {
    /// Attempts at most. A connection that ends now can be handed out once more before it is known
    /// to have ended.
    const ATTEMPTS: u32 = 4;
    const PAUSE: Duration = Duration::from_millis(20);

    fn new(head: &http::request::Parts) -> Self {
        Self {
            is_harmless: is_harmless(head),
            attempts: 1,
        }
    }

    /// How long to wait before the call is made again after this error; none if it is not. A call
    /// that timed out, or for which no connection was made, has been waited for long enough.
    fn pause_before_another(&mut self, error: &(dyn StdError + 'static)) -> Option<Duration> {
        let is_over = |error: &(dyn StdError + 'static)| {
            error.is::<TimeoutExpired>() || error.is::<ConnectError>()
        };
        if causes(error).any(is_over) || self.attempts >= Self::ATTEMPTS {
            return None;
        }
        // One that the server may have taken is made again once.
        let may = causes(error).any(never_left) || std::mem::take(&mut self.is_harmless);
        let pause = Self::PAUSE * (self.attempts - 1);
        self.attempts += 1;
        may.then_some(pause)
    }
}

fn is_reading(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|method| READING.contains(&method))
}

/// Whether this cause says that the server surely did not take the call: it was never sent, or the
/// server said so while it went away.
fn never_left(error: &(dyn StdError + 'static)) -> bool {
    let unsent = |error: &hyper::Error| error.is_canceled() || error.is_closed();
    error.downcast_ref().is_some_and(unsent)
        || error.downcast_ref().is_some_and(is_refused)
        || is_nothing_sent(error)
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
    use hyper_util::rt::TokioIo;

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
        let head = |method: &str| {
            let request = http::Request::post(format!("/daypass.v1.Passes/{method}"));
            request.body(()).unwrap_or_default().into_parts().0
        };
        let attempts = |head: &http::request::Parts, error: &(dyn StdError + 'static)| {
            let mut lost = Lost::new(head);
            let again = std::iter::from_fn(|| lost.pause_before_another(error));
            1 + again.take(100).count()
        };
        let mut issue = head("Issue");
        assert_eq!(attempts(&issue, &lost), 1);
        assert_eq!(attempts(&head("ListRoles"), &lost), 2);
        let refused = h2::Error::from(Reason::REFUSED_STREAM);
        assert_eq!(attempts(&issue, &refused), 1, "only a server's word counts");
        issue.extensions.insert(Repeatable);
        assert_eq!(attempts(&issue, &lost), 2);
    }

    /// The tenth `ledger show` of a loop failed, and told the user to try again in a second.
    #[test]
    fn a_call_waits_for_its_rate_and_not_for_ever() {
        let pauses = |reason: &'static str, wait: Duration| {
            let details = Details {
                retry_after: Some(wait),
                ..Details::new(reason)
            };
            let status = details.into_status(Code::ResourceExhausted, "too many");
            let answer: http::Response<Body> = status.into_http();
            let mut slow = Slow::default();
            let again = std::iter::from_fn(|| slow.pause_before_another(&answer));
            again.take(1000).collect::<Vec<Duration>>()
        };
        let second = Duration::from_secs(1);
        assert_eq!(pauses(reason::RATE_LIMITED, second), [second; 10]);
        assert_eq!(pauses(reason::RATE_LIMITED, Duration::ZERO).len(), 100);
        assert!(pauses(reason::RATE_LIMITED, 11 * second).is_empty());
        assert!(pauses(reason::RATE_LIMITED, Duration::MAX).is_empty());
        assert!(pauses(reason::TOO_MANY_WATCHES, second).is_empty());
    }

    /// A connection that had just ended was handed out again for the second attempt, and a third
    /// would have reached the next server.
    #[tokio::test]
    #[allow(clippy::unwrap_used, reason = "tests")]
    async fn a_call_that_never_left_is_made_until_it_leaves_and_not_for_ever() {
        let head = http::Request::post("/daypass.v1.Passes/Issue").body(());
        let mut lost = Lost::new(&head.unwrap().into_parts().0);
        let (near, _far) = tokio::io::duplex(64);
        let made = hyper::client::conn::http1::handshake(TokioIo::new(near)).await;
        let (mut sender, connection) = made.unwrap();
        drop(connection);
        let canceled = sender.send_request(http::Request::new(Body::empty())).await;
        let canceled = canceled.unwrap_err();
        assert!(canceled.is_canceled(), "{canceled}");
        let again = std::iter::from_fn(|| lost.pause_before_another(&canceled));
        assert_eq!(1 + again.take(100).count() as u32, Lost::ATTEMPTS);
    }
}
