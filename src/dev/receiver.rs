//! A real receiver of webhooks on loopback. It serves `daypass dev` and every test that needs one,
//! and can misbehave as receivers do ([`Behaviour`]).

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    serve::Listener,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rand::{RngCore, rngs::OsRng};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch, task::JoinSet};

use super::{Error, http::Server};
use crate::{notify::signature::Secret, ticks::ticks, unix_seconds::UnixSeconds};

/// More than any delivery.
const BODY_LIMIT: usize = 1024 * 1024;

/// Answers to deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// 204.
    #[default]
    Normal,
    /// This status.
    Status(u16),
    /// No answer until the behaviour changes: then 204 if that is normal, else 503.
    Hang,
    /// A redirect to this URL, with this status.
    Redirect(u16, String),
    /// 200, and 10 MB with it.
    Huge,
    /// The beginning of an answer, one byte at a time.
    Drip,
}

/// One delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `webhook-id`.
    pub id: String,
    /// Every header, by its name.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The body as JSON; null if it is not JSON.
    pub json: Value,
    /// True if the signature is by the secret that this receiver shares.
    pub is_signed: bool,
    /// True if it was answered with a 2xx.
    pub is_taken: bool,
}

/// A running receiver. Dropping it closes its port and its connections.
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    secret: String,
    _server: Server,
}

struct Shared {
    secret: Secret,
    behaviour: watch::Sender<Behaviour>,
    deliveries: watch::Sender<Vec<Delivery>>,
    connections: AtomicUsize,
}

/// A fresh secret in the form of Standard Webhooks.
pub(crate) fn fresh_secret() -> String {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    format!("whsec_{}", STANDARD.encode(bytes))
}

impl Receiver {
    /// Starts a receiver on a free loopback port, with a fresh secret.
    ///
    /// # Errors
    /// Returns an error if no port is free.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| Error::System("open a port", error))?;
        Self::start_on(listener, &fresh_secret()).await
    }

    /// Starts a receiver on `listener` that shares `secret`.
    ///
    /// # Errors
    /// Returns an error if the listener is unusable or the secret is invalid.
    pub(crate) async fn start_on(listener: TcpListener, secret: &str) -> Result<Self, Error> {
        let system = |error| Error::System("listen for webhooks", error);
        listener.set_nonblocking(true).map_err(system)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(system)?;
        let address = listener.local_addr().map_err(system)?;
        let shared = Arc::new(Shared {
            secret: Secret::parse(secret).map_err(|_| Error::Key("webhook"))?,
            behaviour: watch::Sender::new(Behaviour::Normal),
            deliveries: watch::Sender::new(Vec::new()),
            connections: AtomicUsize::new(0),
        });
        let connections = Connections {
            listener,
            shared: shared.clone(),
            dripping: JoinSet::new(),
        };
        let router = Router::new()
            .fallback(receive)
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(shared.clone());
        Ok(Self {
            shared,
            address,
            secret: secret.to_owned(),
            _server: Server::start(connections, router),
        })
    }

    /// The URL for deliveries.
    pub fn url(&self) -> String {
        format!("http://{}/webhook", self.address)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The secret that it shares.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Changes how deliveries are answered, also those that hang.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.behaviour.send_replace(behaviour);
    }

    /// All deliveries, refused or taken, in order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.borrow().clone()
    }

    /// The number of connections that were opened.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until `is_enough` holds of all deliveries, and returns them.
    pub async fn until(&self, is_enough: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let mut deliveries = self.shared.deliveries.subscribe();
        match deliveries.wait_for(|all| is_enough(all)).await {
            Ok(all) => all.clone(),
            Err(_) => Vec::new(),
        }
    }
}

