//! Fetches an issuer's keys over HTTPS: discovery, then the key set. Every answer is bounded in
//! bytes and time.
//!
//! Calls no URL except those in the configuration and in the discovery document of a configured
//! issuer, and follows no redirect.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use serde_json::{Map, Value};
use url::Url;

use super::{
    error::FetchError,
    json,
    key_set::{KeyRules, KeySet},
    settings::{Settings, SettingsError},
    web_url::{check_endpoint, is_loopback},
};
use crate::outbound::proxy_between;

/// Bytes of a discovery document or key set at most. Google's and Entra's have 10 KiB.
const BODY_LIMIT: usize = 256 * 1024;

/// Timeout of one request, from connecting to the last byte.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The source of one issuer's keys.
pub(super) struct Source {
    issuer: String,
    discovery: String,
    loopback: bool,
    rules: KeyRules,
    client: Client,
}

impl Source {
    /// Reads the roots. Fetches nothing.
    pub(super) fn new(settings: &Settings, timeout: Duration) -> Result<Self, SettingsError> {
        let base = settings.url.strip_suffix('/').unwrap_or(&settings.url);
        let loopback = settings.is_loopback();
        Ok(Self {
            issuer: settings.url.clone(),
            discovery: format!("{base}/.well-known/openid-configuration"),
            loopback,
            rules: KeyRules {
                algorithms: settings.algorithms.clone(),
                key_without_id: settings.key_without_id,
            },
            client: client(settings, loopback, timeout)?,
        })
    }

    /// Two requests: the discovery document, then the key set that it names.
    pub(super) async fn keys(&self) -> Result<KeySet, FetchError> {
        let discovery = self.discovery().await?;
        let keys_url = self.endpoint(&discovery, "jwks_uri")?;
        KeySet::from_members(&self.object("key set", keys_url).await?, &self.rules)
    }

    /// Fetches the discovery document, and checks that it is this issuer's.
    pub(super) async fn discovery(&self) -> Result<Map<String, Value>, FetchError> {
        let discovery = self.object("discovery document", &self.discovery).await?;
        match discovery.get("issuer").and_then(Value::as_str) {
            Some(issuer) if issuer == self.issuer => Ok(discovery),
            Some(_) | None => Err(FetchError::OtherIssuer),
        }
    }

    /// A URL that the discovery document names, checked.
    pub(super) fn endpoint<'a>(
        &self,
        discovery: &'a Map<String, Value>,
        name: &'static str,
    ) -> Result<&'a str, FetchError> {
        let refuse = |why| FetchError::Endpoint(name, why);
        let url = discovery.get(name).and_then(Value::as_str);
        let url = url.ok_or(refuse("is missing"))?;
        check_endpoint(url, self.loopback).map_err(refuse)?;
        Ok(url)
    }

    /// Sends a form to an endpoint of the issuer. Returns the status and the members of the answer,
    /// which are empty if it is no JSON object.
    pub(super) async fn post(
        &self,
        what: &'static str,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<(StatusCode, Map<String, Value>), FetchError> {
        let failed = |source| FetchError::Request {
            what: what.to_owned(),
            source,
        };
        let response = request(&self.client).send().await.map_err(failed)?;
        let status = response.status();
        let body = read(what, response).await?;
        Ok((status, json::object(&body).unwrap_or_default()))
    }

    async fn object(
        &self,
        what: &'static str,
        url: &str,
    ) -> Result<Map<String, Value>, FetchError> {
        let request = |source| FetchError::Request {
            what: match proxy_between(url) {
                Some(proxy) => format!("{what} {proxy}"),
                None => what.to_owned(),
            },
            source,
        };
        let response = self.client.get(url).send().await.map_err(request)?;
        let body = body(what, response).await?;
        json::object(&body).map_err(|source| FetchError::Json { what, source })
    }
}

/// Reads the body of an answer 200 up to the limit.
async fn body(what: &'static str, response: Response) -> Result<Vec<u8>, FetchError> {
    match response.status() {
        StatusCode::OK => read(what, response).await,
        status => Err(FetchError::Status { what, status }),
    }
}

async fn read(what: &'static str, mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    let request = |source| FetchError::Request {
        what: what.to_owned(),
        source,
    };
    while let Some(chunk) = response.chunk().await.map_err(request)? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(FetchError::TooLarge { what });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A loopback issuer needs neither roots, which a minimal container does not have, nor the
/// environment's proxy.
fn client(settings: &Settings, loopback: bool, timeout: Duration) -> Result<Client, SettingsError> {
    let certificates = |source| SettingsError::Certificates {
        issuer: settings.name.clone(),
        source,
    };
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(timeout)
        .https_only(!loopback)
        .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")));
    if loopback {
        builder = builder.no_proxy().tls_certs_only([]);
    } else if Url::parse(&settings.url).is_ok_and(|url| is_loopback(&url)) {
        builder = builder.no_proxy();
    }
    if let (false, Some(pem)) = (loopback, &settings.ca_certificates) {
        let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(certificates)?;
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().map_err(certificates)
}
