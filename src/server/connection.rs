//! One connection: its TLS handshake, its HTTP (1.1 or 2, whichever it speaks), its deadlines.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use http::Request;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    Limits,
    places::{InFlight, Place},
    rescue,
};

/// How long a connection that only rested may take over saying good-bye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Pings on HTTP/2 connections, so that dead peers are noticed.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Streams that the peer reset before we took them, and that we reset for its errors: beyond these the connection ends
/// (CVE-2023-44487, CVE-2025-8671).
const PENDING_RESETS: usize = 32;
const LOCAL_RESETS: usize = 64;

/// Headers of one HTTP/1.1 request.
const HEADERS: usize = 64;

/// What all connections of one listener share.
pub(super) struct Door {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) tls: Option<TlsAcceptor>,
    /// Cancelled when the server stops: finish what is in flight.
    pub(super) stop: CancellationToken,
}

/// The caller's address, in every request's extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves one connection to its end.
pub(super) async fn serve(door: &Door, stream: TcpStream, peer: SocketAddr, place: Place) {
    let evicted = place.evicted();
    tokio::select! {
        biased;
        () = evicted.cancelled() => (),
        () = secure(door, stream, Peer(peer), &place) => (),
    }
}

async fn secure(door: &Door, stream: TcpStream, peer: Peer, place: &Place) {
    // Answers are small and whole: waiting to fill a segment only costs the caller time.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = &door.tls else {
        return converse(door, stream, peer, place).await;
    };
    match timeout(door.limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => converse(door, stream, peer, place).await,
        Ok(Err(error)) => {
            closed("handshake");
            tracing::debug!(peer = %peer.0, %error, "TLS handshake failed");
        }
        Err(_) => closed("handshake_timeout"),
    }
}

async fn converse<S>(door: &Door, stream: S, peer: Peer, place: &Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = place.activity();
    activity.ready();
    let service = service_fn(|mut request: Request<Incoming>| {
        let in_flight = activity.begin();
        request.extensions_mut().insert(peer);
        let is_grpc = rescue::is_grpc(request.headers());
        let call = door.router.clone().oneshot(request);
        let within = door.limits.request;
        async move {
            let response = rescue::rescue(within, is_grpc, call).await;
            Ok::<_, Infallible>(response.map(|body| Sending {
                body,
                _in_flight: in_flight,
            }))
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

/// An answer on its way out; its request is in flight until it is sent or given up.
struct Sending {
    body: Body,
    _in_flight: InFlight,
}

impl hyper::body::Body for Sending {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
