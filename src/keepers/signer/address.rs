//! Where a signer listens: a Unix socket, or mutual TLS.

use std::{fmt, io, path::PathBuf};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

/// A signer's address.
pub(crate) enum Address {
    /// Its socket. The signer knows this process's user by it.
    Socket(PathBuf),
    /// A port. Each side knows the other one by its certificate.
    Tls {
        /// The name in the signer's certificate.
        host: String,
        port: u16,
        connector: TlsConnector,
    },
}

/// A connection to it.
pub(super) type Stream = Box<dyn Duplex>;

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

impl Address {
    /// Opens a connection. The caller has a deadline.
    pub(super) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tls {
                host,
                port,
                connector,
            } => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(connector.connect(name, stream).await?))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tls { host, port, .. } => write!(f, "tls://{host}:{port}"),
        }
    }
}
