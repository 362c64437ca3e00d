//! A stream of bytes to a server: a TCP connection, or a tunnel through the environment's proxy.

use std::{io, sync::Arc};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::proxy::{Proxy, ProxyError};

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

/// Connects to the host and port of a URL. The caller sets a time limit.
///
/// # Errors
/// Returns the error of the network, or the proxy's.
pub(crate) async fn open(url: &Url) -> Result<Box<dyn Stream>, OpenError> {
    let Some(proxy) = Proxy::of(url)? else {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or(443);
        return Ok(Box::new(connect(host, port).await?));
    };
    let (host, port) = proxy.host_and_port();
    let stream = connect(&host, port).await;
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

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
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
