//! Who is asking, proven.
//!
//! [`Issuers::verify`] turns an ID token into an [`Identity`], [`emergency::Registry::verify`] signatures by registered keys;
//! [`Identity::hold`] makes an identity and a key into a [`KeyHolder`]. Neither type has another constructor, so whoever has one
//! has passed every check.
//! No token text reaches an error, a log line or a Debug output.

mod binding;
mod claims;
pub mod emergency;
mod error;
mod fetch;
pub mod issuer;
mod json;
mod jwk;
mod jwks;
mod key_set;
mod possession;
pub mod proof;
mod settings;
mod token;
pub mod web_url;

use std::{fmt, sync::Arc};

use crate::ssh::sshsig::Namespace;
use serde_json::{Map, Value};
use ssh_key::PublicKey;
use time::OffsetDateTime;

use binding::Commitment;

pub use binding::Binding;
pub use claims::{LEEWAY, LIFETIME_LIMIT};
pub use error::{Error, FetchError};
pub use issuer::Issuers;
pub use settings::{Algorithm, Settings, SettingsError, check as check_settings};
pub use token::TOKEN_LIMIT;

/// Somebody proven: the verified claims of one ID token, or a registered key's person. Only [`Issuers::verify`] and
/// [`emergency::Registry::verify`] make one.
#[derive(Clone)]
pub struct Identity {
    issuer: String,
    subject: String,
    label: String,
    claims: Map<String, Value>,
    authenticated_at: Option<OffsetDateTime>,
    commitment: Commitment,
    token_hash: [u8; 32],
    expires: OffsetDateTime,
    emergency: Option<Arc<emergency::Emergency>>,
}

impl Identity {
    /// The `iss` claim, exactly as configured.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `sub` claim. `(issuer, subject)` is the identity.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// A name for people: the verified e-mail, else the subject. Never used to decide.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The claims policy may see (`email` is absent unless `email_verified` is the boolean true).
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// `auth_time`, where the issuer says it.
    pub fn authenticated_at(&self) -> Option<OffsetDateTime> {
        self.authenticated_at
    }

    /// How this token is bound to a key ([`Binding::None`] also for a token of the device flow).
    pub fn binding(&self) -> Binding {
        match self.commitment {
            Commitment::Nonce(_) => Binding::Nonce,
            Commitment::Audience(_) => Binding::Audience,
            Commitment::Absent => Binding::None,
        }
    }

    /// How registered keys proved it, where no token did. Such an identity is for emergencies alone.
    pub fn emergency(&self) -> Option<&emergency::Emergency> {
        self.emergency.as_deref()
    }

    /// SHA-256 of the compact token (or of the challenge that stands for one), for possession proofs and the ledger.
    pub fn token_hash(&self) -> &[u8; 32] {
        &self.token_hash
    }

    /// The token's `exp`.
    pub fn expires(&self) -> OffsetDateTime {
        self.expires
    }

    /// Proves that the caller holds `key`: the token's binding names it, and it signed `message`
    /// ([`proof::possession_message`]).
    ///
    /// `binding_secret` is what the client revealed (ignored where the token is not bound), `possession` an armored
    /// SSHSIG of at most 8 KiB. Errors have the codes `KEY_BINDING` and `POSSESSION`.
    pub fn hold(
        self,
        key: PublicKey,
        binding_secret: &[u8],
        message: &[u8],
        possession: &str,
    ) -> Result<KeyHolder, Error> {
        self.hold_for(Namespace::Issue, key, binding_secret, message, possession)
    }

    /// [`Identity::hold`] with a signature in another namespace: the decisions about requests.
    pub fn hold_for(
        self,
        namespace: Namespace,
        key: PublicKey,
        binding_secret: &[u8],
        message: &[u8],
        signature: &str,
    ) -> Result<KeyHolder, Error> {
        possession::check_binding(&self.commitment, &key, binding_secret)?;
        possession::check_proof(namespace, &key, message, signature)?;
        let key = PublicKey::from(key.key_data().clone());
        Ok(KeyHolder {
            identity: self,
            key,
        })
    }

    /// An identity out of nothing, for the unit tests of other modules.
    #[cfg(test)]
    pub(crate) fn sample(claims: Value) -> Self {
        let claims = claims.as_object().cloned().unwrap_or_default();
        let text = |name: &str, otherwise: &str| {
            let value = claims.get(name).and_then(Value::as_str);
            value.unwrap_or(otherwise).to_owned()
        };
        Self {
            issuer: text("iss", "https://id.example.com"),
            subject: text("sub", "alice"),
            label: text("email", &text("sub", "alice")),
            authenticated_at: None,
            commitment: match claims.get("unbound") {
                None => Commitment::Nonce("sample".to_owned()),
                Some(_) => Commitment::Absent,
            },
            token_hash: [7; 32],
            expires: OffsetDateTime::UNIX_EPOCH + time::Duration::days(40_000),
            emergency: None,
            claims,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// An identity with the SSH key it has proven to hold. Only [`Identity::hold`] makes one; passes are only issued to one.
#[derive(Clone, Debug)]
pub struct KeyHolder {
    identity: Identity,
    key: PublicKey,
}

impl KeyHolder {
    /// Who.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The proven subject key; its comment is empty.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// A holder out of nothing, for the unit tests of other modules.
    #[cfg(test)]
    pub(crate) fn sample(identity: Identity, key: &PublicKey) -> Self {
        Self {
            identity,
            key: PublicKey::from(key.key_data().clone()),
        }
    }
}

#[cfg(test)]
mod tests;
