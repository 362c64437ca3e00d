//! Who is asking, proven.

pub mod claims;
pub mod issuer;
pub mod jwks;
pub mod proof;

use std::fmt;

use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;
use time::OffsetDateTime;

pub use issuer::{Issuers, Settings};

/// How a login commits to the SSH key it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The ID token's `nonce` is [`proof::commitment`].
    Nonce,
    /// One audience is `<audience>#<commitment>`.
    Audience,
    /// The issuer cannot carry a commitment (device flow).
    None,
}

/// Verified claims of one ID token. Only [`Issuers::verify`] makes one.
#[derive(Clone)]
pub struct Identity {
    issuer: String,
    subject: String,
    label: String,
    claims: serde_json::Map<String, serde_json::Value>,
    authenticated_at: Option<OffsetDateTime>,
    binding: Binding,
    token_hash: [u8; 32],
    expires: OffsetDateTime,
    // + private material for the binding check (nonce, bound audience)
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
    pub fn claims(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.claims
    }
    /// `auth_time`, where the issuer says it.
    pub fn authenticated_at(&self) -> Option<OffsetDateTime> {
        self.authenticated_at
    }
    /// How this identity's issuer binds tokens to keys (None also for a token of the device flow).
    pub fn binding(&self) -> Binding {
        self.binding
    }
    /// SHA-256 of the compact token, for possession proofs and the ledger.
    pub fn token_hash(&self) -> &[u8; 32] {
        &self.token_hash
    }
    /// The token's `exp`.
    pub fn expires(&self) -> OffsetDateTime {
        self.expires
    }
    /// Proves that the caller holds `key`: the token's binding names it and it signed `message`.
    /// `binding_secret` is what the client revealed; `possession` an armored SSHSIG.
    pub fn hold(
        self,
        _key: PublicKey,
        _binding_secret: &[u8],
        _message: &[u8],
        _possession: &str,
    ) -> Result<Holder, Error> {
        todo!()
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
pub struct Holder {
    identity: Identity,
    key: PublicKey,
}

impl Holder {
    /// Who.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    /// The proven subject key; its comment is empty.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Why somebody has not proven who they are. Each variant has a stable reason code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// e.g.
    #[error("token is refused: {0}")]
    Token(String),
}

impl Error {
    /// The stable code for the wire (`TOKEN_EXPIRED`, `TOKEN_ISSUER`, `KEY_BINDING`, `POSSESSION`, ...).
    pub fn code(&self) -> &'static str {
        todo!()
    }
    /// True where the issuer, not the caller, is at fault (the wire says UNAVAILABLE).
    pub fn is_unavailable(&self) -> bool {
        todo!()
    }
}
