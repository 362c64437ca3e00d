//! The issuer, as `openidconnect` speaks to it: discovery, a small HTTP client, and the check of what it signed.

use std::{future::Future, pin::Pin, time::Duration};

use http::Response;
use openidconnect::{
    AdditionalProviderMetadata, ClientId, DeviceAuthorizationUrl, HttpRequest, HttpResponse,
    IssuerUrl, NonceVerifier, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
        CoreGrantType, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
        CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::super::{Error, connect, trust::Issuer};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// Documents of an issuer are a few KiB.
const LARGEST: usize = 1024 * 1024;

/// RFC 8628 section 4.
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

/// A client whose authorization endpoint is known; the token endpoint is whatever discovery said.
pub(super) type Oidc = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

/// Why a request to the issuer failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    #[error("{0}")]
    Answer(#[from] http::Error),
    #[error("the answer is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("it sends its client to {0}, which is not https")]
    PlainText(String),
}

/// An HTTP client for issuers: no redirects, bounded in time and size.
#[derive(Clone, Debug)]
pub(super) struct Http(reqwest::Client);

impl Http {
    pub(super) fn new() -> Result<Self, Error> {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()
            .map(Self)
            .map_err(|error| Error::other(format!("failed to set up HTTPS: {error}")))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, Failed> {
        let url = request.uri().to_string();
        if !is_safe(&url) {
            return Err(Failed::PlainText(url));
        }
        let mut answer = self.0.execute(request.try_into()?).await?;
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

/// The issuer's own description and its keys.
pub(super) async fn discover(http: &Http, issuer: &Issuer) -> Result<Metadata, Error> {
    if !is_safe(&issuer.url) {
        return Err(Error::Untrusted(format!(
            "its issuer {} is not https",
            issuer.url
        )));
    }
    let url = IssuerUrl::new(issuer.url.clone())
        .map_err(|error| Error::Untrusted(format!("its issuer {}: {error}", issuer.url)))?;
    Metadata::discover_async(url, http)
        .await
        .map_err(|error| unreachable(issuer, &error))
}

/// A public client at the issuer.
pub(super) fn client(issuer: &Issuer, metadata: Metadata) -> Oidc {
    CoreClient::from_provider_metadata(metadata, ClientId::new(issuer.client_id.clone()), None)
}

/// The compact token, where the issuer has signed it for us and `nonce` finds it right.
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
    token
        .claims(&verifier, nonce)
        .map_err(|error| Error::Untrusted(format!("the issuer's ID token is wrong: {error}")))?;
    Ok(Zeroizing::new(token.to_string()))
}

/// An issuer that does not answer as one, with its whole chain of causes.
pub(super) fn unreachable(issuer: &Issuer, error: &dyn std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::unreachable(&issuer.url, text)
}

/// Plain http on this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.scheme() == "http" && url.host().is_some_and(|host| connect::is_loopback(&host))
    })
}

fn is_safe(url: &str) -> bool {
    url.starts_with("https://") || is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_https_or_on_this_machine() {
        for (url, safe) in [
            ("https://id.example.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost:8080/x", true),
            ("http://id.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_safe(url), safe, "{url}");
        }
    }
}
