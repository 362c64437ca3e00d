//! The error of loading a policy.

/// Reason why a policy does not load.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has a fault.
    #[error("{origin}:{line}: {message}")]
    Invalid {
        /// The file's name.
        origin: String,
        /// Its line, from 1.
        line: usize,
        /// The fault and its remedy.
        message: String,
    },
}
