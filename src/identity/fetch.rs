//! Getting an issuer's keys over HTTPS: discovery, then the key set. Every answer is bounded in bytes and time.
//!
//! Never asks an address that the configuration, or the discovery document of a configured issuer, did not name.

/// Why an issuer's keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request failed.
    #[error("request {what}")]
    Request {
        /// Which document.
        what: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}
