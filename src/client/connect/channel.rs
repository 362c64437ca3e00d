//! A channel to one server, over a connection that was made.

use std::{error::Error as StdError, io, time::Duration};

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::{
    address::Address,
    dial::Dialer,
    opening::{Opening, is_nothing_sent},
};
use crate::{client::Error, outbound::Stream};

/// For one call.
const CALL: Duration = Duration::from_secs(30);
/// While a call waits, the server is asked this often whether it is there: a machine without power,
/// or a network that drops packets, ends no connection.
const PING: Duration = Duration::from_secs(4);
/// Time for its answer. Then the connection is given up.
const PONG: Duration = Duration::from_secs(5);
/// Time for which a server that answered this command a moment ago, and refuses connections, is
/// tried again: it may restart just now.
const RESTART: Duration = Duration::from_secs(8);
/// Connections at most for one channel: each server of several may be replaced while it is asked.
const CONNECTIONS: u32 = 4;

/// A channel over `stream`. When that connection has ended, as when the server restarts between two
/// calls of a command, the next call dials again, any address. If it had ended before anything was
/// sent on it, that is done at once.
pub(super) async fn channel(
    dialer: &Dialer,
    address: &Address,
    stream: Box<dyn Stream>,
) -> Result<Channel, Error> {
    // tonic refuses https without its own TLS; the origin carries the real address.
    let origin = address.as_str().parse::<http::Uri>();
    let origin = origin.map_err(|error| Error::unreachable(address.as_str(), error))?;
    let mut stream = stream;
    let mut attempts = 1;
    loop {
        match over(dialer, origin.clone(), stream).await {
            Ok(channel) => return Ok(channel),
            Err(error) if attempts < CONNECTIONS && causes(&error).any(is_nothing_sent) => {
                stream = dialer.dial(RESTART).await?;
                attempts += 1;
            }
            Err(error) => {
                let cause = causes(&error).last().map(ToString::to_string);
                let cause = cause.unwrap_or_default();
                return Err(Error::unreachable(address.as_str(), cause));
            }
        }
    }
}

/// A channel that begins with `stream`, or what this connection failed with.
async fn over(
    dialer: &Dialer,
    origin: http::Uri,
    stream: Box<dyn Stream>,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_static("http://daypass.invalid")
        .origin(origin)
        .timeout(CALL)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    let mut first = Some(stream);
    let again = dialer.clone();
    let connector = service_fn(move |_: http::Uri| {
        let (first, dialer) = (first.take(), again.clone());
        async move {
            let stream = match first {
                Some(stream) => Ok(stream),
                None => dialer.dial(RESTART).await,
            };
            let opened = stream.map(|stream| TokioIo::new(Opening::new(stream)));
            opened.map_err(io::Error::other)
        }
    });
    endpoint.connect_with_connector(connector).await
}

/// An error, and its causes.
pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::{io::duplex, net::TcpListener, time::timeout};

    use super::*;

    /// A stream whose server died once the connection was made.
    fn dead() -> Box<dyn Stream> {
        Box::new(duplex(64).0)
    }

    /// One server of three was killed in the moment between TLS and HTTP/2, and `ssh` ended with
    /// "transport error", although the other two answered.
    #[tokio::test]
    async fn a_server_that_dies_as_the_connection_is_made_is_followed_by_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let address = Address::parse(&url).unwrap();
        let dialer = Dialer::new(&address, Vec::new(), None);
        let made = channel(&dialer, &address, dead()).await;
        assert!(made.is_ok(), "{:?}", made.err());
        let taken = timeout(Duration::from_secs(10), listener.accept()).await;
        assert!(taken.unwrap().is_ok());
    }

    #[tokio::test]
    async fn the_last_cause_says_that_nothing_was_sent() {
        let address = Address::parse("http://127.0.0.1:1").unwrap();
        let dialer = Dialer::new(&address, Vec::new(), None);
        let origin = http::Uri::from_static("http://127.0.0.1:1/");
        let failed = over(&dialer, origin, dead()).await.unwrap_err();
        assert!(causes(&failed).any(is_nothing_sent), "{failed:?}");
        let last = causes(&failed).last().unwrap().to_string();
        assert!(last.contains("before anything was sent"), "{last}");
    }
}