impl Delivery {
    /// `type` of the JSON.
    pub fn kind(&self) -> &str {
        self.text("/type").unwrap_or_default()
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer).and_then(Value::as_str)
    }

    /// `webhook  requested  bob@example.com asks for prod on web-1: INC-4711`
    pub(crate) fn line(&self) -> String {
        let text = |name: &str| self.text(&format!("/data/{name}")).unwrap_or_default();
        let value = |name: &str| self.json.pointer(name).unwrap_or(&Value::Null);
        let who = self.text("/data/who/label").unwrap_or("(unnamed)");
        let what = match self.kind() {
            "requested" => "asks for".to_owned(),
            "emergency" => "has an emergency pass for".to_owned(),
            "page" => "is about to get an emergency pass for".to_owned(),
            "revoked" | "locked" | "unlocked" => {
                format!("{} {}", self.kind(), target(value("/data/target")))
            }
            kind => format!("{kind} request {} for", value("/data/id")),
        };
        let mut line = format!("webhook  {}  {who} {what}", self.kind());
        for (before, text) in [
            (" ", text("role")),
            (" on ", text("host")),
            (": ", text("reason")),
            (": ", text("comment")),
        ] {
            if !text.is_empty() {
                line.push_str(before);
                line.push_str(text);
            }
        }
        if !self.is_signed {
            line.push_str("  (BAD SIGNATURE)");
        }
        line
    }
}

fn target(target: &Value) -> String {
    let members = target.as_object().into_iter().flatten();
    let words = members.map(|(kind, value)| {
        let seconds = value.as_u64().filter(|_| kind == "before");
        let time = seconds.and_then(|seconds| UnixSeconds(seconds).rfc3339());
        match time.as_deref().or(value.as_str()) {
            Some(text) => format!("{kind} {text}"),
            None => format!("{kind} {value}"),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Counts the connections, and keeps those to itself that get [`Behaviour::Drip`].
struct Connections {
    listener: tokio::net::TcpListener,
    shared: Arc<Shared>,
    dripping: JoinSet<()>,
}

impl Listener for Connections {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            self.shared.connections.fetch_add(1, Ordering::SeqCst);
            let drips = *self.shared.behaviour.borrow() == Behaviour::Drip;
            if !drips {
                return (stream, address);
            }
            self.dripping.spawn(drip(stream));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Writes a header that never ends.
async fn drip(mut stream: TcpStream) {
    let mut text = "HTTP/1.1 200 OK\r\nx-drip: ".bytes();
    let mut ticks = ticks(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let byte = text.next().unwrap_or(b'x');
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let behaviour = shared.behaviour.borrow().clone();
    let is_taken = matches!(behaviour, Behaviour::Normal | Behaviour::Huge);
    let delivery = shared.read(headers, body.to_vec(), is_taken);
    let mut place = 0;
    shared.deliveries.send_modify(|all| {
        place = all.len();
        all.push(delivery);
    });
    match behaviour {
        Behaviour::Normal | Behaviour::Drip => StatusCode::NO_CONTENT.into_response(),
        Behaviour::Status(status) => known(status).into_response(),
        Behaviour::Redirect(status, to) => {
            (known(status), [(header::LOCATION, to)]).into_response()
        }
        Behaviour::Huge => vec![b'x'; 10_000_000].into_response(),
        Behaviour::Hang => {
            let mut changes = shared.behaviour.subscribe();
            let changed = changes.wait_for(|now| *now != Behaviour::Hang).await;
            match changed.as_deref() {
                Ok(Behaviour::Normal) => {
                    shared.take(place);
                    StatusCode::NO_CONTENT.into_response()
                }
                _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
        }
    }
}

/// The status of that number, or 500 if there is none.
fn known(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Shared {
    /// Records that a delivery that hung was taken after all.
    fn take(&self, place: usize) {
        self.deliveries.send_modify(|all| {
            if let Some(delivery) = all.get_mut(place) {
                delivery.is_taken = true;
            }
        });
    }

    fn read(&self, headers: HeaderMap, body: Vec<u8>, is_taken: bool) -> Delivery {
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let id = text("webhook-id");
        let at = text("webhook-timestamp").parse().unwrap_or(0);
        let is_ours = |signature: &str| {
            let tag = signature.strip_prefix("v1,");
            let tag = tag.and_then(|tag| STANDARD.decode(tag).ok());
            tag.is_some_and(|tag| self.secret.verifies(&id, at, &body, &tag))
        };
        Delivery {
            is_signed: text("webhook-signature").split(' ').any(is_ours),
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
            id,
            headers,
            body,
            is_taken,
        }
    }
}
