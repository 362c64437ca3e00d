//! The network's edge: accept loop, TLS, limits, handlers. It never touches the store.

pub mod limits;
pub mod tls;

use std::sync::Arc;

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
    /// `None`: plain text, which the configuration allows on loopback only.
    pub tls: Option<Tls>,
}

impl Server {
    /// Serves until `stop` is cancelled; then accepts no more, finishes what is in flight (bounded by
    /// [`Limits::drain`]) and returns.
    ///
    /// # Errors
    /// Where the listener itself cannot be used; errors of single connections end those alone.
    pub async fn run(
        self,
        _listener: tokio::net::TcpListener,
        _stop: CancellationToken,
    ) -> Result<(), std::io::Error> {
        todo!()
    }
}
