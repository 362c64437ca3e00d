//! Fetches the CA's files over HTTPS: bounded in bytes and time, without redirects. The answers are
//! unverified.

use std::time::Duration;

use reqwest::{Certificate, Client, Response, StatusCode, header::IF_NONE_MATCH, redirect};
use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use url::Url;

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
    url: Url,
    client: Client,
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
    /// The signature header; none if there is none.
    pub signature: Option<String>,
    /// The server's clock, Unix seconds; none if it sent no date.
    pub date: Option<i64>,
}

impl Server {
    /// The server of the settings (`https://HOST:PORT`; plain http on loopback only).
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
        let url = parse(&settings.server)?;
        let wrong = |error: reqwest::Error| {
            Error::Usage(format!("invalid file of TLS roots: {}", causes(&error)))
        };
        let is_plain = url.scheme() == "http";
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(deadline)
            .https_only(!is_plain)
            .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        if is_plain {
            builder = builder.tls_certs_only([]);
        } else if let Some(pem) = roots {
            let roots = Certificate::from_pem_bundle(pem).map_err(wrong)?;
            builder = builder.tls_certs_merge(roots);
        }
        Ok(Self {
            url,
            client: builder.build().map_err(wrong)?,
            setup: settings.setup_command(),
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
        let url = parse(address)?;
        if url.scheme() == "http" {
            let why = "has no TLS certificate: leave --server-fingerprint out";
            return Err(Error::Usage(format!("{address} {why}")));
        }
        let server = url.as_str().trim_end_matches('/').to_owned();
        let unreachable = |cause: String| {
            let server = server.clone();
            Error::Unreachable { server, cause }
        };
        let host = url.host_str().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| Error::Usage(format!("invalid server address {address:?}")))?;
        let recognized = tokio::time::timeout(deadline, async {
            let stream = outbound::open(&url).await;
            let stream = stream.map_err(|error| unreachable(error.to_string()))?;
            let recognized = outbound::first_contact(stream, name, fingerprint).await;
            recognized.map_err(|error| Error::Certificate {
                server: server.clone(),
                cause: error.to_string(),
            })
        });
        let silent = |_| unreachable("it did not answer in time".to_owned());
        recognized.await.map_err(silent)?
    }

    /// The address, normalized.
    pub(crate) fn address(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
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
        let unreachable = |error: reqwest::Error| self.explain(&error);
        let mut url = self.url.clone();
        url.set_path(path);
        let mut request = self.client.get(url);
        if let Some(kept) = kept {
            request = request.header(IF_NONE_MATCH, tag(kept));
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let kept = kept.filter(|_| response.status() == StatusCode::NOT_MODIFIED);
        if kept.is_none() {
            self.check_status(path, response.status())?;
        }
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (signature, date) = (header(sshsig::HEADER), header("date"));
        let body = match kept {
            Some(kept) => kept.to_vec(),
            None => body(&mut response, path, limit, unreachable).await?,
        };
        Ok(Answer {
            is_kept: kept.is_some(),
            body,
            signature,
            date: date.and_then(|date| {
                let date = OffsetDateTime::parse(&date, &Rfc2822).ok()?;
                Some(date.unix_timestamp())
            }),
        })
    }

    fn check_status(&self, path: &'static str, status: StatusCode) -> Result<(), Error> {
        if status == StatusCode::OK {
            return Ok(());
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.unreachable(&format!("{path}: the answer is {status}")));
        }
        let status = status.as_u16();
        Err(InvalidAnswer::Status { path, status }.into())
    }

    fn explain(&self, error: &reqwest::Error) -> Error {
        if error.is_timeout() {
            return self.unreachable("it did not answer in time");
        }
        let server = self.address().to_owned();
        match certificate_fault(error) {
            Some(fault) => Error::Certificate {
                cause: fault.explain(&format!(
                    "{} --server-fingerprint SHA256:... (or name its CA: --ca-file FILE)",
                    self.setup
                )),
                server,
            },
            None => self.unreachable(&match proxy_between(self.url.as_str()) {
                Some(proxy) => format!("{proxy}: {}", causes(error)),
                None => causes(error),
            }),
        }
    }

    fn unreachable(&self, cause: &str) -> Error {
        Error::Unreachable {
            server: self.address().to_owned(),
            cause: cause.to_owned(),
        }
    }
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

fn parse(address: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::Usage(format!("invalid server address {address:?}: {why}"));
    let full = match address.contains("://") {
        true => address.to_owned(),
        false => format!("https://{address}"),
    };
    let url = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has a user"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(wrong("plain http is for loopback only; use https")),
        _ => Err(wrong("use https://HOST:PORT")),
    }
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
    fn addresses_are_https_or_loopback_without_path_or_user() {
        for (address, expected) in [
            (
                "https://daypass.example.com:7443",
                Some("https://daypass.example.com:7443"),
            ),
            (
                "daypass.example.com:7443",
                Some("https://daypass.example.com:7443"),
            ),
            ("http://127.0.0.1:1", Some("http://127.0.0.1:1")),
            ("http://[::1]:1", Some("http://[::1]:1")),
            ("http://daypass.example.com", None),
            ("http://127.0.0.1.evil.example", None),
            ("ftp://daypass.example.com", None),
            ("https://daypass.example.com/krl", None),
            ("https://a@daypass.example.com", None),
            ("https://", None),
            ("", None),
        ] {
            let parsed = parse(address).ok();
            let parsed = parsed
                .as_ref()
                .map(|url| url.as_str().trim_end_matches('/'));
            assert_eq!(parsed, expected, "{address}");
        }
    }

    #[test]
    fn the_servers_clock_is_parsed_as_http_writes_it() {
        let date = OffsetDateTime::parse("Sun, 22 Nov 2026 16:44:29 GMT", &Rfc2822).unwrap();
        assert_eq!(date.unix_timestamp(), 1_795_365_869);
    }
}
