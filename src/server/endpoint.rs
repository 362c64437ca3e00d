//! State that all connections of one listener share.

use axum::Router;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{budget::Budget, limits::Limits};

/// State of one listener.
pub(super) struct Endpoint {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) unproven: Budget,
    pub(super) unread: Budget,
    pub(super) tls: Option<TlsAcceptor>,
    /// Cancelled when the server stops: each connection finishes its requests in flight.
    pub(super) stop: CancellationToken,
}
