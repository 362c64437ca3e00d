//! The configured issuers, and the verification of their ID tokens.

use std::sync::Arc;

use openidconnect::{
    Audience, ClaimsVerificationError, ClientId, EmptyAdditionalClaims, IdToken, IdTokenVerifier,
    IssuerUrl, JsonWebKeySet, Nonce,
    core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm},
};
use time::OffsetDateTime;
use tokio::{task::JoinSet, time::Instant};

pub use super::{algorithm::Algorithm, settings::SettingsError};
use super::{
    claims::{self, Part, ValidatedClaims},
    error::{Error, FetchError},
    fetch::{REQUEST_TIMEOUT, Source},
    jwk::{Key, VerifyingKey},
    jwks::{self, KeyCache, Rules},
    known::{Known, KnownTokens, TokenHash},
    proof,
    proven::Identity,
    refreshed,
    settings::{self, Settings},
    token::{self, Unverified},
};

/// Every configured issuer with its key cache. Cheap to clone.
#[derive(Clone)]
pub struct Issuers(Arc<Inner>);

struct Inner {
    settings: Vec<Settings>,
    /// In the order of `settings`.
    issuers: Vec<Issuer>,
    /// Of these settings and these key caches only: another configuration begins without any.
    known: KnownTokens,
}

struct Issuer {
    keys: Arc<KeyCache>,
}

impl Issuers {
    /// Takes the configuration. Fetches nothing.
    ///
    /// # Errors
    /// Returns the first fault of the settings.
    pub fn new(settings: Vec<Settings>) -> Result<Self, SettingsError> {
        Self::with_rules(settings, Rules::DEFAULT, REQUEST_TIMEOUT)
    }

    pub(super) fn with_rules(
        settings: Vec<Settings>,
        rules: Rules,
        timeout: std::time::Duration,
    ) -> Result<Self, SettingsError> {
        settings::check(&settings)?;
        let issuer = |settings: &Settings| {
            let source = Source::new(settings, timeout)?;
            Ok(Issuer {
                keys: KeyCache::new(&settings.name, source, rules),
            })
        };
        let issuers = settings.iter().map(issuer).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner {
            settings,
            issuers,
            known: KnownTokens::default(),
        })))
    }

    /// The settings, in the configuration's order.
    pub(crate) fn settings(&self) -> &[Settings] {
        &self.0.settings
    }

    /// The configured name of the issuer with this URL; empty if there is none.
    pub(crate) fn name_of(&self, url: &str) -> &str {
        let mut all = self.0.settings.iter();
        all.find(|settings| settings.url == url)
            .map_or("", |settings| settings.name.as_str())
    }

    /// Verifies one compact ID token. Possession and the commitment are checked later, by
    /// [`Identity::prove_possession`].
    ///
    /// Waits for the issuer only if its keys are not cached, some seconds at most.
    ///
    /// # Errors
    /// Returns why the token is refused. [`Error::is_unavailable`] tells the faults of the issuer.
    pub async fn verify(
        &self,
        unverified_jwt: &str,
        now: OffsetDateTime,
    ) -> Result<Identity, Error> {
        self.verify_at(unverified_jwt, now, Instant::now()).await
    }

    /// Verifies the two ID tokens of a sign-in that was renewed by a refresh token: the newest one,
    /// and the one of the sign-in, whose nonce binds the key.
    ///
    /// # Errors
    /// As [`Issuers::verify`]; with the code `SESSION_OVER` if the sign-in is older than the
    /// issuer's `session`, or its issuer has no `refresh`, and `KEY_BINDING` if the tokens are not
    /// of one sign-in. If the issuer has withdrawn the key of the original, it is `TOKEN_KEY`: a
    /// new sign-in is needed.
    pub async fn verify_refreshed(
        &self,
        unverified_fresh: &str,
        unverified_original: &str,
        now: OffsetDateTime,
    ) -> Result<Identity, Error> {
        let tick = Instant::now();
        let fresh = self
            .accept(unverified_fresh, Part::Fresh, now, tick)
            .await?;
        let issuer = fresh.settings;
        if !issuer.sign_in.refresh {
            return Err(Error::NoRefresh);
        }
        let original = self
            .accept(unverified_original, Part::Original, now, tick)
            .await?;
        if issuer.url != original.settings.url {
            return Err(Error::OtherSignIn("it is of another issuer"));
        }
        let session = time::Duration::try_from(issuer.sign_in.session);
        let session = session.unwrap_or(time::Duration::ZERO);
        let claims = refreshed::combine(fresh.claims, original.claims, session)?;
        let hash = proof::refreshed_hash(unverified_fresh, unverified_original);
        Ok(Identity::new(issuer, claims, hash, true))
    }

    /// `tick` is the key cache's time. It is monotonic, because the cache must not follow a clock
    /// that is set.
    pub(super) async fn verify_at(
        &self,
        unverified_jwt: &str,
        now: OffsetDateTime,
        tick: Instant,
    ) -> Result<Identity, Error> {
        let accepted = self.accept(unverified_jwt, Part::Alone, now, tick).await?;
        let (settings, claims) = (accepted.settings, accepted.claims);
        Ok(Identity::new(settings, claims, accepted.hash, false))
    }

    /// Every check of one token. Of a token that is known, only the signature is not verified again
    /// while the issuer's key is the one that verified it.
    async fn accept(
        &self,
        unverified_jwt: &str,
        part: Part,
        now: OffsetDateTime,
        tick: Instant,
    ) -> Result<Accepted<'_>, Error> {
        token::expect_size(unverified_jwt)?;
        let hash = proof::token_hash(unverified_jwt);
        let known = self.0.known.find(&hash);
        let token = match &known {
            Some(known) => known.token.clone(),
            None => Arc::new(token::parse(unverified_jwt)?),
        };
        let (settings, issuer) = self.find(claims::issuer(&token.claims)?)?;
        if !settings.algorithms.contains(&token.algorithm) {
            return Err(Error::Algorithm);
        }
        if token.key_id.is_none() && !settings.key_without_id {
            return Err(Error::NoKeyId);
        }
        let visible = known.as_ref().map(|known| known.visible.clone());
        let claims = claims::check(&token.claims, settings, (part, now), visible)?;
        let key = issuer.keys.key(token.key_id.as_deref(), tick).await?;
        if !known.is_some_and(|known| known.is_verified_by(&key)) {
            let candidate = Candidate {
                jwt: unverified_jwt,
                token: &token,
                settings,
                audience: &claims.audience,
                // Its expiry was checked already, if it matters.
                now: now.min(claims.expires),
            };
            let key = candidate.verify_by(issuer, key, tick).await?;
            let visible = claims.visible.clone();
            self.0.known.insert(
                hash,
                Known {
                    token,
                    visible,
                    key,
                },
            );
        }
        Ok(Accepted {
            settings,
            claims,
            hash,
        })
    }

    /// Memory of the known tokens.
    #[cfg(test)]
    pub(super) fn known_weight(&self) -> usize {
        self.0.known.weight()
    }

    /// The names of issuers whose keys are not cached: no user can sign in with them now, unless a
    /// fetch succeeds.
    pub(crate) fn without_keys(&self) -> Vec<&str> {
        let now = Instant::now();
        let issuers = self.0.settings.iter().zip(&self.0.issuers);
        issuers
            .filter(|(_, issuer)| !issuer.keys.has_keys(now))
            .map(|(settings, _)| settings.name.as_str())
            .collect()
    }

    /// Fetches the keys of every issuer once, for readiness. Errors are logged, not fatal.
    pub(crate) async fn prefetch(&self) {
        let now = Instant::now();
        let start = |issuer: &Issuer| issuer.keys.refresh(now);
        let flights: Vec<_> = self.0.issuers.iter().filter_map(start).collect();
        for in_flight in flights {
            jwks::wait_for(in_flight).await;
        }
    }

    /// Fetches the keys of every issuer now, past the caches. Returns for each the number of keys
    /// whose algorithm its settings list.
    pub(crate) async fn fetch_all(&self) -> Vec<(&Settings, Result<usize, FetchError>)> {
        let mut fetches = JoinSet::new();
        for (at, issuer) in self.0.issuers.iter().enumerate() {
            let keys = issuer.keys.clone();
            fetches.spawn(async move { (at, keys.fetch().await) });
        }
        let mut fetched = fetches.join_all().await;
        fetched.sort_by_key(|(at, _)| *at);
        let results = self.0.settings.iter().zip(fetched);
        results
            .map(|(settings, (_, set))| (settings, set.map(|set| set.len())))
            .collect()
    }

    /// Finds an issuer by the exact bytes of its URL: no slash, case or port is made equal.
    fn find(&self, unverified_issuer: &str) -> Result<(&Settings, &Issuer), Error> {
        let mut all = self.0.settings.iter().zip(&self.0.issuers);
        all.find(|(settings, _)| settings.url == unverified_issuer)
            .ok_or(Error::Issuer)
    }
}

