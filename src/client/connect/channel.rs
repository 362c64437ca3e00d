//! A channel to one server, over a connection that was made.

use std::{io, time::Duration};

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::{address::Address, dial::Dialer};
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

/// A channel over `stream`. When that connection has ended, as when the server restarts between two
/// calls of a command, the next call dials again, any address.
pub(super) async fn channel(
    dialer: &Dialer,
    address: &Address,
    stream: Box<dyn Stream>,
) -> Result<Channel, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::unreachable(address.as_str(), error);
    // tonic refuses https without its own TLS; the origin carries the real address.
    let origin = address.as_str().parse::<http::Uri>();
    let endpoint = Endpoint::from_static("http://daypass.invalid")
        .origin(origin.map_err(|error| broken(&error))?)
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
            stream.map(TokioIo::new).map_err(io::Error::other)
        }
    });
    let channel = endpoint.connect_with_connector(connector).await;
    channel.map_err(|error| broken(&error))
}
