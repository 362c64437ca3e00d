//! One connection: its TLS handshake, its HTTP (1.1 or 2, whichever it speaks), its deadlines.

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
    time::timeout,
};
use tower::ServiceExt;

use super::{
    door::Door,
    isolation,
    limiter::ConnectionSlot,
    limits::Limits,
    lines::LOG,
    work::{Receiving, Work},
};

/// How long a connection that only rested may take over saying good-bye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Pings on HTTP/2 connections, so that dead peers are noticed.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Streams that the peer reset before we took them, and that we reset for its errors: beyond these
/// the connection ends (CVE-2023-44487, CVE-2025-8671).
const PENDING_RESETS: usize = 32;
const LOCAL_RESETS: usize = 64;

/// What an HTTP/2 peer may send ahead of what is read, on one stream and in all: the protocol's
/// least. Messages are read as they come, so more would hold bytes for peers that send to handlers
/// that do not read.
const WINDOW: u32 = 65_535;

/// Headers of one HTTP/1.1 request.
const HEADERS: usize = 64;

/// The caller's address, in every request's extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves one connection to its end.
pub(super) async fn serve(door: &Door, stream: TcpStream, peer: SocketAddr, place: ConnectionSlot) {
    let evicted = place.evicted();
    tokio::select! {
        biased;
        () = evicted.cancelled() => (),
        () = secure(door, stream, Peer(peer), &place) => (),
    }
}

async fn secure(door: &Door, stream: TcpStream, peer: Peer, place: &ConnectionSlot) {
    // Answers are small and whole: waiting to fill a segment only costs the caller time.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = &door.tls else {
        return converse(door, stream, peer, place).await;
    };
    match timeout(door.limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => converse(door, stream, peer, place).await,
        Ok(Err(error)) => {
            closed("handshake");
            if tracing::enabled!(tracing::Level::DEBUG) && LOG.admit("HANDSHAKE") {
                tracing::debug!(peer = %peer.0, %error, "TLS handshake failed");
            }
        }
        Err(_) => closed("handshake_timeout"),
    }
}

async fn converse<S>(door: &Door, stream: S, peer: Peer, place: &ConnectionSlot)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = place.activity();
    activity.ready();
    let service = service_fn(|mut request: Request<Incoming>| {
        let (work, end) = Work::begin(place, door, &request);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(work.clone());
        let is_grpc = isolation::is_grpc(request.headers());
        let most = door.limits.message_bytes;
        let request = request.map(|body| Body::new(Receiving::new(body, work.clone(), most)));
        let call = door.router.clone().oneshot(request);
        let within = door.limits.request;
        async move {
            let answer = tokio::select! {
                biased;
                () = end.cancelled() => isolation::exhausted(is_grpc),
                answer = isolation::isolation(within, is_grpc, call) => answer,
            };
            Ok::<_, Infallible>(answer.map(|body| work.answer(body)))
        }
    });
    let builder = http(&door.limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let patience = tokio::select! {
        _ = connection.as_mut() => return closed("finished"),
        () = door.stop.cancelled() => door.limits.drain,
        () = activity.overdue(&door.limits) => door.limits.drain.min(GOODBYE),
    };
    if !activity.is_used() {
        return closed("silent");
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
