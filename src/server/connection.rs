//! One connection: its TLS handshake, its HTTP/1.1 or HTTP/2, its deadlines.

use std::{convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

use axum::body::Body;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tower::ServiceExt;

use super::{
    endpoint::Endpoint,
    isolation,
    joined::Joined,
    limiter::ConnectionSlot,
    limits::Limits,
    lines::LOG,
    peer::Peer,
    work::{Receiving, Work},
};

/// Grace period for closing an idle connection.
const GOODBYE: Duration = Duration::from_secs(1);

/// Time at a stop for the first request of a connection that has had none. The port has no listener
/// for so long, and clients wait for the next one for seconds only.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Interval of HTTP/2 pings, and the time within which a peer must answer one. They detect dead
/// peers.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Bounds on streams that the peer reset before we accepted them, and on streams that we reset for
/// the peer's errors. Beyond them the connection ends (CVE-2023-44487, CVE-2025-8671).
const PENDING_RESETS: usize = 32;
const LOCAL_RESETS: usize = 64;

/// HTTP/2 window of one stream and of the connection, in bytes: the protocol's initial value (RFC
/// 9113 section 6.9.2). Messages are read as they arrive. A larger window would hold bytes for
/// peers that send to handlers that do not read.
const WINDOW: u32 = 65_535;

/// Most headers of one HTTP/1.1 request.
const HEADERS: usize = 64;

/// Serves one connection to its end.
pub(super) async fn serve(
    endpoint: &Endpoint,
    stream: TcpStream,
    peer: SocketAddr,
    mut slot: ConnectionSlot,
) {
    let evicted = slot.evicted();
    tokio::select! {
        biased;
        () = evicted.cancelled() => (),
        () = begin(endpoint, stream, peer, &mut slot) => (),
    }
}

/// Finds the caller's address. Reads a PROXY header from listed load balancers only.
async fn begin(
    endpoint: &Endpoint,
    mut stream: TcpStream,
    address: SocketAddr,
    slot: &mut ConnectionSlot,
) {
    if !endpoint.limits.proxies.contains(address.ip()) {
        return handshake(endpoint, stream, Peer::direct(address), slot).await;
    }
    match timeout(endpoint.limits.first_byte, Peer::read(&mut stream, address)).await {
        Ok(Ok(peer)) if slot.assign(peer.ip()) => handshake(endpoint, stream, peer, slot).await,
        Ok(Ok(_)) => closed("full"),
        Ok(Err(error)) => {
            closed("proxy_header");
            if LOG.admit("PROXY_HEADER") {
                tracing::warn!(proxy = %address, cause = %error, "closed a connection from an address in `proxies`");
            }
        }
        Err(_) => closed("proxy_header_timeout"),
    }
}

async fn handshake(endpoint: &Endpoint, stream: TcpStream, peer: Peer, slot: &ConnectionSlot) {
    // Answers are small and written at once: waiting to fill a segment would only delay the caller.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = &endpoint.tls else {
        return serve_http(endpoint, stream, peer, slot).await;
    };
    match timeout(endpoint.limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve_http(endpoint, stream, peer, slot).await,
        Ok(Err(error)) => {
            closed("handshake");
            if tracing::enabled!(tracing::Level::DEBUG) && LOG.admit("HANDSHAKE") {
                tracing::debug!(peer = %peer.ip(), %error, "TLS handshake failed");
            }
        }
        Err(_) => closed("handshake_timeout"),
    }
}

async fn serve_http<S>(endpoint: &Endpoint, stream: S, peer: Peer, slot: &ConnectionSlot)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = slot.activity();
    activity.ready();
    let service = service_fn(|mut request: Request<Incoming>| {
        let (work, end) = Work::begin(slot, endpoint, &request);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(work.clone());
        let is_grpc = isolation::is_grpc(request.headers());
        let most = endpoint.limits.message_bytes;
        let request = request.map(|body| Body::new(Receiving::new(body, work.clone(), most)));
        let call = endpoint.router.clone().oneshot(request);
        let within = endpoint.limits.request;
        async move {
            let answer = tokio::select! {
                biased;
                () = end.cancelled() => isolation::exhausted(is_grpc),
                answer = isolation::isolation(within, is_grpc, call) => answer,
            };
            Ok::<_, Infallible>(answer.map(|body| work.answer(body)))
        }
    });
    let builder = http(&endpoint.limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Joined(stream)), service));
    let patience = tokio::select! {
        _ = connection.as_mut() => return closed("finished"),
        () = endpoint.stop.cancelled() => endpoint.limits.drain,
        () = activity.overdue(&endpoint.limits) => endpoint.limits.drain.min(GOODBYE),
    };
    if !activity.is_used() {
        if !endpoint.stop.is_cancelled() {
            return closed("silent");
        }
        // A caller that connected just before the stop is about to send its request.
        tokio::select! {
            _ = connection.as_mut() => return closed("finished"),
            () = activity.used() => (),
            () = sleep(endpoint.limits.drain.min(LAST_CALL)) => return closed("silent"),
        }
    }
    connection.as_mut().graceful_shutdown();
    let cause = match timeout(patience, connection).await {
        Ok(_) => "asked_to_go",
        Err(_) => "cut",
    };
    closed(cause);
}

fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.first_byte)
        .max_headers(HEADERS)
        .max_buf_size(limits.header_bytes.max(8192) as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(limits.header_bytes)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .max_send_buf_size(limits.message_bytes)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    builder
}

fn closed(cause: &'static str) {
    metrics::counter!("daypass_connections_closed_total", "cause" => cause).increment(1);
}
