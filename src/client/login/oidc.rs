//! The client's side of OpenID Connect: an HTTP client with limits, discovery, and the check of the
//! ID token.
//!
//! An issuer chooses URLs that this machine then opens. Only https is allowed, and http to this
//! machine if the issuer is on this machine itself; [`web_url`] is the one rule for that.

use std::{future::Future, pin::Pin, time::Duration};

use http::Response;
use openidconnect::{
    AdditionalProviderMetadata, Audience, AuthType, ClientId, ClientSecret, DeviceAuthorizationUrl,
    HttpRequest, HttpResponse, IssuerUrl, NonceVerifier, OAuth2TokenResponse, ProviderMetadata,
    RevocationUrl, Scope, TokenResponse,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
        CoreGrantType, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::provider::{self, Failed, LARGEST, refused};
use crate::{
    client::{Error, server_info::Issuer},
    identity::web_url,
    outbound::is_loopback,
};

/// From connecting to a finished TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// For one request.
const ANSWER: Duration = Duration::from_secs(30);
/// The metadata of the device flow (RFC 8628 section 4) and of revocation (RFC 8414 section 2).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Endpoints {
    pub(super) device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
    pub(super) revocation_endpoint: Option<RevocationUrl>,
}

impl AdditionalProviderMetadata for Endpoints {}

pub(super) type Metadata = ProviderMetadata<
    Endpoints,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A client whose authorization endpoint is known; the token endpoint is optional in discovery.
pub(super) type Oidc = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

/// An HTTP client for one issuer: no redirects, bounded in time and size, and only URLs that the
/// issuer may name.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    /// Whether the issuer itself is on this machine. Only then may its URLs be on this machine.
    loopback: bool,
}

impl Http {
    /// # Errors
    /// Returns [`Error::Untrusted`] if the issuer's URL may not be opened.
    pub(super) fn new(issuer: &Issuer) -> Result<Self, Error> {
        let url = web_url::check_endpoint(&issuer.url, true).map_err(|problem| {
            Error::Untrusted(format!("its issuer {:?} {problem}", issuer.url))
        })?;
        let roots = reqwest::Certificate::from_pem_bundle(issuer.ca_certificates.as_bytes());
        let roots = roots.map_err(|error| {
            Error::Untrusted(format!("the roots of its issuer {}: {error}", issuer.name))
        })?;
        let mut builder = reqwest::Client::builder();
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        builder
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .tls_certs_merge(roots)
            .build()
            .map(|client| Self {
                client,
                loopback: url.scheme() == "http",
            })
            .map_err(|error| Error::other(format!("failed to set up HTTPS: {error}")))
    }

    /// Checks the URL of a page that `issuer` asks to open in a browser.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] with what is wrong about it.
    pub(super) fn page(&self, issuer: &Issuer, text: &str) -> Result<String, Error> {
        web_url::check(text, self.loopback)
            .map(|url| url.to_string())
            .map_err(|problem| refused(issuer, text, problem))
    }

    fn endpoint(&self, text: &str) -> Result<(), &'static str> {
        web_url::check_endpoint(text, self.loopback).map(|_| ())
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, Failed> {
        let url = request.uri().to_string();
        if let Err(problem) = self.endpoint(&url) {
            return Err(Failed::Url { url, problem });
        }
        let mut answer = self.client.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                return Err(Failed::TooLarge);
            }
        }
        Ok(response.body(body)?)
    }
}

