//! Appends per second: callers that share commits (group commit), and callers that each wait for a
//! commit of their own.
//!
//! `cargo bench --bench ledger [FOLDER]`: the folder decides which disk is measured; without it,
//! the current folder's.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use daypass::{
    ledger::{
        EventKind,
        checkpoint::Signer,
        event::{Actor, RequestDetails},
    },
    store::Store,
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::{sync::Mutex, task::JoinSet};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The time that each line is measured.
const SPAN: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    println!(
        "{:>8}  {:28}  {:>10}  {:>9}  {:>9}",
        "callers", "commit", "appends/s", "p50", "p99"
    );
    for callers in [1, 8, 128] {
        measure(&folder, callers, false).await?;
        measure(&folder, callers, true).await?;
    }
    Ok(())
}

async fn measure(folder: &Path, callers: usize, alone: bool) -> Outcome<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let store = open(folder.path()).await?;
    let turn = alone.then(|| Arc::new(Mutex::new(())));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        tasks.spawn(append(store.clone(), turn.clone(), begun + SPAN));
    }
    let mut times = Vec::new();
    while let Some(task) = tasks.join_next().await {
        times.extend(task??);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let kind = if alone {
        "one for each append"
    } else {
        "shared by all that wait"
    };
    let [p50, p99] = [50, 99].map(|part| {
        times
            .get(times.len() * part / 100)
            .copied()
            .unwrap_or_default()
    });
    println!("{callers:>8}  {kind:28}  {rate:>10.0}  {p50:>9.2?}  {p99:>9.2?}");
    store.close().await;
    Ok(())
}

async fn open(folder: &Path) -> Outcome<Store> {
    let signer = Signer::new("bench.example.com/ledger", &[7; 32])?;
    let started = EventKind::started("bench", "bench.example.com");
    Ok(Store::open(folder, signer, started, OffsetDateTime::UNIX_EPOCH).await?)
}

/// One caller: appends until the end, one after the other. Returns the latency of each append.
async fn append(
    store: Store,
    turn: Option<Arc<Mutex<()>>>,
    end: Instant,
) -> Outcome<Vec<Duration>> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        let _turn = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        store.record(denied(), OffsetDateTime::UNIX_EPOCH).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// An event of the usual size, about 600 bytes.
fn denied() -> EventKind {
    EventKind::Denied {
        who: Actor {
            issuer: "https://id.example.com".to_owned(),
            subject: "00u1a2b3c4d5e6f7g8h9".to_owned(),
            label: "alice@example.com".to_owned(),
            claims: json!({"email": "alice@example.com", "groups": ["oncall", "sre", "everyone"]})
                .into(),
        },
        ask: RequestDetails {
            role: "web-logs".to_owned(),
            host: Some("web-1.example.com".to_owned()),
            params: [("unit".to_owned(), "nginx".to_owned())].into(),
            reason: Some("INC-4711".to_owned()),
            ttl_seconds: Some(1800),
            source_addresses: Vec::new(),
            extensions: Vec::new(),
            caller: Some("203.0.113.7".to_owned()),
            request: None,
            emergency: false,
        },
        key: Some("SHA256:uNiVztksCsDhcc0u9e8BrFcx9mfs6R2nbDgH7bX0vTg".to_owned()),
        reason: "NOT_ALLOWED".to_owned(),
        detail: "role web-logs is not open to you".to_owned(),
        policy: "ab".repeat(32),
        cut: false,
        unbound: false,
        by: None,
    }
}
