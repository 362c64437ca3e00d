//! The connection to the server: its address, TLS by rustls, deadlines.

mod link;
mod pauses;

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use rand::{RngCore, rngs::OsRng};
use rustls::{ClientConfig, version::TLS13};
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;
use tower::service_fn;
use url::{Host, Url};

use self::{link::Link, pauses::Pauses};
use super::Error;
use crate::{
    identity::web_url,
    outbound::{self, CertificateFingerprint, OpenError, Stream, certificate_fault},
    proto::v1::{
        admin_client::AdminClient, ledger_client::LedgerClient, passes_client::PassesClient,
        requests_client::RequestsClient, trust_client::TrustClient,
    },
};

/// From connecting to a finished TLS handshake.
const DIAL: Duration = Duration::from_secs(10);
/// For one call.
const CALL: Duration = Duration::from_secs(30);
/// Time for which a server that refuses connections is tried again: it may restart just now. One
/// that is down is reported soon.
const ABSENT: Duration = Duration::from_secs(4);
/// The same for a server that answered this command a moment ago.
const RESTART: Duration = Duration::from_secs(8);

/// A server's address: `https://HOST[:PORT]`, or `http://` on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Parses an address; a bare `HOST[:PORT]` means `https://`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if it has a path or a user, or is plain http to another machine.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |why: &str| Error::Usage(format!("invalid server address {text:?}: {why}"));
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = Url::parse(&full).map_err(|error| invalid(&error.to_string()))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it has a path"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it has a user"));
        }
        match url.scheme() {
            "https" if url.has_host() => Ok(Self(url)),
            "http" if web_url::is_loopback(&url) => Ok(Self(url)),
            "http" => Err(invalid("plain http is for loopback only; use https")),
            _ => Err(invalid("use https://HOST:PORT")),
        }
    }

    /// The URL, as the session keeps it.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host to connect to; an IPv6 address without brackets.
    pub(crate) fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        }
    }

    fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// The name of the folder with what is remembered of this server.
    pub(super) fn folder(&self) -> String {
        format!("{}_{}", self.host().replace(':', "-"), self.port())
    }
}

/// Roots that count beside the operating system's.
pub(crate) type Roots = Vec<CertificateDer<'static>>;

/// A connection to one server.
#[derive(Clone, Debug)]
pub struct Server {
    link: Link,
    /// The address it was made to.
    pub address: Address,
}

impl Server {
    /// Connects. Trusts `roots`, and those of the operating system.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`], which says whether the network or the certificate failed.
    pub(crate) async fn connect(address: &Address, roots: Roots) -> Result<Self, Error> {
        Ok(Self {
            link: dial(address, roots).await?,
            address: address.clone(),
        })
    }

    /// The `ServerInfo` service.
    pub(crate) fn trust_service(&self) -> TrustClient<Link> {
        TrustClient::new(self.link.clone())
    }

    /// The `Passes` service.
    pub(crate) fn passes(&self) -> PassesClient<Link> {
        PassesClient::new(self.link.clone())
    }

    /// The `Admin` service.
    pub(crate) fn admin(&self) -> AdminClient<Link> {
        AdminClient::new(self.link.clone())
    }

    /// The `Requests` service.
    pub(crate) fn requests(&self) -> RequestsClient<Link> {
        RequestsClient::new(self.link.clone())
    }

    /// The `Ledger` service.
    pub(crate) fn ledger(&self) -> LedgerClient<Link> {
        LedgerClient::new(self.link.clone())
    }
}

/// Fetches the server's certificate with this fingerprint, as PEM. Nothing else is asked.
///
/// # Errors
/// Returns [`Error::Untrusted`] if the server has no such certificate, or an invalid one, and
/// [`Error::Unreachable`] if it does not answer.
pub(crate) async fn recognize(
    address: &Address,
    fingerprint: CertificateFingerprint,
) -> Result<String, Error> {
    if address.0.scheme() == "http" {
        return Err(Error::Usage(format!(
            "{} has no TLS certificate: leave --server-fingerprint out",
            address.as_str()
        )));
    }
    in_time(address, async {
        let stream = stream(address).await?;
        let recognized = outbound::first_contact(stream, name(address)?, fingerprint).await;
        recognized.map_err(|error| Error::Untrusted(error.to_string()))
    })
    .await
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

async fn in_time<T, E: From<DialError>>(
    address: &Address,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let silent = |_| Error::unreachable(address.as_str(), "it does not answer");
    let done = timeout(DIAL, work).await;
    done.map_err(|late| DialError::Lasting(silent(late)))?
}

/// Dials now, so that errors are reported in our words. When that connection has ended, as when the
/// server restarts between two calls of a command, the next call dials again.
async fn dial(address: &Address, roots: Roots) -> Result<Link, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::unreachable(address.as_str(), error);
    // tonic refuses https without its own TLS; the origin carries the real address.
    let origin = address.as_str().parse::<http::Uri>();
    let endpoint = Endpoint::from_static("http://daypass.invalid")
        .origin(origin.map_err(|error| broken(&error))?)
        .timeout(CALL);
    let mut first = Some(secured(address, &roots, ABSENT).await?);
    let again = address.clone();
    let connector = service_fn(move |_: http::Uri| {
        let (first, address, roots) = (first.take(), again.clone(), roots.clone());
        async move {
            let stream = match first {
                Some(stream) => Ok(stream),
                None => secured(&address, &roots, RESTART).await,
            };
            stream.map(TokioIo::new).map_err(io::Error::other)
        }
    });
    let channel = endpoint.connect_with_connector(connector).await;
    Ok(Link::new(channel.map_err(|error| broken(&error))?))
}

