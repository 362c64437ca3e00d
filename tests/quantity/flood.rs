//! Floods: many connections, each with many requests that hold something of the server's for as
//! long as they can.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use prost::Message;
use tokio::{task::JoinSet, time::Instant};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_request::MessageRequest,
};

use crate::network::{Connection, Network, Part};

/// How long an attacker leaves it at that when the server has ended what it held. Less, and the
/// test measures how many handshakes the machine can do.
const AGAIN: Duration = Duration::from_secs(10);

/// And when it got no connection: soon, so that a place that comes free is not a newcomer's by
/// waiting.
const REFUSED: Duration = Duration::from_secs(1);

/// What the flood's requests hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Messages of 60 KB without their last bytes.
    UnfinishedMessages,
    /// Streams that have nothing to say.
    HealthWatches,
    /// Streams in both directions, of which the caller's stays open.
    ReflectionStreams,
    /// Answers of 60 KB to a caller whose window is nothing.
    UnreadAnswers,
}

impl Kind {
    /// Requests of one connection.
    pub fn streams(self) -> usize {
        match self {
            Self::UnfinishedMessages => 64,
            Self::UnreadAnswers => 8,
            Self::HealthWatches | Self::ReflectionStreams => 1,
        }
    }

    fn window(self) -> u32 {
        match self {
            Self::UnreadAnswers => 0,
            Self::UnfinishedMessages | Self::HealthWatches | Self::ReflectionStreams => 65_535,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::UnfinishedMessages => "/daypass.v1.Passes/Issue",
            Self::HealthWatches => "/grpc.health.v1.Health/Watch",
            Self::ReflectionStreams | Self::UnreadAnswers => {
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            }
        }
    }

    fn body(self) -> Part {
        match self {
            Self::UnfinishedMessages => Part::new(&message(60_000, &[0; 59_000]), false),
            Self::HealthWatches => Part::new(&message(0, &[]), true),
            Self::ReflectionStreams => Part::new(&asks_for_descriptors(), false),
            Self::UnreadAnswers => Part::new(&asks_for_descriptors(), true),
        }
    }
}

/// A gRPC message's prefix, and what follows it.
fn message(length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[0], &length.to_be_bytes()[..], bytes].concat()
}

fn asks_for_descriptors() -> Vec<u8> {
    let symbol = "daypass.v1.Passes".to_owned();
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(symbol)),
    };
    let bytes = request.encode_to_vec();
    message(bytes.len().try_into().unwrap(), &bytes)
}

/// A flood to be, or under way ([`Flood::open`]). Dropping it ends its connections.
pub struct Flood {
    pub kind: Kind,
    from: Vec<Ipv4Addr>,
    connections: usize,
    streams: usize,
    up: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Flood {
    pub fn new(kind: Kind, from: Vec<Ipv4Addr>, connections: usize, streams: usize) -> Self {
        Self {
            kind,
            from,
            connections,
            streams,
            up: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    /// The address that a newcomer among the attackers has.
    pub fn address(&self) -> Ipv4Addr {
        self.from[0]
    }

    pub fn name(&self) -> String {
        let (connections, addresses) = (self.connections, self.from.len());
        let streams = self.streams;
        format!(
            "{:?}: {connections} x {streams}, {addresses} addr",
            self.kind
        )
    }

    /// Opens the connections; each comes again when the server has ended it. Returns when each was
    /// up once, or was refused.
    pub async fn open(&mut self, network: &Network) {
        for number in 0..self.connections {
            let (network, up) = (network.clone(), self.up.clone());
            let (kind, streams) = (self.kind, self.streams);
            let from = self.from[number % self.from.len()];
            self.tasks.spawn(async move {
                let mut is_first = true;
                loop {
                    let held = hold(kind, streams, &network, from).await;
                    if std::mem::take(&mut is_first) {
                        up.fetch_add(1, Ordering::SeqCst);
                    }
                    let pause = match held {
                        Ok(holding) => {
                            holding.ended().await;
                            AGAIN
                        }
                        Err(_) => REFUSED,
                    };
                    tokio::time::sleep(pause).await;
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.up.load(Ordering::SeqCst) < self.connections {
            assert!(Instant::now() < deadline, "{}: never up", self.name());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A connection with all it holds.
struct Holding {
    connection: Connection,
    answers: JoinSet<()>,
}

impl Holding {
    /// Until the server ends the connection, or each of its requests.
    async fn ended(mut self) {
        tokio::select! {
            _ = &mut self.connection.driver => (),
            () = async { while self.answers.join_next().await.is_some() {} } => (),
        }
    }
}

async fn hold(
    kind: Kind,
    streams: usize,
    network: &Network,
    from: Ipv4Addr,
) -> io::Result<Holding> {
    let mut connection = network.http2(from, kind.window()).await?;
    let mut answers = JoinSet::new();
    for _ in 0..streams {
        connection
            .requests
            .ready()
            .await
            .map_err(io::Error::other)?;
        let request = Request::post(format!("https://localhost{}", kind.path()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(kind.body())
            .unwrap();
        let answer = connection.requests.send_request(request);
        answers.spawn(async move {
            // Neither read nor dropped: it is the server's turn to end this.
            if let Ok(answer) = answer.await
                && kind != Kind::UnfinishedMessages
            {
                std::future::pending::<()>().await;
                drop(answer);
            }
        });
    }
    Ok(Holding {
        connection,
        answers,
    })
}
