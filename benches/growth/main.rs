//! How the costs of a daemon and of its auditors grow with the ledger; not a test.
//!
//! `cargo bench --bench growth [LARGEST]` makes honest ledgers of 1,000 events and of ten times as
//! many, up to LARGEST (1,000,000 without it), and prints a table; `at SIZE` makes one alone. At
//! each size a daemon in a process of its own builds the search index, is killed, starts again,
//! gives passes and answers the questions of auditors. Then `daypass ledger verify` reads an export
//! of it. `TMPDIR` decides which disk is measured. Compare ratios and CPU times: the rest is the
//! machine's and the hour's.
//!
//! Without LARGEST, and with the word `live` instead of it, more tables show what lives at once:
//! revoked passes, requests that wait, and watches.

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

#[path = "../load/clock.rs"]
mod clock;
mod events;
mod live;
mod reading;
#[path = "../../tests/support/mod.rs"]
mod support;
mod verifying;

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use clock::cpu;
use daypass::proto::v1;
use events::{POLICY, many_roles};
use support::{
    api::{Caller, ask},
    env::TestEnv,
    server::ServerFiles,
};

/// Passes of which the median is printed.
const PASSES: usize = 21;

fn main() {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .unwrap();
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Tasks of one thread run in the order in which they are spawned.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match words.as_slice() {
        ["fill", folder, size] => {
            runtime.block_on(events::fill(Path::new(folder), size.parse().unwrap()));
            // The store was not closed: the next start finds what a killed daemon leaves.
            std::process::exit(0)
        }
        ["live", folder, size] => {
            runtime.block_on(events::fill_live(Path::new(folder), size.parse().unwrap()));
            std::process::exit(0)
        }
        ["live"] => runtime.block_on(live_tables()),
        [] => {
            runtime.block_on(tables(1_000_000));
            runtime.block_on(live_tables());
        }
        ["at", size] => {
            let row = runtime.block_on(measure(size.parse().unwrap()));
            for (line, cell) in Row::head().0.iter().zip(row.0) {
                println!("{line:<38}{cell:>10}");
            }
        }
        [largest, ..] => runtime.block_on(tables(largest.parse().unwrap())),
    }
}

async fn live_tables() {
    live::revocations().await;
    live::requests().await;
}

async fn tables(largest: u64) {
    let mut rows = vec![Row::head()];
    let mut size = 1_000;
    while size <= largest {
        rows.push(measure(size).await);
        size *= 10;
    }
    for at in 0..rows[0].0.len() {
        let cells = rows.iter().map(|row| row.0[at].as_str());
        let line: String = cells
            .enumerate()
            .map(|(column, cell)| match column {
                0 => format!("{cell:<38}"),
                _ => format!("{cell:>10}"),
            })
            .collect();
        println!("{line}");
    }
    println!(
        "\n{:<38}{:>10}{:>14}",
        "roles in the policy", "start, ms", "pass p50, ms"
    );
    for roles in [10, 100, 1_000, 10_000] {
        let served = TestEnv::new().policy(many_roles(roles)).prepare().await;
        let begun = Instant::now();
        let (_process, pass) = passes(&served, begun).await;
        println!("{roles:<38}{:>10.0}{:>14.1}", pass.first, pass.median);
    }
}

/// A column of the table.
struct Row(Vec<String>);

impl Row {
    fn head() -> Self {
        let lines = [
            "events",
            "ledger, MB",
            "search index, MB",
            "index built, events per CPU second",
            "first pass after kill -9, ms",
            "CPU of that start, ms",
            "a pass, p50 ms",
            "who had what on a group on a day, ms",
            "emergencies without a review, ms",
            "all of a person, first page, ms",
            "what changed the policy, ms",
            "memory of the daemon, MB",
            "export, events per CPU second",
            "verify, events per CPU second",
            "verify, memory in MB",
            "verify --decisions, per CPU second",
            "verify --decisions, memory in MB",
        ];
        Self(lines.map(str::to_owned).to_vec())
    }
}

