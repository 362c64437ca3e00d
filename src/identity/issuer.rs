//! Issuers as data, and the verification of their ID tokens.
use super::{Binding, Error, Identity};
use time::OffsetDateTime;

/// A signature algorithm of RFC 7518 / RFC 8037 that may be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub enum Algorithm {
    RS256,
    ES256,
    EdDSA,
}

/// One `[[issuer]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    pub name: String,
    pub url: String,
    pub client_id: String,
    /// Audiences that are ours; the client id where none is configured.
    pub audiences: Vec<String>,
    pub scopes: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub binding: Binding,
    /// Whether tokens without a nonce are taken (device flow): they are `Binding::None`.
    pub device_flow: bool,
    /// Whether people sign in here.
    pub interactive: bool,
    /// Extra roots (PEM file contents) for the issuer's HTTPS.
    pub ca_certificates: Option<Vec<u8>>,
}

/// Every configured issuer with its key cache. Cheap to clone (Arc inside).
#[derive(Clone)]
pub struct Issuers;

impl Issuers {
    pub fn new(_settings: Vec<Settings>) -> Result<Self, Error> {
        todo!()
    }
    pub fn settings(&self) -> &[Settings] {
        todo!()
    }
    /// The full check of one compact ID token. Key binding is checked later, by [`Identity::hold`].
    pub async fn verify(
        &self,
        _unverified_jwt: &str,
        _now: OffsetDateTime,
    ) -> Result<Identity, Error> {
        todo!()
    }
    /// Fetches discovery and keys of every issuer once, for readiness; errors are logged, not fatal.
    pub async fn warm_up(&self) {
        todo!()
    }
}
