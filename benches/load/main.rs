//! A load program, not a test: callers over TLS against a daemon in a process of its own.
//!
//! `cargo bench --bench load -- [quick] [postgres]` prints passes per second, latencies, the
//! daemon's CPU time per pass, and its ratio to the cryptography that a pass contains, measured in
//! the same minutes. The daemon has one core (`taskset`), and the callers have the others. Compare
//! ratios: absolute numbers are those of the machine and of the hour.
//!
//! `-- profile` counts the instructions of a pass by function instead (valgrind), and `-- compare
//! PROGRAM` compares this build's daemon with another one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for developers"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "it is an edge: it reads the clock"
)]
#![allow(unreachable_pub, missing_docs, reason = "shares files with the tests")]

mod bare;
mod clock;
#[path = "../../tests/postgres/cluster.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod cluster;
mod compare;
mod profile;
mod row;
mod stages;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{path::Path, process::Command, time::Duration};

use bare::Cryptography;
use daypass::identity::issuer::Algorithm;
use row::{Row, Shape};
use support::{
    env::TestEnv,
    files,
    server::{Process, ServerFiles},
};

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

/// The daemon's core.
const CORE: [&str; 3] = ["taskset", "-c", "0"];

#[tokio::main]
async fn main() {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .unwrap();
    pin_callers();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_quick = words.iter().any(|word| word == "quick");
    let repeats = if is_quick { 1 } else { 3 };

    if let [word, other, ..] = &words[..]
        && word == "compare"
    {
        return compare::print(POLICY, other).await;
    }
    let served = TestEnv::new().policy(POLICY).prepare().await;
    if words.iter().any(|word| word == "profile") {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load");
        profile::print(&served, &folder).await;
        return;
    }
    let bare = Cryptography::measure();
    print_bare(&bare);
    stages::print(POLICY).await;
    let commit = bare::commit(served.folder()).await;
    let tls = |name: &str| served.path(name);
    let handshake = bare::handshake(&tls("tls.pem"), &tls("tls.key"), served.tls_ca());
    println!(
        "a bare commit (SQLite, synchronous=FULL): p50 {}",
        micros(commit)
    );
    println!(
        "a bare TLS 1.3 handshake, the server's half: {}",
        micros(handshake)
    );

    let mut process = served.spawn(&CORE);
    served.expect_api(&mut process).await;
    let daemon = process.0.id();
    println!("\nSQLite, every pass durable, the daemon on one core");
    head();
    for shape in shapes() {
        let passes = passes(shape, is_quick);
        // The ratio is to the cryptography in the same minute.
        let mut rows = Vec::new();
        for _ in 0..repeats {
            rows.push(shape.measure(&[&served], &[daemon], passes).await);
        }
        let bare = if is_quick {
            &bare
        } else {
            &Cryptography::measure()
        };
        print(shape, bare, median(rows));
    }
    process.stop().await;
    if words.iter().any(|word| word == "postgres") {
        postgres(is_quick).await;
    }
}

/// Keeps the daemon's core free of callers.
fn pin_callers() {
    let this = std::process::id().to_string();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 {
        let others = format!("1-{}", cores - 1);
        let pinned = Command::new("taskset")
            .args(["-apc", &others, &this])
            .output();
        assert!(
            pinned
                .expect("no taskset: apt-get install util-linux")
                .status
                .success()
        );
    }
}

fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    for (is_kept, is_new) in [(true, true), (true, false), (false, true), (false, false)] {
        for callers in [1, 16, 128] {
            all.push(Shape {
                callers,
                is_kept,
                is_new,
                algorithm: Algorithm::RS256,
            });
        }
    }
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        all.push(Shape {
            callers: 128,
            is_kept: true,
            is_new: true,
            algorithm,
        });
    }
    all
}

fn passes(shape: Shape, is_quick: bool) -> usize {
    let most = match (shape.callers, shape.is_kept) {
        (1, _) => 600,
        (_, true) => 6400,
        (_, false) => 3200,
    };
    if is_quick { most / 2 } else { most }
}

/// PostgreSQL without fsync: its CPU counts here, and that of the daemons, but not the disk.
async fn postgres(is_quick: bool) {
    let cluster = std::sync::Arc::new(cluster::Cluster::start());
    for count in [1, 2] {
        let database = cluster.database().await;
        let (servers, mut processes) = replicas(&database.address(), count).await;
        let daemons: Vec<u32> = processes.iter().map(|process| process.0.id()).collect();
        println!("\nPostgreSQL, {count} daemon(s) on the same core");
        head();
        let bare = Cryptography::measure();
        for is_new in [true, false] {
            let shape = Shape {
                callers: 128,
                is_kept: true,
                is_new,
                algorithm: Algorithm::RS256,
            };
            let servers: Vec<&ServerFiles> = servers.iter().collect();
            let passes = passes(shape, is_quick);
            print(
                shape,
                &bare,
                shape.measure(&servers, &daemons, passes).await,
            );
        }
        for process in processes.drain(..) {
            process.stop().await;
        }
    }
}

async fn replicas(database: &str, count: usize) -> (Vec<ServerFiles>, Vec<Process>) {
    let store = "[store]\npostgres_file = \"postgres\"";
    let env = TestEnv::new().policy(POLICY).configuration(store);
    files::write_secret(&env.folder().join("postgres"), database);
    let one = env.prepare().await;
    let mut servers = Vec::new();
    for _ in 1..count {
        servers.push(one.replica());
    }
    servers.insert(0, one);
    let mut processes = Vec::new();
    for server in &servers {
        files::write_secret(&server.path("postgres"), database);
        let mut process = server.spawn(&CORE);
        server.expect_api(&mut process).await;
        processes.push(process);
    }
    (servers, processes)
}

fn print_bare(bare: &Cryptography) {
    println!("bare cryptography of a pass, CPU time (aws-lc-rs)");
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        println!(
            "  {algorithm:?}: token {} + proof {} + sign {} + check {} = {}",
            micros(bare.token(algorithm)),
            micros(bare.proof),
            micros(bare.sign),
            micros(bare.check),
            micros(bare.sum(algorithm)),
        );
    }
}

fn head() {
    println!(
        "callers  connections  token        passes/s    p50 ms    p99 ms  server µs/pass  ratio"
    );
}

fn print(shape: Shape, bare: &Cryptography, row: Row) {
    let milliseconds = |latency: Duration| latency.as_secs_f64() * 1e3;
    println!(
        "{:>7}  {:<11}  {:<5} {:<5}  {:>8.0}  {:>8.2}  {:>8.2}  {:>14.0}  {:>5.2}",
        shape.callers,
        if shape.is_kept { "kept" } else { "fresh TLS" },
        format!("{:?}", shape.algorithm),
        if shape.is_new { "new" } else { "known" },
        row.passes_per_second(),
        milliseconds(row.latency(0.5)),
        milliseconds(row.latency(0.99)),
        row.per_pass().as_secs_f64() * 1e6,
        row.per_pass().as_secs_f64() / bare.sum(shape.algorithm).as_secs_f64(),
    );
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

/// The row in the middle by CPU time.
fn median(mut rows: Vec<Row>) -> Row {
    rows.sort_by_key(Row::per_pass);
    rows.swap_remove(rows.len() / 2)
}
