//! A stream of bytes to a server: a TCP connection, or a tunnel through the environment's proxy.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{
    proxy::{Proxy, ProxyError},
    race,
};

/// A connected stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Reason why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The server, or its name, is not found, or does not listen.
    #[error("{0}")]
    Network(#[from] io::Error),
    /// The proxy is at fault.
    #[error("{0}")]
    Proxy(#[from] ProxyError),
}

/// Addresses of one name that are tried.
const ADDRESSES: usize = 16;

/// Connects to the host and port of a URL. The caller sets a time limit.
///
/// # Errors
/// Returns the error of the network, or the proxy's.
pub(crate) async fn open(url: &Url) -> Result<Box<dyn Stream>, OpenError> {
    open_and(url, |stream| async { Ok(stream) }).await
}

/// Connects to the host and port of a URL, and goes on with `then`. If the host's name has several
/// addresses, one at which `then` succeeds is found. The caller sets a time limit.
///
/// # Errors
/// Returns the error of the network, the proxy's, or that of `then`. Of several addresses it is the
/// last failure: a certificate's fault comes later than a refused connection, and says more.
pub(crate) async fn open_and<T, E, F>(
    url: &Url,
    then: impl Fn(Box<dyn Stream>) -> F + Clone + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<OpenError> + Send + 'static,
    F: Future<Output = Result<T, E>> + Send,
{
    let Some(proxy) = Proxy::of(url).map_err(OpenError::from)? else {
        let addresses = addresses(url).await.map_err(OpenError::from)?;
        let attempts = addresses.into_iter().map(|address| {
            let then = then.clone();
            async move {
                let stream = TcpStream::connect(address).await;
                let stream = stream.and_then(without_delay).map_err(OpenError::from)?;
                then(Box::new(stream)).await
            }
        });
        return race(attempts).await.map_err(|failures| {
            let last = failures.into_iter().last();
            last.unwrap_or_else(|| OpenError::from(no_address()).into())
        });
    };
    then(tunnel(&proxy, url).await?).await
}

/// The addresses of the host of a URL, in the operating system's order.
async fn addresses(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(443);
    Ok(lookup_host((host, port)).await?.take(ADDRESSES).collect())
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

async fn tunnel(proxy: &Proxy, url: &Url) -> Result<Box<dyn Stream>, OpenError> {
    let (host, port) = proxy.host_and_port();
    let stream = TcpStream::connect((&*host, port)).await;
    let stream = stream.and_then(without_delay);
    let stream = stream.map_err(|error| proxy.unreachable(error))?;
    let mut stream: Box<dyn Stream> = match proxy.is_tls() {
        false => Box::new(stream),
        true => Box::new(
            to_proxy(&host, stream)
                .await
                .map_err(|error| proxy.unreachable(error))?,
        ),
    };
    proxy.tunnel(&mut stream, url).await?;
    Ok(stream)
}

fn without_delay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS to the proxy itself, by the operating system's roots.
async fn to_proxy(host: &str, stream: TcpStream) -> io::Result<impl Stream + 'static> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(io::Error::other)?
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}
