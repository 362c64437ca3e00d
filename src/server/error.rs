//! Errors of the server's start.

use std::net::SocketAddr;

/// Reason why the server does not start. Once it runs, only `stop` ends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Plain text on an address that is not loopback.
    #[error("refusing plain text on {0}: configure [tls], or listen on 127.0.0.1 or ::1")]
    PlainText(SocketAddr),
    /// The listener cannot be used.
    #[error("failed to use the listener: {0}")]
    Listener(#[from] std::io::Error),
    /// The operating system returned no random bytes.
    #[error("failed to draw a secret: {0}")]
    Randomness(#[from] rand::Error),
    /// rustls refused the settings.
    #[error("failed to set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The compiled-in descriptors are invalid.
    #[error("failed to set up reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}
