//! The accept loop. Only `stop` ends it: no error of `accept`, no connection and no panic does.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    budget::Budget, connection, door::Door, error::Error, limiter::ConnectionLimiter,
    limits::Limits, lines::LOG, tls::Tls,
};

/// How long to leave `accept` alone after it failed for want of resources: doubled each time, up to
/// the most.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` on `listener` until `stop` is cancelled; then accepts nothing more, asks every
/// connection to go away, lets requests in flight finish within [`Limits::drain`], and returns.
///
/// # Errors
/// Before the first connection only: plain text on an address that is not loopback, or an unusable
/// listener.
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
    let door = Arc::new(Door {
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
        () = accept(&listener, &door, &limiter, &connections) => (),
    }
    drop(listener);
    finish(&connections, &limiter, drain).await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    door: &Arc<Door>,
    limiter: &ConnectionLimiter,
    connections: &TaskTracker,
) {
    let mut pause = LEAST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = LEAST_PAUSE;
                open(door, limiter, connections, stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => (),
            Err(error) => {
                metrics::counter!("daypass_accept_errors_total").increment(1);
                if LOG.admit("ACCEPT") {
                    tracing::warn!(%error, "accept failed; going on");
                }
                // Out of file descriptors, most likely: a resting connection gives one back.
                limiter.shed();
                tokio::time::sleep(pause).await;
                pause = MOST_PAUSE.min(pause * 2);
            }
        }
    }
}

fn open(
    door: &Arc<Door>,
    limiter: &ConnectionLimiter,
    connections: &TaskTracker,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
) {
    metrics::counter!("daypass_connections_total").increment(1);
    let Some(place) = limiter.take(peer.ip()) else {
        metrics::counter!("daypass_connections_closed_total", "cause" => "full").increment(1);
        return;
    };
    let door = door.clone();
    connections.spawn(async move { connection::serve(&door, stream, peer, place).await });
}

/// Errors of a connection that died between SYN and `accept` (accept(2)); everything else is the
/// process's or the machine's.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock
    )
}

/// Every connection has seen `stop` and bounds itself by `drain`; what is left after that is cut.
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
