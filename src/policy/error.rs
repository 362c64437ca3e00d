//! Why a policy does not load.

/// Why a policy does not load.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file says something it may not say.
    #[error("{origin}:{line}: {message}")]
    Invalid {
        /// The file's name.
        origin: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, and what to do.
        message: String,
    },
}
