//! The settings of an issuer, and all checks of them. Pure.

use super::binding::Binding;

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

impl Settings {
    pub(super) fn url_error(&self, problem: &'static str) -> SettingsError {
        SettingsError::Url {
            issuer: self.name.clone(),
            problem,
        }
    }

    /// What the types alone do not rule out.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let invalid = |key, problem| {
            Err(SettingsError::Invalid {
                issuer: self.name.clone(),
                key,
                problem,
            })
        };
        if self.algorithms.is_empty() {
            return invalid("algorithms", "is empty: no token could be taken");
        }
        if self.client_id.is_empty() {
            return invalid("client_id", "is empty");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return invalid("audiences", "is empty: no token could be taken");
        }
        let suffixed = self.audiences.iter().any(|audience| audience.contains('#'));
        if self.binding == Binding::Audience && suffixed {
            return invalid("audiences", "has a `#`, which separates the commitment");
        }
        if self.device_flow && self.binding == Binding::Audience {
            return invalid("device_flow", "does not go with an audience binding");
        }
        Ok(())
    }
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
    /// Another value makes no sense.
    #[error("issuer `{issuer}`: {key} {problem}")]
    Invalid {
        /// The configured name.
        issuer: String,
        /// The key in the configuration.
        key: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A name or URL is there twice, so it would not be clear whose rules count.
    #[error("issuer `{issuer}`: another one has the same {key}")]
    Duplicate {
        /// The configured name.
        issuer: String,
        /// The key in the configuration.
        key: &'static str,
    },
    /// The roots cannot be read, or there are none.
    #[error("issuer `{issuer}`: cannot use its roots (ca_file, or those of the system)")]
    Certificates {
        /// The configured name.
        issuer: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

pub(super) fn check_unique(settings: &[Settings]) -> Result<(), SettingsError> {
    for (index, one) in settings.iter().enumerate() {
        for other in settings.iter().take(index) {
            let key = match () {
                () if one.name == other.name => "name",
                () if one.url == other.url => "url",
                () => continue,
            };
            return Err(SettingsError::Duplicate {
                issuer: one.name.clone(),
                key,
            });
        }
    }
    Ok(())
}
