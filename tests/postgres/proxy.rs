//! A relay between Daypass and PostgreSQL that cuts a connection at the worst moment: the server
//! has committed, and its answer is lost. Or it forgets all connections, as a firewall does: they
//! do not end, and nothing arrives on them any more.

use std::{
    future::pending,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

use super::traffic::{Connection, Traffic};

/// The name of PostgreSQL's socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// The statement that commits an append.
pub(crate) const COMMIT: &[u8] = b"NOTIFY daypass_ledger; COMMIT";

pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    server: Arc<Mutex<PathBuf>>,
    cut: Arc<AtomicBool>,
    /// Of the connections that are made now. It is set when they are forgotten.
    forgotten: Arc<Mutex<Arc<AtomicBool>>>,
    traffic: Traffic,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Relays to the server whose socket is in this folder.
    pub(crate) fn start(server: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let server = Arc::new(Mutex::new(server.join(SOCKET)));
        let target = server.clone();
        let cut = Arc::new(AtomicBool::new(false));
        let armed = cut.clone();
        let traffic = Traffic::default();
        let counted = traffic.clone();
        let forgotten = Arc::<Mutex<Arc<AtomicBool>>>::default();
        let made = forgotten.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = target.lock().clone();
                let Ok(server) = UnixStream::connect(&server).await else {
                    continue;
                };
                tokio::spawn(relay(
                    client,
                    server,
                    Orders {
                        cut: armed.clone(),
                        is_cut: AtomicBool::new(false),
                        is_forgotten: made.lock().clone(),
                    },
                    Connection::new(counted.clone()),
                ));
            }
        });
        Self {
            folder,
            server,
            cut,
            forgotten,
            traffic,
            task,
        }
    }

    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// Relays new connections to another server.
    pub(crate) fn lead_to(&self, server: &Path) {
        *self.server.lock() = server.join(SOCKET);
    }

    /// Cuts the connection of the next commit after the server has done it.
    pub(crate) fn cut_after_commit(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Carries nothing more on the connections that there are, and does not end them.
    pub(crate) fn forget(&self) {
        let old = std::mem::take(&mut *self.forgotten.lock());
        old.store(true, Ordering::SeqCst);
    }

    /// What it carried.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// True if the cut was made.
    pub(crate) fn has_cut(&self) -> bool {
        !self.cut.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What becomes of one connection.
struct Orders {
    /// To be cut at the next commit of any connection.
    cut: Arc<AtomicBool>,
    /// This one is cut.
    is_cut: AtomicBool,
    is_forgotten: Arc<AtomicBool>,
}

impl Orders {
    /// Never ends once the connection is forgotten.
    async fn expect_known(&self) {
        if self.is_forgotten.load(Ordering::SeqCst) {
            pending().await
        }
    }
}

/// Relays in both directions until one of them ends.
async fn relay(client: UnixStream, server: UnixStream, orders: Orders, messages: Connection) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = answers(from_server, to_client, &orders) => (),
        _ = questions(from_client, to_server, &orders, messages) => (),
    }
}

/// Ends without passing the answer on once the connection is to be cut.
async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    orders: &Orders,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = server.read(&mut buffer).await?;
        orders.expect_known().await;
        if count == 0 || orders.is_cut.load(Ordering::SeqCst) {
            return Ok(());
        }
        client.write_all(&buffer[..count]).await?;
    }
}

async fn questions(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    orders: &Orders,
    mut messages: Connection,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = client.read(&mut buffer).await?;
        orders.expect_known().await;
        if count == 0 {
            return Ok(());
        }
        messages.take(&buffer[..count]);
        let mut texts = buffer[..count].windows(COMMIT.len());
        if texts.any(|text| text == COMMIT) && orders.cut.swap(false, Ordering::SeqCst) {
            orders.is_cut.store(true, Ordering::SeqCst);
        }
        server.write_all(&buffer[..count]).await?;
    }
}
