//! What all connections of one listener share.

use axum::Router;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{budget::Budget, limits::Limits};

/// One for each listener.
pub(super) struct Door {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) unproven: Budget,
    pub(super) unread: Budget,
    pub(super) tls: Option<TlsAcceptor>,
    /// Cancelled when the server stops: finish what is in flight.
    pub(super) stop: CancellationToken,
}
