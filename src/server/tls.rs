//! TLS 1.3 by rustls, with a certificate that can be replaced while serving.

use std::path::Path;

/// The server's certificate and key. Cheap to clone; clones share what [`Tls::reload`] loads.
#[derive(Clone)]
pub struct Tls;

impl Tls {
    /// Reads a PEM certificate chain and its PEM key.
    ///
    /// # Errors
    /// Where a file cannot be read, is not PEM, or the key is not the certificate's.
    pub fn load(_certificate: &Path, _key: &Path) -> Result<Self, Error> {
        todo!()
    }

    /// Reads the same files again; keeps what it has on an error. True where the certificate is another one.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reload(&self) -> Result<bool, Error> {
        todo!()
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct Error {
    /// The file at fault.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}