impl<'c> openidconnect::AsyncHttpClient<'c> for Http {
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Failed>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// Fetches the issuer's metadata and keys (OpenID Connect Discovery 1.0).
///
/// # Errors
/// Returns [`Error::Unreachable`] if it does not answer, and [`Error::Untrusted`] if it names a URL
/// that may not be opened.
pub(super) async fn discover(http: &Http, issuer: &Issuer) -> Result<Metadata, Error> {
    let url = IssuerUrl::new(issuer.url.clone())
        .map_err(|error| Error::Untrusted(format!("its issuer {}: {error}", issuer.url)))?;
    let metadata = Metadata::discover_async(url, http)
        .await
        .map_err(|error| provider::discovery(issuer, &error))?;
    let Endpoints {
        device_authorization_endpoint: device,
        revocation_endpoint: revocation,
    } = metadata.additional_metadata();
    // All of them before the user is sent anywhere: the token endpoint is only used after the user
    // has signed in.
    let named = [
        Some(metadata.authorization_endpoint().as_str()),
        metadata.token_endpoint().map(|url| url.as_str()),
        device.as_ref().map(|url| url.as_str()),
        revocation.as_ref().map(|url| url.as_str()),
    ];
    for text in named.into_iter().flatten() {
        http.endpoint(text)
            .map_err(|problem| refused(issuer, text, problem))?;
    }
    Ok(metadata)
}

/// A client at the issuer. If it has a secret, the secret is that of a native app, which is not
/// confidential; PKCE protects the code in either case.
pub(super) fn client(issuer: &Issuer, metadata: Metadata) -> Oidc {
    let methods = metadata.token_endpoint_auth_methods_supported();
    let basic = methods.is_none_or(|all| all.contains(&CoreClientAuthMethod::ClientSecretBasic));
    let secret = issuer.client_secret.clone().map(ClientSecret::new);
    let id = ClientId::new(issuer.client_id.clone());
    CoreClient::from_provider_metadata(metadata, id, secret).set_auth_type(match basic {
        true => AuthType::BasicAuth,
        false => AuthType::RequestBody,
    })
}

/// The scopes to ask for. `openid` is always asked for, so it is left out. `offline_access` is
/// added if the server takes renewed tokens and the provider knows the scope (OpenID Connect Core
/// section 11); others have a parameter of their own.
pub(super) fn scopes(issuer: &Issuer, metadata: &Metadata) -> Vec<Scope> {
    let knows = metadata.scopes_supported().is_some_and(|all| {
        let mut all = all.iter();
        all.any(|scope| scope.as_str() == OFFLINE)
    });
    let is_named = issuer.scopes.iter().any(|scope| scope == OFFLINE);
    let offline = (issuer.refresh && knows && !is_named).then(|| OFFLINE.to_owned());
    let wanted = issuer.scopes.iter().filter(|scope| *scope != "openid");
    wanted.cloned().chain(offline).map(Scope::new).collect()
}

const OFFLINE: &str = "offline_access";

/// Tokens of one sign-in.
pub(super) struct Tokens {
    /// The compact ID token.
    pub(super) id: Zeroizing<String>,
    /// The refresh token, if the provider gave one.
    pub(super) refresh: Option<Zeroizing<String>>,
    /// The redirect URI of the sign-in, if it had one.
    pub(super) redirect: Option<String>,
}

impl Tokens {
    /// The token of a machine, which is not renewed.
    pub(super) fn of_machine(id: Zeroizing<String>) -> Self {
        Self {
            id,
            refresh: None,
            redirect: None,
        }
    }

    /// Takes the tokens of an answer, with an ID token as [`verified`] checks it.
    ///
    /// # Errors
    /// As [`verified`].
    pub(super) fn of(
        issuer: &Issuer,
        verifier: CoreIdTokenVerifier<'_>,
        answer: &CoreTokenResponse,
        nonce: impl NonceVerifier,
    ) -> Result<Self, Error> {
        Ok(Self {
            id: verified(issuer, verifier, answer.id_token(), nonce)?,
            refresh: refresh_token(answer),
            redirect: None,
        })
    }
}

/// The refresh token of an answer.
pub(super) fn refresh_token(answer: &CoreTokenResponse) -> Option<Zeroizing<String>> {
    let token = answer.refresh_token();
    token.map(|token| Zeroizing::new(token.secret().clone()))
}

/// Checks that the issuer signed the token for us and that `nonce` accepts its nonce; returns the
/// compact token. Its times are not checked: this machine's clock may be wrong, and the server
/// judges them by its own.
///
/// # Errors
/// Returns [`Error::Untrusted`] if there is no token, or it is not that.
pub(super) fn verified(
    issuer: &Issuer,
    verifier: CoreIdTokenVerifier<'_>,
    token: Option<&CoreIdToken>,
    nonce: impl NonceVerifier,
) -> Result<Zeroizing<String>, Error> {
    let token = token.ok_or_else(|| Error::Untrusted("the issuer sent no ID token".to_owned()))?;
    let is_listed = |audience: &Audience| issuer.audiences.contains(audience);
    let verifier = verifier
        .set_allowed_algs(algorithms(issuer))
        .set_other_audience_verifier_fn(is_listed)
        .set_time_fn(|| std::time::SystemTime::UNIX_EPOCH.into());
    token
        .claims(&verifier, nonce)
        .map_err(|error| Error::Untrusted(format!("the issuer's ID token is invalid: {error}")))?;
    Ok(Zeroizing::new(token.to_string()))
}

/// The algorithms that the server accepts of this issuer. A server that is older than the setting
/// names none, and accepts three.
fn algorithms(issuer: &Issuer) -> Vec<CoreJwsSigningAlgorithm> {
    if issuer.algorithms.is_empty() {
        return vec![
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            CoreJwsSigningAlgorithm::EdDsa,
        ];
    }
    // Names that this client does not know are of a newer server.
    let named = issuer.algorithms.iter();
    named
        .filter_map(|name| serde_json::from_value(name.as_str().into()).ok())
        .collect()
}
