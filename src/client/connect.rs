//! The connection to the server: its address, TLS by rustls, deadlines.

use std::{path::Path, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, version::TLS13};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use url::{Host, Url};

use super::Error;
use crate::{
    identity::web_url,
    proto::v1::{
        admin_client::AdminClient, ledger_client::LedgerClient, passes_client::PassesClient,
        requests_client::RequestsClient, trust_client::TrustClient,
    },
};

/// From connecting to a finished TLS handshake.
const DIAL: Duration = Duration::from_secs(10);
/// For one call.
const CALL: Duration = Duration::from_secs(30);

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

/// A connection to one server.
#[derive(Clone, Debug)]
pub struct Server {
    channel: Channel,
    /// The address it was made to.
    pub address: Address,
}

impl Server {
    /// Connects. Trusts the roots in the PEM file `ca_file`; without one, the operating system's.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`], which says whether the network or the certificate failed,
    /// and [`Error::Usage`] if `ca_file` is not a PEM file of certificates.
    pub(crate) async fn connect(address: &Address, ca_file: Option<&Path>) -> Result<Self, Error> {
        let unreachable = |cause: String| Error::unreachable(address.as_str(), cause);
        let dialled = tokio::time::timeout(DIAL, dial(address, ca_file)).await;
        let channel = dialled.map_err(|_| unreachable("it does not answer".to_owned()))??;
        Ok(Self {
            channel,
            address: address.clone(),
        })
    }

    /// The `ServerInfo` service.
    pub(crate) fn trust_service(&self) -> TrustClient<Channel> {
        TrustClient::new(self.channel.clone())
    }

    /// The `Passes` service.
    pub(crate) fn passes(&self) -> PassesClient<Channel> {
        PassesClient::new(self.channel.clone())
    }

    /// The `Admin` service.
    pub(crate) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }

    /// The `Requests` service.
    pub(crate) fn requests(&self) -> RequestsClient<Channel> {
        RequestsClient::new(self.channel.clone())
    }

    /// The `Ledger` service.
    pub(crate) fn ledger(&self) -> LedgerClient<Channel> {
        LedgerClient::new(self.channel.clone())
    }
}

async fn dial(address: &Address, ca_file: Option<&Path>) -> Result<Channel, Error> {
    let host = address.host();
    let unreachable = |error: std::io::Error| Error::unreachable(address.as_str(), explain(&error));
    let stream = TcpStream::connect((host.as_str(), address.port()))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    if address.0.scheme() == "http" {
        return over(stream, address).await;
    }
    let name = ServerName::try_from(host)
        .map_err(|_| Error::Usage(format!("invalid host name {}", address.host())))?;
    let tls = TlsConnector::from(Arc::new(tls(ca_file)?));
    over(
        tls.connect(name, stream).await.map_err(unreachable)?,
        address,
    )
    .await
}

/// HTTP/2 over a stream that is connected already: its errors were reported in our words.
async fn over<S>(stream: S, address: &Address) -> Result<Channel, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: &dyn std::fmt::Display| Error::unreachable(address.as_str(), error);
    // tonic refuses https without its own TLS; the origin carries the real address.
    let origin = address
        .as_str()
        .parse::<http::Uri>()
        .map_err(|error| broken(&error))?;
    let endpoint = Endpoint::from_static("http://daypass.invalid")
        .origin(origin)
        .timeout(CALL);
    let mut stream = Some(TokioIo::new(stream));
    let once = service_fn(move |_: http::Uri| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| std::io::Error::other("the connection was closed")) }
    });
    endpoint
        .connect_with_connector(once)
        .await
        .map_err(|error| broken(&error))
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let wrong = |error: rustls::Error| Error::other(format!("failed to set up TLS: {error}"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(wrong)?;
    let mut config = match ca_file {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder.with_platform_verifier().map_err(wrong)?,
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let wrong = |why: String| {
        Error::Usage(format!(
            "{} (DAYPASS_CA_FILE) is not a PEM file of certificates: {why}",
            path.display()
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("it has none".to_owned()));
    }
    Ok(roots)
}

/// Names the certificate's fault: it is the one that a user can correct.
fn explain(error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(fault)) => format!(
            "its TLS certificate is not trusted ({fault}); DAYPASS_CA_FILE or --ca-file names the CA of a private one"
        ),
        _ => error.to_string(),
    }
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
    async fn a_port_without_a_listener_is_unreachable() {
        // Bound, so that no other program listens there; refused, because it does not listen.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let address = Address::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let error = Server::connect(&address, None).await.unwrap_err();
        assert_eq!(error.exit_code(), 6);
    }
}
