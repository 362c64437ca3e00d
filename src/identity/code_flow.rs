//! The authorization code flow through the server, for the web page (OpenID Connect Core, section
//! 3.1, with PKCE, RFC 7636).
//!
//! It fetches an ID token and judges nothing about it: the caller passes it to
//! [`super::Issuers::verify`], as every other token.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::{sync::Mutex, time::Instant};
use url::Url;
use zeroize::Zeroizing;

use super::{
    error::FetchError,
    fetch::{REQUEST_TIMEOUT, Source},
    settings::{Settings, SettingsError},
};

/// Time for which a discovery document is used again.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// Time for which one is used if a newer one cannot be fetched.
const STALE: Duration = Duration::from_secs(60 * 60);

/// Time after a failed fetch in which there is no other.
const PAUSE: Duration = Duration::from_secs(5);

/// Longest refresh token in bytes: sessions keep them in memory.
const REFRESH_LIMIT: usize = 8 * 1024;

/// Characters of an error code of the provider that are repeated.
const ERROR_LIMIT: usize = 64;

/// The code flow at one issuer.
pub(crate) struct CodeFlow {
    source: Source,
    settings: Settings,
    secret: Option<SecretString>,
    kept: parking_lot::Mutex<Kept>,
    /// Held while the endpoints are fetched, so that many sign-ins at once cost one fetch.
    fetching: Mutex<()>,
}

/// What is known of the provider's endpoints.
#[derive(Default)]
struct Kept {
    /// The endpoints, and when they were fetched.
    endpoints: Option<(Endpoints, Instant)>,
    /// When a fetch failed, if none has succeeded since.
    failed: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Endpoints {
    authorization: Url,
    token: String,
    /// Whether the token endpoint takes the secret in the header (RFC 6749, section 2.3.1).
    takes_basic: bool,
    /// Whether the provider names itself in each answer (RFC 9207).
    names_itself: bool,
}

/// One sign-in.
#[derive(Clone, Copy)]
pub(crate) struct Authorization<'a> {
    /// Our address, as it is registered at the provider.
    pub(crate) redirect: &'a str,
    /// The value that comes back with the answer.
    pub(crate) state: &'a str,
    /// The commitment to the key.
    pub(crate) nonce: &'a str,
    /// The PKCE verifier.
    pub(crate) verifier: &'a str,
}

/// The provider's answer.
pub(crate) struct UnverifiedTokens {
    /// The compact ID token.
    pub(crate) id_token: Zeroizing<String>,
    /// The refresh token, if there is one and the issuer's settings have `refresh`.
    pub(crate) refresh: Option<Zeroizing<String>>,
}

/// Reason why there is no ID token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    /// The provider does not answer as it should.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The provider did not answer another sign-in a moment ago, or does not answer it now.
    #[error("the provider does not answer")]
    Down,
    /// The provider refuses the code or this client.
    #[error("the provider refused the code: {0}")]
    Refused(String),
    /// An answer without a token.
    #[error("the provider sent no ID token")]
    NoToken,
    /// RFC 9207: the answer names another issuer, or none although this one names itself.
    #[error("the answer is of another provider")]
    OtherIssuer,
}

impl CodeFlow {
    /// Takes an issuer and the client's secret there, if it has one. Fetches nothing.
    ///
    /// # Errors
    /// Returns [`SettingsError::Certificates`] if its roots cannot be used.
    pub(crate) fn new(
        settings: Settings,
        secret: Option<SecretString>,
    ) -> Result<Self, SettingsError> {
        let shared = settings.sign_in.client_secret.clone();
        Ok(Self {
            source: Source::new(&settings, REQUEST_TIMEOUT)?,
            secret: secret.or(shared.map(SecretString::from)),
            settings,
            kept: parking_lot::Mutex::default(),
            fetching: Mutex::new(()),
        })
    }

