//! Streams to a server that has several addresses: the one that answered last is tried first, the
//! others beside it if it does not answer soon.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rand::{RngCore, rngs::OsRng};
use rustls::{ClientConfig, version::TLS13};
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{
    address::{self, Address},
    pauses::Pauses,
};
use crate::{
    client::Error,
    outbound::{self, CertificateFingerprint, OpenError, Stream, certificate_fault},
};

/// From connecting to a finished TLS handshake.
const DIAL: Duration = Duration::from_secs(10);

/// Roots that count beside the operating system's.
pub(crate) type Roots = Vec<CertificateDer<'static>>;

/// One server, and how it is reached. Clones share the URL that answered last.
#[derive(Clone)]
pub(super) struct Dialer {
    address: Address,
    roots: Roots,
    answered: Arc<Mutex<Option<Url>>>,
}

impl Dialer {
    /// A dialer that tries `answered` first, if it is one of the address.
    pub(super) fn new(address: &Address, roots: Roots, answered: Option<Url>) -> Self {
        Self {
            address: address.clone(),
            roots,
            answered: Arc::new(Mutex::new(answered)),
        }
    }

    /// The URL that answered last.
    pub(super) fn answered(&self) -> Option<Url> {
        self.answered.lock().clone()
    }

    /// A stream to the server; with TLS, unless the address is plain http. A server that is absent
    /// is tried again for as long as `patience`.
    pub(super) async fn dial(&self, patience: Duration) -> Result<Box<dyn Stream>, Error> {
        let deadline = Instant::now() + patience;
        let mut pauses = Pauses::new();
        loop {
            match self.try_each().await {
                Err(DialError::Absent(_)) if Instant::now() < deadline => {
                    sleep(pauses.next(spread())).await;
                }
                done => return done.map_err(Into::into),
            }
        }
    }

    /// The URLs beside the one that answered last.
    pub(super) fn others(&self) -> Vec<Url> {
        let last = self.answered();
        let mut urls = self.address.urls().to_vec();
        urls.retain(|url| Some(url) != last.as_ref());
        urls
    }

    /// A stream to the first of `urls` that answers, each tried once. It is the one that answered
    /// last from now on.
    pub(super) async fn dial_any(&self, urls: Vec<Url>) -> Result<Box<dyn Stream>, Error> {
        self.race(urls).await.map_err(Into::into)
    }

    async fn try_each(&self) -> Result<Box<dyn Stream>, DialError> {
        let last = self.answered();
        let mut urls = self.address.urls().to_vec();
        urls.sort_by_key(|url| Some(url) != last.as_ref());
        self.race(urls).await
    }

    async fn race(&self, urls: Vec<Url>) -> Result<Box<dyn Stream>, DialError> {
        let attempts = urls.into_iter().map(|url| {
            let roots = self.roots.clone();
            async move {
                let stream = in_time(&url, secured(&url, &roots)).await?;
                Ok((url, stream))
            }
        });
        let (url, stream) = outbound::race(attempts).await.map_err(all)?;
        *self.answered.lock() = Some(url);
        Ok(stream)
    }
}

/// Fetches the server's certificate with this fingerprint, as PEM, from the first address that has
/// it. Nothing else is asked.
///
/// # Errors
/// Returns [`Error::Untrusted`] if the server has no such certificate, or an invalid one, and
/// [`Error::Unreachable`] if it does not answer.
pub(in crate::client) async fn recognize(
    address: &Address,
    fingerprint: CertificateFingerprint,
) -> Result<String, Error> {
    let plain = |url: &&Url| url.scheme() == "http";
    if let Some(url) = address.urls().iter().find(plain) {
        return Err(Error::Usage(format!(
            "{url} has no TLS certificate: leave --server-fingerprint out"
        )));
    }
    let attempts = address.urls().to_vec().into_iter().map(|url| async move {
        let recognized = in_time(&url, async {
            let stream = outbound::open(&url).await;
            let stream = stream.map_err(|error| Error::unreachable(url.as_str(), error))?;
            let recognized = outbound::first_contact(stream, name(&url)?, fingerprint).await;
            recognized.map_err(|error| Error::Untrusted(error.to_string()))
        });
        recognized.await
    });
    outbound::race(attempts).await.map_err(|failures| {
        let is_untrusted = |error: &Error| matches!(error, Error::Untrusted(_));
        let (mut untrusted, mut others): (Vec<_>, Vec<_>) =
            failures.into_iter().partition(is_untrusted);
        let told = untrusted.pop().or_else(|| others.pop());
        told.unwrap_or_else(|| Error::unreachable(address.as_str(), "it has no address"))
    })
}

