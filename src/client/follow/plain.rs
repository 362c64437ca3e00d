//! Fetches a server's public documents over HTTPS: bounded in bytes and time, without redirects.
//! The answers are unverified. An error is a sentence about the server.

use std::{error, time::Duration};

use reqwest::{Certificate, Client, StatusCode, redirect};
use url::Url;

use crate::{
    client::{
        Error,
        connect::{Address, Roots},
    },
    ledger::{
        handover::{self, PublishedKeys},
        recovery::{self, Recovery},
        tile::Tile,
    },
    outbound::{certificate_fault, is_loopback},
};

/// From connecting to the last byte of an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a checkpoint at most.
const CHECKPOINT: usize = 64 * 1024;

/// Bytes of a tile at most: 256 hashes.
const TILE: usize = 256 * 32;

/// The plain HTTPS side of one server.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    url: Url,
    address: String,
    client: Client,
}

impl Plain {
    /// Trusts `roots`, and those of the operating system.
    pub(super) fn new(address: &Address, roots: &Roots) -> Result<Self, Error> {
        let invalid = |why: &dyn error::Error| Error::Usage(format!("{}: {why}", address.as_str()));
        let url = Url::parse(address.as_str()).map_err(|why| invalid(&why))?;
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .https_only(url.scheme() != "http")
            .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        builder = match url.scheme() {
            "http" => builder.tls_certs_only([]),
            _ => {
                let roots = roots.iter().map(|root| Certificate::from_der(root));
                let roots: Vec<_> = roots.collect::<Result<_, _>>().map_err(|it| invalid(&it))?;
                builder.tls_certs_merge(roots)
            }
        };
        Ok(Self {
            address: url.as_str().trim_end_matches('/').to_owned(),
            client: builder.build().map_err(|why| invalid(&why))?,
            url,
        })
    }

    /// The address, as it is shown and recorded.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The signed head, `/checkpoint`.
    pub(super) async fn checkpoint(&self) -> Result<String, String> {
        let bytes = self.expect("/checkpoint", CHECKPOINT).await?;
        String::from_utf8(bytes).map_err(|_| "/checkpoint: the answer is not text".to_owned())
    }

    /// A tile of hashes.
    pub(super) async fn tile(&self, tile: Tile) -> Result<Vec<u8>, String> {
        self.expect(&format!("/tile/{tile}"), TILE).await
    }

    /// The administrators' keys, and whether the ledger was restored; none if the server is older
    /// than that.
    pub(super) async fn recovery(&self) -> Result<Option<Recovery>, String> {
        let Some(bytes) = self.get("/recovery", recovery::LONGEST).await? else {
            return Ok(None);
        };
        let recovery = Recovery::parse(&bytes);
        recovery
            .map(Some)
            .map_err(|error| format!("/recovery: {error}"))
    }

    /// The ledger's keys; none if the server is older than handovers.
    pub(super) async fn ledger_keys(&self) -> Result<Option<PublishedKeys>, String> {
        let Some(bytes) = self.get("/ledger-keys", handover::LONGEST).await? else {
            return Ok(None);
        };
        let keys = serde_json::from_slice(&bytes);
        keys.map(Some)
            .map_err(|error| format!("/ledger-keys: {error}"))
    }

    async fn expect(&self, path: &str, limit: usize) -> Result<Vec<u8>, String> {
        let answer = self.get(path, limit).await?;
        answer.ok_or_else(|| format!("{path}: the server does not have it (404)"))
    }

    /// The body of an answer; none if it is 404.
    async fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, String> {
        let mut url = self.url.clone();
        url.set_path(path);
        let sent = self.client.get(url).send().await;
        let mut response = sent.map_err(|error| explain(&error))?;
        match response.status() {
            StatusCode::OK => (),
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("{path}: the answer is {status}")),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(format!("{path}: the answer has more than {limit} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }
}

fn explain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    if let Some(fault) = certificate_fault(error) {
        return fault.explain("name its CA with --ca-file FILE");
    }
    // The innermost cause is the one to act on.
    let mut deepest: &dyn error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
