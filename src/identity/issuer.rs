//! Issuers as data, and the verification of their ID tokens.

use std::sync::Arc;

use openidconnect::{
    ClaimsVerificationError, ClientId, EmptyAdditionalClaims, IdToken, IdTokenVerifier, IssuerUrl,
    JsonWebKeySet, Nonce,
    core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm},
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    Binding, Error, Identity, claims,
    fetch::{REQUEST_TIMEOUT, Source},
    jwk::{Key, VerifyingKey},
    jwks::{self, KeyCache, Rules},
    proof, token,
};

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
    fn check(&self) -> Result<(), SettingsError> {
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

/// Every configured issuer with its key cache. Cheap to clone.
#[derive(Clone)]
pub struct Issuers(Arc<Inner>);

struct Inner {
    settings: Vec<Settings>,
    /// In the order of `settings`.
    issuers: Vec<Issuer>,
}

struct Issuer {
    url: IssuerUrl,
    keys: Arc<KeyCache>,
}

impl Issuers {
    /// Takes the configuration; fetches nothing yet.
    pub fn new(settings: Vec<Settings>) -> Result<Self, SettingsError> {
        Self::with_rules(settings, Rules::DEFAULT, REQUEST_TIMEOUT)
    }

    pub(super) fn with_rules(
        settings: Vec<Settings>,
        rules: Rules,
        timeout: std::time::Duration,
    ) -> Result<Self, SettingsError> {
        check_unique(&settings)?;
        let issuer = |settings: &Settings| {
            settings.check()?;
            let source = Source::new(settings, timeout)?;
            let url = IssuerUrl::new(settings.url.clone());
            Ok(Issuer {
                url: url.map_err(|_| settings.url_error("is not a URL"))?,
                keys: KeyCache::new(&settings.name, source, rules),
            })
        };
        let issuers = settings.iter().map(issuer).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner { settings, issuers })))
    }

    /// What was configured, in order.
    pub fn settings(&self) -> &[Settings] {
        &self.0.settings
    }

    /// The full check of one compact ID token. Possession and the commitment are checked later, by [`Identity::hold`].
    ///
    /// Waits for the issuer only where its keys are not at hand, some seconds at most. Errors that are the issuer's
    /// fault say so ([`Error::is_unavailable`]).
    pub async fn verify(
        &self,
        unverified_jwt: &str,
        now: OffsetDateTime,
    ) -> Result<Identity, Error> {
        self.verify_at(unverified_jwt, now, Instant::now()).await
    }

    /// `tick` is the moment for the key cache, which must not follow a clock that is set.
    pub(super) async fn verify_at(
        &self,
        unverified_jwt: &str,
        now: OffsetDateTime,
        tick: Instant,
    ) -> Result<Identity, Error> {
        let unverified = token::parse(unverified_jwt)?;
        let (settings, issuer) = self.find(claims::issuer(&unverified.claims)?)?;
        if !settings.algorithms.contains(&unverified.algorithm) {
            return Err(Error::Algorithm);
        }
        let acceptable = claims::check(&unverified.claims, settings, now)?;
        let key = issuer.keys.key(&unverified.key_id, tick).await?;
        if key.algorithm() != unverified.algorithm {
            return Err(Error::Algorithm);
        }
        verify_signature(unverified_jwt, &issuer.url, &acceptable.audience, key, now)?;
        Ok(Identity {
            issuer: settings.url.clone(),
            subject: acceptable.subject,
            label: acceptable.label,
            claims: acceptable.visible,
            authenticated_at: acceptable.authenticated_at,
            commitment: acceptable.commitment,
            token_hash: proof::token_hash(unverified_jwt),
            expires: acceptable.expires,
            emergency: None,
        })
    }

    /// The configured names of issuers whose keys are not at hand: nobody can sign in with them now, unless a fetch helps.
    pub fn without_keys(&self) -> Vec<&str> {
        let now = Instant::now();
        let issuers = self.0.settings.iter().zip(&self.0.issuers);
        issuers
            .filter(|(_, issuer)| !issuer.keys.has_keys(now))
            .map(|(settings, _)| settings.name.as_str())
            .collect()
    }

    /// Fetches the keys of every issuer once, for readiness; errors are logged, not fatal.
    pub async fn prefetch(&self) {
        let now = Instant::now();
        let start = |issuer: &Issuer| issuer.keys.refresh(now);
        let flights: Vec<_> = self.0.issuers.iter().filter_map(start).collect();
        for in_flight in flights {
            jwks::wait_for(in_flight).await;
        }
    }

    /// By the exact bytes of the URL: no slash, case or port is made equal.
    fn find(&self, unverified_issuer: &str) -> Result<(&Settings, &Issuer), Error> {
        let mut all = self.0.settings.iter().zip(&self.0.issuers);
        all.find(|(settings, _)| settings.url == unverified_issuer)
            .ok_or(Error::Issuer)
    }
}

fn check_unique(settings: &[Settings]) -> Result<(), SettingsError> {
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

type StandardIdToken = IdToken<
    EmptyAdditionalClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// The protocol's own verification, by `openidconnect`, with this one key, issuer, audience and algorithm.
///
/// It sees only what [`token`] and [`claims`] have taken. The nonce is checked when the key is there to compare with.
fn verify_signature(
    jwt: &str,
    issuer: &IssuerUrl,
    audience: &str,
    key: Arc<Key>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let token: StandardIdToken = jwt.parse().map_err(|_| Error::Protocol)?;
    let algorithm = key.algorithm().core().clone();
    let keys = JsonWebKeySet::new(vec![VerifyingKey(Some(key))]);
    let latest = std::time::SystemTime::from(now - claims::LEEWAY);
    let verifier = IdTokenVerifier::new_public_client(
        ClientId::new(audience.to_owned()),
        issuer.clone(),
        keys,
    )
    .set_allowed_algs([algorithm])
    .allow_all_jose_types()
    .set_time_fn(move || latest.into());
    match token.claims(&verifier, |_: Option<&Nonce>| Ok(())) {
        Ok(_) => Ok(()),
        Err(ClaimsVerificationError::SignatureVerification(source)) => {
            Err(Error::Signature(source))
        }
        Err(ClaimsVerificationError::Expired(_)) => Err(Error::Expired),
        Err(_) => Err(Error::Protocol),
    }
}
