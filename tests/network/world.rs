//! A server with a trivial service on a free loopback port, and an honest caller.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use daypass::server::{Error, Limits, Tls, accept};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct World {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub served: JoinHandle<Result<(), Error>>,
    pub inside: Inside,
}

/// What happens within the handlers of `/held` and `/read`.
#[derive(Clone)]
pub struct Inside {
    now: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
    entered: Arc<Semaphore>,
    release: Arc<Semaphore>,
}

impl Inside {
    fn new() -> Self {
        Self {
            now: Arc::default(),
            peak: Arc::default(),
            entered: Arc::new(Semaphore::new(0)),
            release: Arc::new(Semaphore::new(0)),
        }
    }

    /// The most handlers that ran at once.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    /// Waits until one more handler is inside.
    pub async fn entered(&self) {
        within(self.entered.acquire()).await.unwrap().forget();
    }

    /// Lets one handler of `/held` go on.
    pub fn release(&self) {
        self.release.add_permits(1);
    }

    fn enter(&self) -> Entered {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        self.entered.add_permits(1);
        Entered(self.now.clone())
    }
}

struct Entered(Arc<AtomicUsize>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a server over plain text.
pub async fn start(limits: Limits) -> World {
    start_with(limits, None).await
}

pub async fn start_with(limits: Limits, tls: Option<Tls>) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, inside) = (CancellationToken::new(), Inside::new());
    let (router, token) = (router(inside.clone()), stop.clone());
    let served =
        tokio::spawn(
            async move { accept::run(listener, router, limits, tls.as_ref(), token).await },
        );
    World {
        address,
        stop,
        served,
        inside,
    }
}

fn router(inside: Inside) -> Router {
    let (_, health) = tonic_health::server::health_reporter();
    let grpc = tonic::service::Routes::new(health.max_decoding_message_size(64 * 1024));
    Router::new()
        .route("/hello", get(async || "hello"))
        .route("/panic", get(boom).post(boom))
        .route("/held", get(held))
        .route("/read", post(read))
        .with_state(inside)
        .merge(grpc.into_axum_router())
}

async fn boom() -> &'static str {
    panic!("a handler's bug")
}

async fn held(State(inside): State<Inside>) -> &'static str {
    let _entered = inside.enter();
    inside.release.acquire().await.unwrap().forget();
    "held"
}

async fn read(State(inside): State<Inside>, body: axum::body::Body) -> &'static str {
    let _entered = inside.enter();
    let _ = axum::body::to_bytes(body, 64 * 1024).await;
    "read"
}

impl World {
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A caller with a fresh connection over HTTP/2, and one over HTTP/1.1: both are answered.
    pub async fn honest(&self) {
        self.attempts(1).await;
    }

    /// The same with limits so short that they may end an honest call, too, if the machine is slow:
    /// one of some attempts is answered.
    pub async fn honest_soon(&self) {
        self.attempts(10).await;
    }

    async fn attempts(&self, most: usize) {
        for is_http2 in [true, false] {
            for attempt in 1..=most {
                let said = self.hello(is_http2).await;
                if matches!(said.as_deref(), Ok("hello")) {
                    break;
                }
                assert!(attempt < most, "{said:?}");
            }
        }
    }

    async fn hello(&self, is_http2: bool) -> reqwest::Result<String> {
        let client = reqwest::Client::builder().no_proxy();
        let client = match is_http2 {
            true => client.http2_prior_knowledge(),
            false => client.http1_only(),
        };
        let call = client.build().unwrap().get(self.url("/hello")).send();
        within(async { call.await?.text().await }).await
    }

    /// Stops in order: the server says so and returns.
    pub async fn end(self) {
        self.stop.cancel();
        within(self.served).await.unwrap().unwrap();
    }
}

/// Fails instead of hanging.
pub async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("hangs")
}

/// Reads until the server closes the connection, however it does.
pub async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = within(stream.read_to_end(&mut said)).await;
    said
}
