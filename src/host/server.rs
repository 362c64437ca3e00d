//! Fetches the CA's files over HTTPS: bounded in bytes and time, without redirects. The answers are
//! unverified.

mod addresses;
mod hosts;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Certificate, Client, ClientBuilder, Response, StatusCode, header::IF_NONE_MATCH, redirect,
};
use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use url::Url;

use self::addresses::parse_all;
use super::{Error, Settings, error::InvalidAnswer};
use crate::{
    outbound::{self, CertificateFingerprint, certificate_fault, is_loopback, proxy_between},
    ssh::sshsig,
};

/// Bytes of `/ca.pub` at most.
const KEYS_LIMIT: usize = 64 * 1024;
/// Bytes of `/recovery` at most.
const RECOVERY_LIMIT: usize = crate::ledger::recovery::LONGEST;
/// Bytes of `/krl` at most.
const KRL_LIMIT: usize = 16 * 1024 * 1024;

/// The CA's plain HTTPS interface.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// One for each replica.
    urls: Vec<Url>,
    /// The number of the URL that answered last.
    answered: Arc<AtomicUsize>,
    client: Client,
    /// The same for gRPC, which is HTTP/2 and nothing else.
    grpc: Client,
    /// The `host setup` that made this host what it is, for the fault that it mends.
    setup: String,
}

/// A successful answer, unverified.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Whether the server answered 304: `body` is then the caller's own, still current copy.
    pub is_kept: bool,
    /// The whole body.
    pub body: Vec<u8>,
    /// The signature headers: several keys may have signed.
    pub signatures: Vec<String>,
    /// The server's clock, Unix seconds; none if it sent no date.
    pub date: Option<i64>,
}

impl Server {
    /// The server of the settings (`https://HOST:PORT`, or several of them separated by commas;
    /// plain http on loopback only).
    ///
    /// Trusts `roots` (PEM) and those of the operating system. `deadline` is for one request, from
    /// connecting to the last byte.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the address or the roots are invalid.
    pub(crate) fn new(
        settings: &Settings,
        roots: Option<&[u8]>,
        deadline: Duration,
    ) -> Result<Self, Error> {
        let urls = parse_all(&settings.server)?;
        let wrong = |error: reqwest::Error| {
            Error::Usage(format!("invalid file of TLS roots: {}", causes(&error)))
        };
        let client = |builder: ClientBuilder| builder.build().map_err(wrong);
        Ok(Self {
            answered: Arc::default(),
            client: client(builder(&urls, roots, deadline).map_err(wrong)?)?,
            grpc: client(
                builder(&urls, roots, deadline)
                    .map_err(wrong)?
                    .http2_prior_knowledge(),
            )?,
            setup: settings.setup_command(),
            urls,
        })
    }

    /// Fetches the certificate of the server at `address` that has this fingerprint, as PEM.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the address is invalid, [`Error::Certificate`] if the server has
    /// no such certificate, and [`Error::Unreachable`] if it does not answer.
    pub(crate) async fn recognize(
        address: &str,
        fingerprint: CertificateFingerprint,
        deadline: Duration,
    ) -> Result<String, Error> {
        let urls = parse_all(address)?;
        if let Some(url) = urls.iter().find(|url| url.scheme() == "http") {
            let why = "has no TLS certificate: leave --server-fingerprint out";
            return Err(Error::Usage(format!("{} {why}", trimmed(url))));
        }
        let attempts = urls
            .into_iter()
            .map(|url| recognize(url, fingerprint, deadline));
        outbound::race(attempts).await.map_err(most_telling)
    }

    /// Whether one of these addresses, as settings have them, is one of its.
    pub(crate) fn is_any_of(&self, addresses: &str) -> bool {
        let others = parse_all(addresses).unwrap_or_default();
        others.iter().any(|url| self.urls.contains(url))
    }