    /// The issuer's configuration.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The URL of the provider's page for this sign-in.
    ///
    /// # Errors
    /// Returns [`CodeError::Fetch`] if the provider is not reached or names invalid URLs.
    pub(crate) async fn authorization_url(
        &self,
        sign_in: Authorization<'_>,
    ) -> Result<String, CodeError> {
        let mut url = self.endpoints().await?.authorization;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(sign_in.verifier));
        let scopes = self.settings.scopes.join(" ");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", sign_in.redirect)
            .append_pair("scope", &scopes)
            .append_pair("state", sign_in.state)
            .append_pair("nonce", sign_in.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(&self.settings.sign_in.parameters);
        Ok(url.into())
    }

    /// Checks the issuer that an answer names (RFC 9207, section 2.4).
    ///
    /// # Errors
    /// Returns [`CodeError::OtherIssuer`] if it is another one, or [`CodeError::Fetch`].
    pub(crate) async fn expect_issuer(&self, named: Option<&str>) -> Result<(), CodeError> {
        match named {
            Some(named) if named == self.settings.url => Ok(()),
            Some(_) => Err(CodeError::OtherIssuer),
            None if self.endpoints().await?.names_itself => Err(CodeError::OtherIssuer),
            None => Ok(()),
        }
    }

    /// Trades a code for tokens. Nothing about them is verified.
    ///
    /// # Errors
    /// Returns the reason why there are none.
    pub(crate) async fn unverified_tokens(
        &self,
        code: &str,
        sign_in: Authorization<'_>,
    ) -> Result<UnverifiedTokens, CodeError> {
        self.exchange(vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", sign_in.redirect),
            ("code_verifier", sign_in.verifier),
        ])
        .await
    }

    /// Renews a sign-in by its refresh token (OpenID Connect Core, section 12). `redirect` is
    /// repeated, because some providers demand it.
    ///
    /// # Errors
    /// As [`CodeFlow::unverified_tokens`].
    pub(crate) async fn renewed_tokens(
        &self,
        refresh: &str,
        redirect: &str,
    ) -> Result<UnverifiedTokens, CodeError> {
        self.exchange(vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("redirect_uri", redirect),
        ])
        .await
    }

    async fn exchange(&self, mut form: Vec<(&str, &str)>) -> Result<UnverifiedTokens, CodeError> {
        let endpoints = self.endpoints().await?;
        let client_id = self.settings.client_id.as_str();
        let secret = self.secret.as_ref().map(ExposeSecret::expose_secret);
        let in_header = secret.filter(|_| endpoints.takes_basic);
        if in_header.is_none() {
            form.push(("client_id", client_id));
            form.extend(secret.map(|secret| ("client_secret", secret)));
        }
        let body = Zeroizing::new(encoded(&form));
        let (status, answer) = self
            .source
            .post("ID token", |client| {
                let request = client.post(&endpoints.token);
                let request = request.header("accept", "application/json");
                let request = request.header("content-type", "application/x-www-form-urlencoded");
                let request = request.body(body.to_string());
                match in_header {
                    Some(secret) => {
                        request.basic_auth(form_encoded(client_id), Some(form_encoded(secret)))
                    }
                    None => request,
                }
            })
            .await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let refresh = text("refresh_token").filter(|it| it.len() <= REFRESH_LIMIT);
        match text("id_token") {
            Some(token) if status.is_success() => Ok(UnverifiedTokens {
                id_token: Zeroizing::new(token.to_owned()),
                refresh: refresh
                    .filter(|_| self.settings.sign_in.refresh)
                    .map(|it| Zeroizing::new(it.to_owned())),
            }),
            _ if status.is_success() => Err(CodeError::NoToken),
            _ if status.is_server_error() => Err(CodeError::Fetch(FetchError::Status {
                what: "ID token",
                status,
            })),
            _ => Err(CodeError::Refused(error_code(text("error")))),
        }
    }

    /// The endpoints. While the provider does not answer, no sign-in waits for the fetch of
    /// another: it gets the endpoints from before, or the error at once.
    async fn endpoints(&self) -> Result<Endpoints, CodeError> {
        if let Some(known) = self.kept.lock().known() {
            return known;
        }
        let has_failed = self.kept.lock().failed.is_some();
        let _fetching = match self.fetching.try_lock() {
            Ok(fetching) => fetching,
            Err(_) if has_failed => return self.kept.lock().stale().ok_or(CodeError::Down),
            Err(_) => self.fetching.lock().await,
        };
        if let Some(known) = self.kept.lock().known() {
            return known;
        }
        let fetched = self.fetch().await;
        let mut kept = self.kept.lock();
        match fetched {
            Ok(endpoints) => {
                *kept = Kept {
                    endpoints: Some((endpoints.clone(), Instant::now())),
                    failed: None,
                };
                Ok(endpoints)
            }
            Err(error) => {
                kept.failed = Some(Instant::now());
                kept.stale().ok_or(error.into())
            }
        }
    }

    async fn fetch(&self) -> Result<Endpoints, FetchError> {
        let discovery = self.source.discovery().await?;
        let authorization = self.source.endpoint(&discovery, "authorization_endpoint")?;
        let invalid = |_| FetchError::Endpoint("authorization_endpoint", "is not a URL");
        Ok(Endpoints {
            authorization: Url::parse(authorization).map_err(invalid)?,
            token: self.source.endpoint(&discovery, "token_endpoint")?.into(),
            takes_basic: takes_basic(&discovery),
            names_itself: discovery.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }
}

impl Kept {
    /// The answer that needs no fetch: endpoints that are new, or what there is after a fetch that
    /// failed a moment ago.
    fn known(&self) -> Option<Result<Endpoints, CodeError>> {
        if let Some((endpoints, fetched)) = &self.endpoints
            && fetched.elapsed() < KEPT
        {
            return Some(Ok(endpoints.clone()));
        }
        let failed = self.failed.is_some_and(|at| at.elapsed() < PAUSE);
        failed.then(|| self.stale().ok_or(CodeError::Down))
    }

    /// The endpoints of the last fetch that succeeded, unless it is long ago.
    fn stale(&self) -> Option<Endpoints> {
        let (endpoints, fetched) = self.endpoints.as_ref()?;
        (fetched.elapsed() < STALE).then(|| endpoints.clone())
    }
}

/// Without a list, `client_secret_basic` is the default (OpenID Connect Discovery, section 3).
fn takes_basic(discovery: &Map<String, Value>) -> bool {
    match discovery.get("token_endpoint_auth_methods_supported") {
        Some(Value::Array(methods)) => methods.iter().any(|it| it == "client_secret_basic"),
        Some(_) | None => true,
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// Client id and secret are form-encoded before they are put into the header (RFC 6749, section
/// 2.3.1).
fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The provider's error code, if it looks like one: it is shown to a user and written to the log.
fn error_code(text: Option<&str>) -> String {
    let is_code = |text: &&str| {
        (1..=ERROR_LIMIT).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    text.filter(is_code).unwrap_or("unknown error").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_is_repeated_and_other_text_is_not() {
        for (text, expected) in [
            (Some("invalid_grant"), "invalid_grant"),
            (Some("<b>"), "unknown error"),
            (Some(""), "unknown error"),
            (None, "unknown error"),
        ] {
            assert_eq!(error_code(text), expected);
        }
        assert_eq!(error_code(Some(&"x".repeat(65))), "unknown error");
    }

    #[test]
    fn the_secret_goes_where_the_provider_takes_it() {
        let discovery = |methods: Value| {
            let mut members = Map::new();
            let _ = members.insert("token_endpoint_auth_methods_supported".into(), methods);
            members
        };
        assert!(takes_basic(&Map::new()));
        assert!(takes_basic(&discovery(serde_json::json!([
            "client_secret_basic"
        ]))));
        assert!(!takes_basic(&discovery(serde_json::json!([
            "client_secret_post"
        ]))));
    }
}
