//! TLS connections to the daemon from a loopback address of the test's choice, and HTTP/2 on them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    body::{Body, Frame},
    client::conn::http2,
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where the daemon is, and how to trust it.
#[derive(Clone)]
pub struct Network {
    server: SocketAddr,
    tls: TlsConnector,
}

/// An HTTP/2 connection. Dropping it closes it and its streams.
pub struct Connection {
    pub requests: http2::SendRequest<Part>,
    pub driver: JoinHandle<hyper::Result<()>>,
    tasks: Tasks,
}

/// What hyper does beside the driver; a body that never ends would keep its connection open.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let future = async {
            let _ = future.await;
        };
        self.0.lock().spawn(future);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
        self.tasks.0.lock().abort_all();
    }
}

impl Network {
    pub fn new(url: &str, ca: &str) -> Self {
        let port = url::Url::parse(url).unwrap().port().unwrap();
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            server: ([127, 0, 0, 1], port).into(),
            tls: Arc::new(config).into(),
        }
    }

    pub async fn connect(&self, from: Ipv4Addr) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(self.server).await?;
        let name = ServerName::try_from("localhost").unwrap();
        self.tls.connect(name, stream).await
    }

    /// HTTP/2; the peer may send `window` bytes of each answer ahead of what is read.
    pub async fn http2(&self, from: Ipv4Addr, window: u32) -> io::Result<Connection> {
        let stream = TokioIo::new(self.connect(from).await?);
        let tasks = Tasks::default();
        let mut builder = http2::Builder::new(tasks.clone());
        builder.initial_stream_window_size(window);
        let shaken = builder.handshake(stream).await.map_err(io::Error::other);
        let (requests, connection) = shaken?;
        Ok(Connection {
            requests,
            driver: tokio::spawn(connection),
            tasks,
        })
    }
}

/// A body that says what it has and then ends, or never does.
pub struct Part {
    chunks: VecDeque<Bytes>,
    is_whole: bool,
}

impl Part {
    pub fn new(message: &[u8], is_whole: bool) -> Self {
        Self {
            chunks: message.chunks(16_000).map(Bytes::copy_from_slice).collect(),
            is_whole,
        }
    }
}

impl Body for Part {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.chunks.pop_front() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None if self.is_whole => Poll::Ready(None),
            // Never woken: its connection's end drops it.
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole && self.chunks.is_empty()
    }
}
