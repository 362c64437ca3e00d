//! The network's edge: one port that speaks gRPC (`daypass.v1`) and answers hosts and monitors over plain HTTPS.
//!
//! A connection comes in through [`accept`] (caps, deadlines, TLS), a request through `routes`, a call through
//! `call` (rate limits, authentication, one log line, metrics). Handlers convert, call one operation, convert back.
//! This is the only place beside the command line that reads the clock and draws nonces for operations.
//! It never touches the store: what it knows, `operations` told it.

pub mod accept;
mod connection;
pub mod limits;
pub mod log;
pub mod metrics;
mod places;
mod rescue;
pub mod tls;

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{identity::Issuers, operations::Authority};

pub use limits::Limits;
pub use tls::Tls;

/// All that the server serves with.
pub struct Server {
    /// Who signs, decides and records.
    pub authority: Arc<Authority>,
    /// Whose ID tokens are taken.
    pub issuers: Issuers,
    /// What callers may use.
    pub limits: Limits,
    /// `None`: plain text, which [`Server::run`] refuses on any address but loopback.
    pub tls: Option<Tls>,
    /// Renders `/metrics`; the caller installed the recorder ([`metrics::install`]).
    pub metrics: metrics::Handle,
    /// Whether `/metrics` answers callers that are not on loopback.
    pub metrics_public: bool,
}

impl Server {
    /// Serves until `stop` is cancelled; then accepts no more, finishes what is in flight (bounded by
    /// [`Limits::drain`]) and returns.
    ///
    /// # Errors
    /// Where the listener itself cannot be used; errors of single connections end those alone.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<(), Error> {
        let _ = listener;
        stop.cancelled().await;
        Ok(())
    }
}

/// Why the server does not start. Once it runs, nothing but `stop` ends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without TLS only loopback is served.
    #[error("refusing plain text on {0}: configure [tls], or listen on 127.0.0.1 or ::1")]
    PlainText(SocketAddr),
    /// The listener is not usable.
    #[error("failed to use the listener: {0}")]
    Listener(#[from] std::io::Error),
    /// rustls does not take our settings.
    #[error("failed to set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The compiled-in descriptors are not usable.
    #[error("failed to set up reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}
