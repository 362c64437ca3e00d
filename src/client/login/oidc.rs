//! The client's side of OpenID Connect: an HTTP client with limits, discovery, and the check of the
//! ID token.
//!
//! An issuer chooses URLs that this machine then opens. Only https is allowed, and http to this
//! machine if the issuer is on this machine itself; [`web_url`] is the one rule for that.

use std::{future::Future, pin::Pin, time::Duration};

use http::Response;
use openidconnect::{
    AdditionalProviderMetadata, ClientId, DeviceAuthorizationUrl, HttpRequest, HttpResponse,
    IssuerUrl, NonceVerifier, ProviderMetadata, Scope,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
        CoreGrantType, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    client::{Error, server_info::Issuer},
    identity::web_url,
};

/// From connecting to a finished TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// For one request.
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes of an issuer's answer at most; its documents are a few KiB.
const LARGEST: usize = 1024 * 1024;

/// The metadata of the device flow (RFC 8628 section 4).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct DeviceEndpoint {
    pub(super) device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
}

impl AdditionalProviderMetadata for DeviceEndpoint {}

pub(super) type Metadata = ProviderMetadata<
    DeviceEndpoint,
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

/// A request to the issuer failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    #[error("{0}")]
    Answer(#[from] http::Error),
    #[error("the answer is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("{url:?} {problem}")]
    Url { url: String, problem: &'static str },
}

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
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
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
        .map_err(|error| unreachable(issuer, &error))?;
    let device = &metadata.additional_metadata().device_authorization_endpoint;
    // All of them before the user is sent anywhere: the token endpoint is only used after the user
    // has signed in.
    let named = [
        Some(metadata.authorization_endpoint().as_str()),
        metadata.token_endpoint().map(|url| url.as_str()),
        device.as_ref().map(|url| url.as_str()),
    ];
    for text in named.into_iter().flatten() {
        http.endpoint(text)
            .map_err(|problem| refused(issuer, text, problem))?;
    }
    Ok(metadata)
}

/// A public client at the issuer: it has no client secret.
pub(super) fn client(issuer: &Issuer, metadata: Metadata) -> Oidc {
    CoreClient::from_provider_metadata(metadata, ClientId::new(issuer.client_id.clone()), None)
}

/// The scopes to ask for. `openid` is always asked for, so it is left out.
pub(super) fn scopes(issuer: &Issuer) -> impl Iterator<Item = Scope> + use<'_> {
    let wanted = issuer.scopes.iter().filter(|scope| *scope != "openid");
    wanted.cloned().map(Scope::new)
}

/// Checks that the issuer signed the token for us and that `nonce` accepts its nonce; returns the
/// compact token. Its times are not checked: this machine's clock may be wrong, and the server
/// judges them by its own.
///
/// # Errors
/// Returns [`Error::Untrusted`] if there is no token, or it is not that.
pub(super) fn verified(
    verifier: CoreIdTokenVerifier<'_>,
    token: Option<&CoreIdToken>,
    nonce: impl NonceVerifier,
) -> Result<Zeroizing<String>, Error> {
    let token = token.ok_or_else(|| Error::Untrusted("the issuer sent no ID token".to_owned()))?;
    let verifier = verifier.set_allowed_algs([
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        CoreJwsSigningAlgorithm::EdDsa,
    ]);
    let verifier = verifier.set_time_fn(|| std::time::SystemTime::UNIX_EPOCH.into());
    token
        .claims(&verifier, nonce)
        .map_err(|error| Error::Untrusted(format!("the issuer's ID token is invalid: {error}")))?;
    Ok(Zeroizing::new(token.to_string()))
}

/// The error for a failed request to the issuer, with the whole chain of causes. A URL that may not
/// be opened is [`Error::Untrusted`], every other failure [`Error::Unreachable`].
pub(super) fn unreachable(issuer: &Issuer, error: &(dyn std::error::Error + 'static)) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(Failed::Url { url, problem }) = cause.downcast_ref() {
            return refused(issuer, url, problem);
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::unreachable(&issuer.url, text)
}

fn refused(issuer: &Issuer, url: &str, problem: &str) -> Error {
    Error::Untrusted(format!(
        "its issuer {} names {url:?}, which {problem}; it was not opened: tell the operators of that issuer",
        issuer.url
    ))
}