type StandardIdToken = IdToken<
    EmptyAdditionalClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// A token that passed every check, with its issuer's settings.
struct Accepted<'a> {
    settings: &'a Settings,
    claims: ValidatedClaims,
    /// SHA-256 of the compact token.
    hash: TokenHash,
}

/// A token that [`token`] and [`claims`] have accepted.
struct Candidate<'a> {
    jwt: &'a str,
    /// Its `alg` is one of the configured ones.
    token: &'a Unverified,
    settings: &'a Settings,
    /// One of its audiences.
    audience: &'a str,
    now: OffsetDateTime,
}

impl Candidate<'_> {
    /// Verifies the signature by `key`, or by a newer key if the token names none. Returns the key
    /// that verified it.
    async fn verify_by(
        &self,
        issuer: &Issuer,
        key: Arc<Key>,
        tick: Instant,
    ) -> Result<Arc<Key>, Error> {
        match self.verify(&key) {
            Err(Error::Signature(_)) if self.token.key_id.is_none() => {
                let newer = issuer.keys.renewed(tick).await?;
                self.verify(&newer)?;
                Ok(newer)
            }
            outcome => outcome.map(|()| key),
        }
    }

    /// The protocol's own verification, by `openidconnect`, with this one key, issuer, audience and
    /// algorithm.
    ///
    /// The nonce is checked later, with the key ([`Identity::prove_possession`]).
    fn verify(&self, key: &Arc<Key>) -> Result<(), Error> {
        if key.algorithm() != self.token.algorithm {
            return Err(Error::Algorithm);
        }
        let issuer = IssuerUrl::new(self.settings.url.clone()).map_err(|_| Error::Issuer)?;
        let token: StandardIdToken = self.jwt.parse().map_err(|_| Error::Protocol)?;
        let algorithm = key.algorithm().core().clone();
        let keys = JsonWebKeySet::new(vec![VerifyingKey(Some(Arc::clone(key)))]);
        let latest = std::time::SystemTime::from(self.now - claims::LEEWAY);
        let client = ClientId::new(self.audience.to_owned());
        let is_ours = |other: &Audience| self.settings.audiences.contains(other);
        let verifier = IdTokenVerifier::new_public_client(client, issuer, keys)
            .set_allowed_algs([algorithm])
            .allow_all_jose_types()
            .set_other_audience_verifier_fn(is_ours)
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
}