    /// The addresses, normalized.
    pub(crate) fn address(&self) -> String {
        let urls: Vec<&str> = self.urls.iter().map(trimmed).collect();
        urls.join(",")
    }

    /// Fetches the CA's public keys, `/ca.pub`.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if there is no answer in time, and [`Error::Refused`] if it
    /// is not 200 or too large.
    pub(crate) async fn ca_keys(&self) -> Result<Answer, Error> {
        self.get("/ca.pub", KEYS_LIMIT, None).await
    }

    /// Fetches the revocation list, `/krl`. The server does not send it again if it is the one in
    /// `kept`.
    ///
    /// # Errors
    /// As [`Server::ca_keys`].
    pub(crate) async fn krl(&self, kept: Option<&[u8]>) -> Result<Answer, Error> {
        self.get("/krl", KRL_LIMIT, kept).await
    }

    /// Fetches the administrators' keys, `/recovery`; none if the server is older than that.
    ///
    /// # Errors
    /// As [`Server::ca_keys`].
    pub(crate) async fn recovery(&self) -> Result<Option<Answer>, Error> {
        match self.get("/recovery", RECOVERY_LIMIT, None).await {
            Err(Error::Refused(InvalidAnswer::Status { status: 404, .. })) => Ok(None),
            answer => answer.map(Some),
        }
    }

    async fn get(
        &self,
        path: &'static str,
        limit: usize,
        kept: Option<&[u8]>,
    ) -> Result<Answer, Error> {
        let (number, mut response) = self.first_response(path, kept).await?;
        let kept = kept.filter(|_| response.status() == StatusCode::NOT_MODIFIED);
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let signatures = response.headers().get_all(sshsig::HEADER).iter();
        let signatures = signatures.filter_map(|it| it.to_str().ok().map(str::to_owned));
        let (signatures, date) = (signatures.collect(), header("date"));
        let broken = |error: reqwest::Error| match self.urls.get(number) {
            Some(url) => explain(url, &self.setup, &error),
            None => most_telling(Vec::new()),
        };
        let body = match kept {
            Some(kept) => kept.to_vec(),
            None => body(&mut response, path, limit, broken).await?,
        };
        Ok(Answer {
            is_kept: kept.is_some(),
            body,
            signatures,
            date: date.and_then(|date| {
                let date = OffsetDateTime::parse(&date, &Rfc2822).ok()?;
                Some(date.unix_timestamp())
            }),
        })
    }

    /// The answer of the first address that has one, with the number of its URL. The one that
    /// answered last is asked first.
    async fn first_response(
        &self,
        path: &'static str,
        kept: Option<&[u8]>,
    ) -> Result<(usize, Response), Error> {
        let last = self.answered.load(Ordering::Relaxed);
        let mut urls: Vec<(usize, Url)> = self.urls.iter().cloned().enumerate().collect();
        urls.sort_by_key(|(number, _)| *number != last);
        let attempts = urls.into_iter().map(|(number, url)| {
            let mut request = self.client.get(with_path(&url, path));
            if let Some(kept) = kept {
                request = request.header(IF_NONE_MATCH, tag(kept));
            }
            let (setup, is_kept) = (self.setup.clone(), kept.is_some());
            async move {
                let response = request.send().await;
                let response = response.map_err(|error| explain(&url, &setup, &error))?;
                if !(is_kept && response.status() == StatusCode::NOT_MODIFIED) {
                    check_status(&url, path, response.status())?;
                }
                Ok((number, response))
            }
        });
        let (number, response) = outbound::race(attempts).await.map_err(most_telling)?;
        self.answered.store(number, Ordering::Relaxed);
        Ok((number, response))
    }
}

