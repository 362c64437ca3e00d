//! Accept loop of the listener. It ends when `stop` is cancelled. Errors of `accept`, errors of
//! connections and panics do not end it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    budget::Budget, connection, endpoint::Endpoint, error::Error, limiter::ConnectionLimiter,
    limits::Limits, lines::LOG, tls::Tls,
};

/// Shortest and longest pause after `accept` failed for lack of a resource. The pause doubles with
/// each failure in a row.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` on `listener` until `stop` is cancelled. Then accepts no more connections, asks
/// every open connection to close, gives requests in flight [`Limits::drain`] to finish, and
/// returns.
///
/// # Errors
/// Before the first connection only: [`Error::PlainText`] without TLS on an address that is not
/// loopback, or an error of the listener.
pub async fn run(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tls: Option<&Tls>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let address = listener.local_addr()?;
    if tls.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(Error::PlainText(address));
    }
    let limiter = ConnectionLimiter::new(&limits);
    let drain = limits.drain;
    let endpoint = Arc::new(Endpoint {
        router,
        unproven: Budget::unproven(&limits),
        unread: Budget::unread(),
        limits,
        tls: tls.map(Tls::acceptor).transpose()?,
        stop: stop.clone(),
    });
    let connections = TaskTracker::new();
    tokio::select! {
        () = stop.cancelled() => (),
        () = accept(&listener, &endpoint, &limiter, &connections) => (),
    }
    drop(listener);
    finish(&connections, &limiter, drain).await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    endpoint: &Arc<Endpoint>,
    limiter: &ConnectionLimiter,
    connections: &TaskTracker,
) {
    let mut pause = LEAST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = LEAST_PAUSE;
                open(endpoint, limiter, connections, stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => (),
            Err(error) => {
                metrics::counter!("daypass_accept_errors_total").increment(1);
                if LOG.admit("ACCEPT") {
                    tracing::warn!(%error, "accept failed; going on");
                }
                // Probably out of file descriptors: closing a connection at rest returns one.
                limiter.shed();
                tokio::time::sleep(pause).await;
                pause = MOST_PAUSE.min(pause * 2);
            }
        }
    }
}

fn open(
    endpoint: &Arc<Endpoint>,
    limiter: &ConnectionLimiter,
    connections: &TaskTracker,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
) {
    metrics::counter!("daypass_connections_total").increment(1);
    // A load balancer's address is not its callers': their header says which cap counts.
    let is_proxy = endpoint.limits.proxies.contains(peer.ip());
    let slot = match is_proxy {
        true => limiter.take_unknown(),
        false => limiter.take(peer.ip()),
    };
    let Some(slot) = slot else {
        metrics::counter!("daypass_connections_closed_total", "cause" => "full").increment(1);
        return;
    };
    let endpoint = endpoint.clone();
    connections.spawn(async move { connection::serve(&endpoint, stream, peer, slot).await });
}

/// Tells the errors of one connection, which ended between SYN and `accept` (accept(2)), from those
/// of the process or the machine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock
    )
}

/// Waits for the connections, each of which has seen `stop`. Cuts those that are left after
/// `drain`.
async fn finish(connections: &TaskTracker, limiter: &ConnectionLimiter, drain: Duration) {
    connections.close();
    tracing::info!(
        connections = connections.len(),
        "stopping: no new connections"
    );
    if timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cutting connections that did not finish"
        );
        limiter.end_all();
        connections.wait().await;
    }
}
