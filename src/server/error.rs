//! Why the server does not start.

use std::net::SocketAddr;

/// The error of a start. Once it runs, nothing but `stop` ends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without TLS only loopback is served.
    #[error("refusing plain text on {0}: configure [tls], or listen on 127.0.0.1 or ::1")]
    PlainText(SocketAddr),
    /// The listener is not usable.
    #[error("failed to use the listener: {0}")]
    Listener(#[from] std::io::Error),
    /// The machine has no randomness to give.
    #[error("failed to draw a secret: {0}")]
    Randomness(#[from] rand::Error),
    /// rustls does not take our settings.
    #[error("failed to set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The compiled-in descriptors are not usable.
    #[error("failed to set up reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}