async fn measure(size: u64) -> Row {
    let served = TestEnv::new().policy(&*POLICY).prepare().await;
    let begun = Instant::now();
    let folder = served.folder().to_str().unwrap();
    let made = Command::new(std::env::current_exe().unwrap())
        .args(["fill", folder, &size.to_string()])
        .status();
    assert!(made.unwrap().success());
    eprintln!("{size} events made in {:.0?}", begun.elapsed());
    let state = served.path("state");
    for name in ["search.db", "search.db-wal", "search.db-shm"] {
        fs::remove_file(state.join(name)).ok();
    }

    let mut process = served.spawn(&[]);
    served.expect_api(&mut process).await;
    let before = cpu(process.0.id());
    reading::index_is_built(&served).await;
    let built = size as f64 / (cpu(process.0.id()) - before).as_secs_f64().max(0.01);
    eprintln!("indexed after {:.0?}", begun.elapsed());
    process.kill();

    let begun = Instant::now();
    let (process, pass) = passes(&served, begun).await;
    let api = pass.api;
    reading::index_is_built(&served).await;
    // A large ledger is indexed for longer than a token is valid.
    let auditor = served.token(&Caller::new(), "lead", &["security"]);
    let mut cells = vec![
        size.to_string(),
        megabytes(&state.join("ledger.db")),
        megabytes(&state.join("search.db")),
        format!("{built:.0}"),
        format!("{:.0}", pass.first),
        format!("{:.0}", pass.cpu.as_secs_f64() * 1e3),
        format!("{:.1}", pass.median),
    ];
    for time in reading::questions(&api, &auditor).await {
        cells.push(format!("{time:.1}"));
    }
    let export = served.path("export");
    let before = cpu(process.0.id());
    reading::export(&api, &auditor, &export).await;
    let spent = cpu(process.0.id()) - before;
    cells.push(verifying::memory(process.0.id()).to_string());
    cells.push(format!(
        "{:.0}",
        size as f64 / spent.as_secs_f64().max(0.01)
    ));
    let key = support::ledger::trust(&api).await.ledger_verifier_key;
    process.stop().await;
    cells.extend(verifying::verify(served.folder(), &key, size, &[]));
    cells.extend(verifying::verify(
        served.folder(),
        &key,
        size,
        &["--decisions"],
    ));
    eprintln!("{size}: {cells:?}");
    Row(cells)
}

/// The first passes of a daemon.
struct Passes {
    api: support::api::Api,
    /// Time from `begun` to the first one, in ms.
    first: f64,
    /// CPU time of the daemon until then.
    cpu: Duration,
    /// Median of the next ones, in ms.
    median: f64,
}

/// Starts the daemon and takes passes.
async fn passes(served: &ServerFiles, begun: Instant) -> (support::server::Process, Passes) {
    let mut process = served.spawn(&[]);
    let api = served.expect_api(&mut process).await;
    let passes = passes_of(served, &process, api, begun).await;
    (process, passes)
}

/// Takes passes of a daemon.
async fn passes_of(
    served: &ServerFiles,
    process: &support::server::Process,
    api: support::api::Api,
    begun: Instant,
) -> Passes {
    let caller = Caller::new();
    let mut times = Vec::new();
    let (mut first, mut spent) = (None, Duration::ZERO);
    for _ in 0..PASSES {
        let token = served.token(&caller, "alice", &["sre"]);
        let asked = v1::Ask {
            host: "web-0.example.com".to_owned(),
            ..ask("role0")
        };
        let attempt = caller.attempt(events::SERVER, &token, asked);
        let asked = Instant::now();
        let issued = api.issue(&attempt).await;
        issued.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        if first.is_none() {
            first = Some(begun.elapsed().as_secs_f64() * 1e3);
            spent = cpu(process.0.id());
        }
    }
    times.sort_by(f64::total_cmp);
    Passes {
        api,
        first: first.unwrap(),
        cpu: spent,
        median: times[PASSES / 2],
    }
}

/// The size of a database, with what is not yet in its file.
fn megabytes(file: &Path) -> String {
    let log = file.with_extension("db-wal");
    let bytes = |file: &Path| fs::metadata(file).map_or(0, |metadata| metadata.len());
    format!("{:.1}", (bytes(file) + bytes(&log)) as f64 / 1e6)
}
