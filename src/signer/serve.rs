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
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    connection,
    refused::{Caller, Refusals},
    service::Service,
};

/// Connections at once at the socket, and as many over TLS. A daemon has one.
const CONNECTIONS: usize = 64;

/// TLS handshakes at once. Every caller of the network can begin one, so they have places of their
/// own: a crowd keeps out neither the users of the socket nor who has shown a certificate.
const HANDSHAKES: usize = 64;

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
        socket: Arc::new(Semaphore::new(CONNECTIONS)),
        certified: Arc::new(Semaphore::new(CONNECTIONS)),
        handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
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
    socket: Arc<Semaphore>,
    certified: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
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
            if let Some(place) = take(&self.socket, &self.refusals) {
                let service = self.service.clone();
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
            if let Some(handshake) = take(&self.handshakes, &self.refusals) {
                let (acceptor, refusals) = (acceptor.clone(), self.refusals.clone());
                let (service, places) = (self.service.clone(), self.certified.clone());
                tokio::spawn(async move {
                    let stream = certified(stream, &acceptor, &refusals).await;
                    drop(handshake);
                    if let Some(stream) = stream
                        && let Some(place) = take(&places, &refusals)
                    {
                        connection::serve(&service, stream).await;
                        drop(place);
                    }
                });
            }
        }
    }
}

/// Room for one more; none if there is no room.
fn take(places: &Arc<Semaphore>, refusals: &Refusals) -> Option<OwnedSemaphorePermit> {
    match places.clone().try_acquire_owned() {
        Ok(place) => Some(place),
        Err(_) => {
            if let Some(calls) = refusals.count(Caller::Crowd) {
                tracing::warn!(calls, "refused: too many connections");
            }
            None
        }
    }
}

/// The connection of a caller who shows a certificate.
async fn certified(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    refusals: &Refusals,
) -> Option<TlsStream<TcpStream>> {
    let _ = stream.set_nodelay(true);
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
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
    None
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
