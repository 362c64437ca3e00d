//! Issuers as data, and the verification of their ID tokens.

use time::OffsetDateTime;

use super::{Binding, Error, Identity};

/// A signature algorithm (RFC 7518, RFC 8037) that may be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 to 8192 bits.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

/// One `[[issuer]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What people and logs call it.
    pub name: String,
    /// The issuer identifier: https (http only on loopback), compared byte by byte with `iss`.
    pub url: String,
    /// Our client there. `azp`, where present, must be it.
    pub client_id: String,
    /// Audiences that are ours; the client id where none is configured.
    pub audiences: Vec<String>,
    /// What clients ask for.
    pub scopes: Vec<String>,
    /// What signatures are taken. Never the token's choice.
    pub algorithms: Vec<Algorithm>,
    /// How tokens commit to a key.
    pub binding: Binding,
    /// Whether tokens without a nonce are taken (device flow): they are [`Binding::None`].
    pub device_flow: bool,
    /// Whether people sign in here.
    pub interactive: bool,
    /// Extra roots (PEM file contents) for the issuer's HTTPS.
    pub ca_certificates: Option<Vec<u8>>,
}

/// Why issuers cannot be configured so.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL cannot be an issuer's.
    #[error("issuer `{issuer}`: url {problem}")]
    Url {
        /// The configured name.
        issuer: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Every configured issuer with its key cache. Cheap to clone.
#[derive(Clone)]
pub struct Issuers;

impl Issuers {
    /// Takes the configuration; fetches nothing yet.
    pub fn new(_settings: Vec<Settings>) -> Result<Self, SettingsError> {
        todo!()
    }

    /// What was configured, in order.
    pub fn settings(&self) -> &[Settings] {
        todo!()
    }

    /// The full check of one compact ID token. Possession and the commitment are checked later, by [`Identity::hold`].
    pub async fn verify(
        &self,
        _unverified_jwt: &str,
        _now: OffsetDateTime,
    ) -> Result<Identity, Error> {
        todo!()
    }

    /// Fetches the keys of every issuer once, for readiness; errors are logged, not fatal.
    pub async fn warm_up(&self) {
        todo!()
    }
}
