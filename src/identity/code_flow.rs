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

/// Characters of an error code of the provider that are repeated.
const ERROR_LIMIT: usize = 64;

/// The code flow at one issuer.
pub(crate) struct CodeFlow {
    source: Source,
    settings: Settings,
    secret: Option<SecretString>,
    /// The endpoints, and when they were fetched. The lock is held while they are fetched, so that
    /// many sign-ins at once cost one fetch.
    endpoints: Mutex<Option<(Endpoints, Instant)>>,
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

/// Reason why there is no ID token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    /// The provider does not answer as it should.
    #[error(transparent)]
    Fetch(#[from] FetchError),
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
            endpoints: Mutex::new(None),
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

    /// Trades a code for the compact ID token. Nothing about the token is verified.
    ///
    /// # Errors
    /// Returns the reason why there is none.
    pub(crate) async fn unverified_token(
        &self,
        code: &str,
        sign_in: Authorization<'_>,
    ) -> Result<Zeroizing<String>, CodeError> {
        let endpoints = self.endpoints().await?;
        let client_id = self.settings.client_id.as_str();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", sign_in.redirect),
            ("code_verifier", sign_in.verifier),
        ];
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
        match text("id_token") {
            Some(token) if status.is_success() => Ok(Zeroizing::new(token.to_owned())),
            _ if status.is_success() => Err(CodeError::NoToken),
            _ if status.is_server_error() => Err(CodeError::Fetch(FetchError::Status {
                what: "ID token",
                status,
            })),
            _ => Err(CodeError::Refused(error_code(text("error")))),
        }
    }

    async fn endpoints(&self) -> Result<Endpoints, FetchError> {
        let mut kept = self.endpoints.lock().await;
        if let Some((endpoints, fetched)) = kept.as_ref()
            && fetched.elapsed() < KEPT
        {
            return Ok(endpoints.clone());
        }
        let discovery = self.source.discovery().await?;
        let authorization = self.source.endpoint(&discovery, "authorization_endpoint")?;
        let invalid = |_| FetchError::Endpoint("authorization_endpoint", "is not a URL");
        let endpoints = Endpoints {
            authorization: Url::parse(authorization).map_err(invalid)?,
            token: self.source.endpoint(&discovery, "token_endpoint")?.into(),
            takes_basic: takes_basic(&discovery),
            names_itself: discovery.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        };
        *kept = Some((endpoints.clone(), Instant::now()));
        Ok(endpoints)
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