/// A failed attempt to connect.
enum DialError {
    /// Nothing listens, or it ended the connection at once, as while a server restarts.
    Absent(Error),
    /// The next attempt would end alike.
    Lasting(Error),
}

impl DialError {
    /// The failure in `error`, if the kind of its I/O error is `kind`.
    fn of(kind: ErrorKind, error: Error) -> Self {
        match kind {
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => Self::Absent(error),
            // An enum of the standard library, with many other kinds.
            _ => Self::Lasting(error),
        }
    }
}

impl From<DialError> for Error {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Absent(error) | DialError::Lasting(error) => error,
        }
    }
}

/// The failures of all addresses as one. One that may restart is worth another attempt.
fn all(failures: Vec<DialError>) -> DialError {
    let is_absent = |it: &DialError| matches!(it, DialError::Absent(_));
    let wrap = match failures.iter().any(is_absent) {
        true => DialError::Absent,
        false => DialError::Lasting,
    };
    let mut errors: Vec<Error> = failures.into_iter().map(Into::into).collect();
    match (errors.len(), errors.pop()) {
        (1, Some(only)) => wrap(only),
        (_, last) => {
            let messages = errors.iter().chain(&last).map(ToString::to_string);
            let messages: Vec<String> = messages.collect();
            wrap(Error::Unreachable {
                reason: None,
                message: messages.join("; "),
            })
        }
    }
}

async fn in_time<T, E: From<Error>>(
    url: &Url,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = timeout(DIAL, work).await;
    done.map_err(|_| Error::unreachable(url.as_str(), "it does not answer"))?
}

impl From<Error> for DialError {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// A random number from 0 to 1.
fn spread() -> f64 {
    f64::from(OsRng.next_u32()) / f64::from(u32::MAX)
}

/// Reason why one of a name's addresses gave no stream.
enum StreamError {
    Open(OpenError),
    Tls(io::Error),
}

impl From<OpenError> for StreamError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

async fn secured(url: &Url, roots: &Roots) -> Result<Box<dyn Stream>, DialError> {
    let tls = match url.scheme() {
        "http" => None,
        _ => Some((
            TlsConnector::from(Arc::new(tls(roots.clone())?)),
            name(url)?,
        )),
    };
    let stream = outbound::open_and(url, move |stream| {
        let tls = tls.clone();
        async move {
            let Some((tls, name)) = tls else {
                return Ok(stream);
            };
            let secured = tls.connect(name, stream).await.map_err(StreamError::Tls)?;
            Ok(Box::new(secured) as Box<dyn Stream>)
        }
    });
    stream.await.map_err(|error| match error {
        StreamError::Tls(error) => DialError::of(error.kind(), refused(url, &error)),
        StreamError::Open(error) => {
            let shown = Error::unreachable(url.as_str(), &error);
            match error {
                OpenError::Network(error) => DialError::of(error.kind(), shown),
                OpenError::Proxy(_) => DialError::Lasting(shown),
            }
        }
    })
}

fn name(url: &Url) -> Result<ServerName<'static>, Error> {
    let host = address::host(url);
    ServerName::try_from(host.clone())
        .map_err(|_| Error::Usage(format!("invalid host name {host}")))
}

fn tls(roots: Roots) -> Result<ClientConfig, Error> {
    let wrong = |error: rustls::Error| Error::other(format!("failed to set up TLS: {error}"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(wrong)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(wrong)?
        // The library's word for any verifier that it is given; this is its own author's.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Names the certificate's fault: it is the one that a user can correct.
fn refused(url: &Url, error: &io::Error) -> Error {
    let Some(fault) = certificate_fault(error) else {
        return Error::unreachable(url.as_str(), error);
    };
    let by_hand = format!("daypass login --server {url} --server-fingerprint SHA256:...");
    let message = fault.explain(&format!("{by_hand} (or name its CA: --ca-file FILE)"));
    Error::unreachable(url.as_str(), message)
}
