//! A load program, not a test: callers over TLS against a daemon in a process of its own.
//!
//! `cargo bench --bench load -- [quick] [with PROGRAM]` prints passes per second, latencies, the
//! daemon's CPU time per pass, and its ratio to the cryptography that a pass contains, measured in
//! the same minutes. The daemon has one core (`taskset`), and the callers have the others. Compare
//! ratios: absolute numbers are those of the machine and of the hour.
//!
//! `with` takes another build of the daemon, such as `target/release/daypass`: the profile of
//! benches is quicker to build, and its daemon is slower.
//!
//! `-- [quick] postgres [with PROGRAM]` compares one daemon over SQLite with one and two over
//! PostgreSQL.
//!
//! `-- [quick] signer` compares a key file with the same key behind `daypass signer`.
//!
//! `-- profile` counts the instructions of a pass by function instead (valgrind), and `-- compare
//! PROGRAM` compares this build's daemon with another one. `-- step-ca PROGRAM` compares it with
//! step-ca (`step_ca` says which program that is).

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
mod replicas;
mod row;
mod signer;
mod stages;
mod step_ca;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{path::Path, process::Command, time::Duration};

use bare::{Cryptography, Tls};
use daypass::identity::issuer::Algorithm;
use row::{Row, Shape};
use support::{command::DAYPASS, env::TestEnv, server::ServerFiles};

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

    match &words[..] {
        [word, other, ..] if word == "compare" => return compare::print(POLICY, other).await,
        [word, other, ..] if word == "step-ca" => {
            return step_ca::print(POLICY, other, program(&words)).await;
        }
        _ => (),
    }
    if words.iter().any(|word| word == "postgres") {
        return replicas::print(POLICY, is_quick, program(&words)).await;
    }
    if words.iter().any(|word| word == "signer") {
        return signer::print(POLICY, is_quick).await;
    }
    let served = TestEnv::new().policy(POLICY).prepare().await;
    if words.iter().any(|word| word == "profile") {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load");
        profile::print(&served, program(&words), &folder).await;
        return;
    }
    let bare = Cryptography::measure();
    print_bare(&bare);
    stages::print(POLICY).await;
    let commit = bare::commit(served.folder()).await;
    println!(
        "a bare commit (SQLite, synchronous=FULL): p50 {}",
        micros(commit)
    );
    print_tls(&served);

    let mut process = served.spawn_program(program(&words), &CORE, &[]);
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
}

/// The daemon that is measured.
fn program(words: &[String]) -> &Path {
    let mut named = words.iter().skip_while(|word| *word != "with").skip(1);
    Path::new(named.next().map_or(DAYPASS, String::as_str))
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

fn print_tls(served: &ServerFiles) {
    let tls = Tls::of(
        &served.path("tls.pem"),
        &served.path("tls.key"),
        served.tls_ca(),
    );
    println!(
        "a bare TLS 1.3 handshake, the server's half: {}; with its connection over loopback: {}",
        micros(bare::handshake(&tls)),
        micros(bare::connection(&tls))
    );
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
