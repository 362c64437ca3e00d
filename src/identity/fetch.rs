//! Fetches an issuer's keys over HTTPS: discovery, then the key set. Every answer is bounded in
//! bytes and time.
//!
//! Calls no URL except those in the configuration and in the discovery document of a configured
//! issuer, and follows no redirect.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, redirect};
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
        let discovery = self.object("discovery document", &self.discovery).await?;
        let keys_url = self.keys_url(&discovery)?;
        KeySet::from_members(&self.object("key set", keys_url).await?, &self.rules)
    }

    fn keys_url<'a>(&self, discovery: &'a Map<String, Value>) -> Result<&'a str, FetchError> {
        let text = |name: &str| discovery.get(name).and_then(Value::as_str);
        if text("issuer") != Some(&self.issuer) {
            return Err(FetchError::OtherIssuer);
        }
        let url = text("jwks_uri").ok_or(FetchError::KeysUrl("is missing"))?;
        check_endpoint(url, self.loopback).map_err(FetchError::KeysUrl)?;
        Ok(url)
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

/// Reads a body up to the limit.
async fn body(what: &'static str, mut response: Response) -> Result<Vec<u8>, FetchError> {
    if response.status() != StatusCode::OK {
        let status = response.status();
        return Err(FetchError::Status { what, status });
    }
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
