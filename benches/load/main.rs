//! A load program, not a test: N callers over TLS against a daemon in a process of its own, on kept
//! and on fresh connections, with ES256 and RS256 tokens.
//!
//! `cargo bench --bench load -- [CALLERS] [SECONDS]` prints passes per second, latencies and CPU
//! per pass on each side. Compare rows of one run; absolute numbers are those of the machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for developers"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "it is an edge: it reads the clock"
)]
#![allow(unreachable_pub, missing_docs, reason = "shares files with the tests")]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::{
    env, fs,
    time::{Duration, Instant},
};

use daypass::identity::issuer::Algorithm;
use support::{
    api::{Api, Attempt, Caller, ask},
    env::TestEnv,
    server::ServerFiles,
};
use time::OffsetDateTime;

const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["root"]
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["root"]
pty = true
ttl = "1h"
"#;

/// One row of the table.
struct Row {
    passes: usize,
    wall: Duration,
    latencies: Vec<Duration>,
    server_cpu: Duration,
    client_cpu: Duration,
}

#[tokio::main]
async fn main() {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .unwrap();
    let mut numbers = env::args()
        .skip(1)
        .filter_map(|word| word.parse::<u64>().ok());
    let callers = numbers.next().unwrap_or(64) as usize;
    let seconds = Duration::from_secs(numbers.next().unwrap_or(5).clamp(1, 60));

    let served = TestEnv::new().policy(POLICY).prepare().await;
    let mut process = served.spawn(&[]);
    served.expect_api(&mut process).await;
    let daemon = process.0.id();

    println!("{callers} callers, {seconds:?} a row, every pass durable (SQLite, synchronous=FULL)");
    println!("connections  token  passes/s   p50 ms   p99 ms   server µs/pass  client µs/pass");
    for (name, kept) in [("kept", true), ("fresh", false)] {
        for algorithm in [Algorithm::ES256, Algorithm::RS256] {
            let row = measure(&served, daemon, algorithm, kept, callers, seconds).await;
            print(name, algorithm, row);
        }
    }
    let one = measure(&served, daemon, Algorithm::ES256, true, 1, seconds).await;
    println!("and one caller alone:");
    print("kept", Algorithm::ES256, one);
}

async fn measure(
    served: &ServerFiles,
    daemon: u32,
    algorithm: Algorithm,
    kept: bool,
    callers: usize,
    seconds: Duration,
) -> Row {
    let (server_before, client_before) = (cpu(daemon), cpu(std::process::id()));
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| call(served, algorithm, kept, start + seconds))
        .map(tokio::spawn)
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    latencies.sort_unstable();
    Row {
        passes: latencies.len(),
        wall: start.elapsed(),
        latencies,
        server_cpu: cpu(daemon) - server_before,
        client_cpu: cpu(std::process::id()) - client_before,
    }
}

/// One caller with its own key and token, until the deadline. Returns the latency of each pass.
fn call(
    served: &ServerFiles,
    algorithm: Algorithm,
    kept: bool,
    deadline: Instant,
) -> impl Future<Output = Vec<Duration>> + Send + use<> {
    let caller = Caller::new();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let token = served.issuer.sign(
        algorithm,
        &caller.claims(served.issuer.url(), "alice", &["sre"], now),
    );
    let attempt: Attempt = caller.attempt("localhost", &token, ask("shell"));
    let (url, ca) = (served.url(), served.tls_ca().to_owned());
    async move {
        let mut latencies = Vec::new();
        let mut api = Api::open(&url, ca.as_bytes()).await;
        while Instant::now() < deadline {
            let start = Instant::now();
            if !kept {
                api = Api::open(&url, ca.as_bytes()).await;
            }
            api.issue(&attempt)
                .await
                .unwrap_or_else(|refusal| panic!("{refusal:?}"));
            latencies.push(start.elapsed());
        }
        latencies
    }
}

fn print(name: &str, algorithm: Algorithm, row: Row) {
    let at = |share: f64| {
        let index = ((row.latencies.len() as f64 * share) as usize)
            .min(row.latencies.len().saturating_sub(1));
        row.latencies
            .get(index)
            .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    };
    let per_pass = |cpu: Duration| cpu.as_secs_f64() * 1e6 / row.passes.max(1) as f64;
    println!(
        "{name:<11}  {:<5}  {:>8.0}  {:>7.2}  {:>7.2}  {:>14.0}  {:>14.0}",
        format!("{algorithm:?}"),
        row.passes as f64 / row.wall.as_secs_f64(),
        at(0.5),
        at(0.99),
        per_pass(row.server_cpu),
        per_pass(row.client_cpu),
    );
}

/// User and system time of a process, from proc(5): fields 14 and 15 of `stat`, in ticks of 10 ms.
fn cpu(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
