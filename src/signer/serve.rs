//! Where a signer listens, and whom it answers.

use std::{
    collections::BTreeSet, fs, future::pending, io, os::unix::fs::PermissionsExt, path::Path,
    sync::Arc, time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    connection,
    refused::{Caller, Refusals},
    service::Service,
};

/// Connections at once. A daemon has one.
const CONNECTIONS: usize = 64;

/// The longest that a TLS handshake takes.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Opens the socket. Every user can connect; only these are answered.
///
/// # Errors
/// Returns the system's error, or that another process answers there.
pub(crate) async fn listen(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        let message = "another process answers on this socket";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Where a signer listens, and whom it answers.
#[derive(Default)]
pub(crate) struct Listeners {
    /// A Unix socket, and the users who may call there.
    pub(crate) socket: Option<(UnixListener, BTreeSet<u32>)>,
    /// A port, for callers with a certificate.
    pub(crate) tls: Option<(TcpListener, TlsAcceptor)>,
}

/// Serves until it is dropped.
pub(crate) async fn serve(service: Arc<Service>, listeners: Listeners) {
    let places = Places {
        service,
        free: Arc::new(Semaphore::new(CONNECTIONS)),
        refusals: Arc::default(),
    };
    let socket = async {
        match listeners.socket {
            Some((listener, users)) => places.serve_users(&listener, &users).await,
            None => pending().await,
        }
    };
    let tls = async {
        match listeners.tls {
            Some((listener, acceptor)) => places.serve_certified(&listener, &acceptor).await,
            None => pending().await,
        }
    };
    tokio::join!(socket, tls);
}

/// The service, and a bounded number of connections to it.
struct Places {
    service: Arc<Service>,
    free: Arc<Semaphore>,
    refusals: Arc<Refusals>,
}

impl Places {
    async fn serve_users(&self, listener: &UnixListener, users: &BTreeSet<u32>) {
        loop {
            let accepting = listener.accept().await.map(|(stream, _)| stream);
            let Some(stream) = accepted(accepting).await else {
                continue;
            };
            match stream.peer_cred().map(|credentials| credentials.uid()) {
                Ok(user) if users.contains(&user) => {}
                Ok(user) => {
                    if let Some(calls) = self.refusals.count(Caller::User(user)) {
                        tracing::warn!(user, calls, "refused: a call of another user");
                    }
                    continue;
                }
                Err(error) => {
                    if let Some(calls) = self.refusals.count(Caller::Unknown) {
                        tracing::warn!(%error, calls, "refused: a call of an unknown user");
                    }
                    continue;
                }
            }
            if let Some((service, place)) = self.take() {
                tokio::spawn(async move {
                    connection::serve(&service, stream).await;
                    drop(place);
                });
            }
        }
    }

    async fn serve_certified(&self, listener: &TcpListener, acceptor: &TlsAcceptor) {
        loop {
            let accepting = listener.accept().await.map(|(stream, _)| stream);
            let Some(stream) = accepted(accepting).await else {
                continue;
            };
            if let Some((service, place)) = self.take() {
                let (acceptor, refusals) = (acceptor.clone(), self.refusals.clone());
                tokio::spawn(async move {
                    certified(&service, stream, &acceptor, &refusals).await;
                    drop(place);
                });
            }
        }
    }

    /// The service, and room for a connection; none if there is no room.
    fn take(&self) -> Option<(Arc<Service>, OwnedSemaphorePermit)> {
        match self.free.clone().try_acquire_owned() {
            Ok(place) => Some((self.service.clone(), place)),
            Err(_) => {
                if let Some(calls) = self.refusals.count(Caller::Crowd) {
                    tracing::warn!(calls, "refused: too many connections");
                }
                None
            }
        }
    }
}

/// Serves a caller who shows a certificate.
async fn certified(
    service: &Service,
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    refusals: &Refusals,
) {
    let _ = stream.set_nodelay(true);
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(service, stream).await,
        Ok(Err(error)) => {
            if let Some(calls) = refusals.count(Caller::Uncertified) {
                tracing::warn!(%error, calls, "refused: a call without a certificate that counts");
            }
        }
        Err(_) => {
            if let Some(calls) = refusals.count(Caller::Slow) {
                tracing::warn!(calls, "refused: a slow handshake");
            }
        }
    }
}

/// The connection; none after a pause if the system has none for us.
async fn accepted<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
