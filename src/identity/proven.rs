//! A proven identity, and one that holds its key. Only the checks of this module make them.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};
use ssh_key::PublicKey;
use time::OffsetDateTime;

use super::{
    binding::{Binding, Commitment},
    claims::ValidatedClaims,
    emergency::Emergency,
    error::Error,
    possession,
    settings::Settings,
};
use crate::{ssh::sshsig::Namespace, unix_seconds::UnixSeconds};

/// A proven person or machine: the verified claims of one ID token, or the person of a registered
/// key. Only [`super::Issuers::verify`] and [`super::emergency::Registry::verify`] make one.
#[derive(Clone)]
pub struct Identity {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) label: String,
    /// Shared by all that hold this identity.
    pub(super) claims: Arc<Map<String, Value>>,
    pub(super) commitment: Commitment,
    pub(super) token_hash: [u8; 32],
    pub(super) expires: OffsetDateTime,
    pub(super) emergency: Option<Arc<Emergency>>,
    pub(super) is_refreshed: bool,
}

impl Identity {
    /// The identity of verified claims.
    pub(super) fn new(
        issuer: &Settings,
        claims: ValidatedClaims,
        token_hash: [u8; 32],
        is_refreshed: bool,
    ) -> Self {
        Self {
            issuer: issuer.url.clone(),
            subject: claims.subject,
            label: claims.label,
            claims: claims.visible,
            commitment: claims.commitment,
            token_hash,
            expires: claims.expires,
            emergency: None,
            is_refreshed,
        }
    }

    /// The `iss` claim, exactly as configured.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `sub` claim. `(issuer, subject)` is the identity.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// A name for people to read: the verified e-mail, else the subject. Never used to decide.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The claims that the policy may see. `email` is absent unless `email_verified` is the boolean
    /// true.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// [`Identity::claims`], to be kept without a copy.
    pub(crate) fn shared_claims(&self) -> Arc<Map<String, Value>> {
        Arc::clone(&self.claims)
    }

    /// Binding of this token to a key ([`Binding::None`] also for a token of the device flow).
    pub(crate) fn binding(&self) -> Binding {
        match self.commitment {
            Commitment::Nonce(_) => Binding::Nonce,
            Commitment::Audience(_) => Binding::Audience,
            Commitment::Absent => Binding::None,
        }
    }

    /// The commitment in the token's nonce, if it has one.
    pub(crate) fn nonce(&self) -> Option<&str> {
        match &self.commitment {
            Commitment::Nonce(nonce) => Some(nonce),
            Commitment::Audience(_) | Commitment::Absent => None,
        }
    }

    /// Whether the sign-in was renewed by a refresh token: the original token binds the key.
    pub(crate) fn is_refreshed(&self) -> bool {
        self.is_refreshed
    }

    /// The proof by registered keys, if no token was shown. Such an identity gets emergencies only.
    pub(crate) fn emergency(&self) -> Option<&Emergency> {
        self.emergency.as_deref()
    }

    /// SHA-256 of the compact token ([`super::proof::refreshed_hash`] of two), or of the challenge
    /// that stands for one. Possession messages and the ledger hold it.
    pub fn token_hash(&self) -> &[u8; 32] {
        &self.token_hash
    }

    /// The token's `exp`; of a renewed sign-in, not later than its session ends.
    pub(crate) fn expires(&self) -> OffsetDateTime {
        self.expires
    }

    /// Proves that the caller holds `key`: the token's binding names it, and it signed `message`
    /// ([`super::proof::possession_message`]).
    ///
    /// `binding_secret` is the secret that the client reveals; it is ignored if the token is not
    /// bound. `possession` is an armored SSHSIG of at most 8 KiB.
    ///
    /// # Errors
    /// Returns an error with the code `KEY_BINDING` if the token is bound to another key, and one
    /// with `POSSESSION` if the signature does not verify.
    pub fn prove_possession(
        self,
        key: PublicKey,
        binding_secret: &[u8],
        message: &[u8],
        possession: &str,
    ) -> Result<KeyHolder, Error> {
        self.prove_possession_for(Namespace::Issue, key, binding_secret, message, possession)
    }

    /// [`Identity::prove_possession`] with a signature in another namespace, for decisions and
    /// orders.
    ///
    /// # Errors
    /// As [`Identity::prove_possession`].
    pub(crate) fn prove_possession_for(
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
            on_behalf: None,
        })
    }

    /// An unproven identity, for the unit tests of other modules.
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
            commitment: match claims.get("unbound") {
                None => Commitment::Nonce("sample".to_owned()),
                Some(_) => Commitment::Absent,
            },
            token_hash: [7; 32],
            expires: OffsetDateTime::UNIX_EPOCH + time::Duration::days(40_000),
            emergency: None,
            is_refreshed: false,
            claims: Arc::new(claims),
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

/// The asking identity, and the user's proven consent. Only [`super::on_behalf::prove`]
/// makes one.
#[derive(Clone, Debug)]
pub(crate) struct OnBehalf {
    pub(super) by: Identity,
    pub(super) key: PublicKey,
    pub(super) until: UnixSeconds,
    pub(super) signature: String,
}

impl OnBehalf {
    /// The identity that asks and holds the subject key.
    pub(crate) fn by(&self) -> &Identity {
        &self.by
    }

    /// The user's key, which signed the consent.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Time after which the consent is void.
    pub(crate) fn until(&self) -> UnixSeconds {
        self.until
    }

    /// The user's armored signature.
    pub(crate) fn signature(&self) -> &str {
        &self.signature
    }
}

/// An identity with the SSH key whose possession it has proven, or has consented to another
/// identity's proof of. Only [`Identity::prove_possession`] and [`super::on_behalf`] make one, and
/// passes are issued to no other caller.
#[derive(Clone, Debug)]
pub struct KeyHolder {
    identity: Identity,
    key: PublicKey,
    on_behalf: Option<Arc<OnBehalf>>,
}

impl KeyHolder {
    /// The proven identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The proven subject key; its comment is empty.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The identity that asks and holds the key, if it is not the one that gets the pass.
    pub(crate) fn on_behalf(&self) -> Option<&OnBehalf> {
        self.on_behalf.as_deref()
    }

    /// This key, for a pass of `user`.
    pub(super) fn for_user(self, user: Identity, on_behalf: OnBehalf) -> Self {
        Self {
            identity: user,
            key: self.key,
            on_behalf: Some(Arc::new(on_behalf)),
        }
    }

    /// An unproven holder, for the unit tests of other modules.
    #[cfg(test)]
    pub(crate) fn sample(identity: Identity, key: &PublicKey) -> Self {
        Self {
            identity,
            key: PublicKey::from(key.key_data().clone()),
            on_behalf: None,
        }
    }
}