/// A stream to the server; with TLS, unless the address is plain http. A server that is absent is
/// tried again for as long as `patience`.
async fn secured(
    address: &Address,
    roots: &Roots,
    patience: Duration,
) -> Result<Box<dyn Stream>, Error> {
    let deadline = Instant::now() + patience;
    let mut pauses = Pauses::new();
    loop {
        match in_time(address, attempt(address, roots)).await {
            Err(DialError::Absent(_)) if Instant::now() < deadline => {
                sleep(pauses.next(spread())).await;
            }
            done => return done.map_err(Into::into),
        }
    }
}

/// A random number from 0 to 1.
fn spread() -> f64 {
    f64::from(OsRng.next_u32()) / f64::from(u32::MAX)
}

async fn attempt(address: &Address, roots: &Roots) -> Result<Box<dyn Stream>, DialError> {
    let stream = stream(address).await?;
    if address.0.scheme() == "http" {
        return Ok(stream);
    }
    let tls = tls(roots.clone()).map_err(DialError::Lasting)?;
    let name = name(address).map_err(DialError::Lasting)?;
    match TlsConnector::from(Arc::new(tls))
        .connect(name, stream)
        .await
    {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(DialError::of(error.kind(), refused(address, &error))),
    }
}

async fn stream(address: &Address) -> Result<Box<dyn Stream>, DialError> {
    outbound::open(&address.0).await.map_err(|error| {
        let shown = Error::unreachable(address.as_str(), &error);
        match error {
            OpenError::Network(error) => DialError::of(error.kind(), shown),
            OpenError::Proxy(_) => DialError::Lasting(shown),
        }
    })
}

fn name(address: &Address) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(address.host())
        .map_err(|_| Error::Usage(format!("invalid host name {}", address.host())))
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
fn refused(address: &Address, error: &io::Error) -> Error {
    let Some(fault) = certificate_fault(error) else {
        return Error::unreachable(address.as_str(), error);
    };
    let server = address.as_str();
    let by_hand = format!("daypass login --server {server} --server-fingerprint SHA256:...");
    let message = fault.explain(&format!("{by_hand} (or name its CA: --ca-file FILE)"));
    Error::unreachable(server, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_or_loopback() {
        let cases = [
            (
                "https://daypass.example.com:7443",
                Some("https://daypass.example.com:7443/"),
            ),
            (
                "daypass.example.com:7443",
                Some("https://daypass.example.com:7443/"),
            ),
            (
                "https://DAYPASS.example.com",
                Some("https://daypass.example.com/"),
            ),
            ("http://127.0.0.1:7443", Some("http://127.0.0.1:7443/")),
            ("http://[::1]:7443", Some("http://[::1]:7443/")),
            ("http://localhost:7443/", Some("http://localhost:7443/")),
            ("http://daypass.example.com", None),
            ("http://localhost.example.com", None),
            ("https://u:p@daypass.example.com", None),
            ("https://daypass.example.com/x", None),
            ("ftp://daypass.example.com", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = Address::parse(text);
            assert_eq!(
                parsed.as_ref().ok().map(Address::as_str),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn an_ipv6_host_has_no_brackets_and_a_folder_name_no_colon() {
        let address = Address::parse("https://[::1]:7443").unwrap();
        assert_eq!(address.host(), "::1");
        assert_eq!(address.folder(), "--1_7443");
    }

    #[tokio::test]
    async fn a_server_that_ends_every_connection_gets_few_of_them() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::parse(&format!("https://127.0.0.1:{port}")).unwrap();
        let dialing = tokio::spawn(async move { Server::connect(&address, Vec::new()).await });
        let mut taken = 0;
        while !dialing.is_finished() {
            // The longest pause is shorter.
            let next = timeout(Duration::from_secs(1), listener.accept()).await;
            taken += usize::from(next.is_ok());
        }
        assert_eq!(dialing.await.unwrap().unwrap_err().exit_code(), 6);
        assert!((2..=36).contains(&taken), "{taken} connections");
    }

    #[tokio::test]
    async fn a_port_without_a_listener_is_unreachable() {
        // Bound, so that no other program listens there; refused, because it does not listen.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let address = Address::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let error = Server::connect(&address, Vec::new()).await.unwrap_err();
        assert_eq!(error.exit_code(), 6);
    }
}