/// A client for these URLs. On loopback it goes through no proxy.
fn builder(
    urls: &[Url],
    roots: Option<&[u8]>,
    deadline: Duration,
) -> reqwest::Result<ClientBuilder> {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(deadline)
        .https_only(urls.iter().all(|url| url.scheme() == "https"))
        .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")));
    let builder = match urls.iter().all(is_loopback) {
        true => builder.no_proxy(),
        false => builder,
    };
    if urls.iter().all(|url| url.scheme() == "http") {
        return Ok(builder.tls_certs_only([]));
    }
    Ok(match roots {
        Some(pem) => builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?),
        None => builder,
    })
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url
}

/// The failure to report of those of all addresses: the last one that says more than that there is
/// no answer, else all of them.
fn most_telling(mut failures: Vec<Error>) -> Error {
    let tells = |error: &Error| !matches!(error, Error::Unreachable { .. });
    if let Some(place) = failures.iter().rposition(tells) {
        return failures.swap_remove(place);
    }
    let (mut servers, mut causes) = (Vec::new(), Vec::new());
    for failure in failures {
        if let Error::Unreachable { server, cause } = failure {
            servers.push(server);
            causes.push(cause);
        }
    }
    causes.dedup();
    Error::Unreachable {
        server: servers.join(", "),
        cause: causes.join("; "),
    }
}

async fn recognize(
    url: Url,
    fingerprint: CertificateFingerprint,
    deadline: Duration,
) -> Result<String, Error> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Error::Usage(format!("invalid server address {:?}", url.as_str())))?;
    let recognized = tokio::time::timeout(deadline, async {
        let stream = outbound::open(&url).await;
        let stream = stream.map_err(|error| unreachable(&url, &error.to_string()))?;
        let recognized = outbound::first_contact(stream, name, fingerprint).await;
        recognized.map_err(|error| Error::Certificate {
            server: trimmed(&url).to_owned(),
            cause: error.to_string(),
        })
    });
    let silent = |_| unreachable(&url, "it did not answer in time");
    recognized.await.map_err(silent)?
}

fn check_status(url: &Url, path: &'static str, status: StatusCode) -> Result<(), Error> {
    if status == StatusCode::OK {
        return Ok(());
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(unreachable(url, &format!("{path}: the answer is {status}")));
    }
    let status = status.as_u16();
    Err(InvalidAnswer::Status { path, status }.into())
}

/// The error of a request; `setup` is the command that can mend a certificate's fault.
fn explain(url: &Url, setup: &str, error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return unreachable(url, "it did not answer in time");
    }
    match certificate_fault(error) {
        Some(fault) => Error::Certificate {
            cause: fault.explain(&format!(
                "{setup} --server-fingerprint SHA256:... (or name its CA: --ca-file FILE)"
            )),
            server: trimmed(url).to_owned(),
        },
        None => {
            let cause = match proxy_between(url.as_str()) {
                Some(proxy) => format!("{proxy}: {}", causes(error)),
                None => causes(error),
            };
            unreachable(url, &cause)
        }
    }
}

fn unreachable(url: &Url, cause: &str) -> Error {
    Error::Unreachable {
        server: trimmed(url).to_owned(),
        cause: cause.to_owned(),
    }
}

fn trimmed(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// The server's entity tag for these bytes (RFC 9110 section 8.8.3).
fn tag(bytes: &[u8]) -> String {
    format!(
        "\"{}\"",
        base16ct::lower::encode_string(&Sha256::digest(bytes))
    )
}

/// Reads the body, at most `limit` bytes.
async fn body(
    response: &mut Response,
    path: &'static str,
    limit: usize,
    unreachable: impl Fn(reqwest::Error) -> Error,
) -> Result<Vec<u8>, Error> {
    let too_large = InvalidAnswer::TooLarge { path, limit };
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(too_large.into());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(&unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(too_large.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause: the one to act on. reqwest's own messages only repeat the address.
fn causes(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_parsed_as_http_writes_it() {
        let date = OffsetDateTime::parse("Sun, 22 Nov 2026 16:44:29 GMT", &Rfc2822).unwrap();
        assert_eq!(date.unix_timestamp(), 1_795_365_869);
    }
}
