//! Chaos: one or two real daemons under load and faults, judged by the invariants of the CA.
//!
//! By hand, as root:
//!
//! ```text
//! cargo test --test chaos -- --seed 7 --seconds 60 --database postgres
//! cargo test --test chaos -- --seed 1 --seeds 20 --seconds 60 --database sqlite
//! ```
//!
//! `--bug NAME` runs the daemon with a deliberate bug (`src/deliberate.rs`), `--program PATH`
//! another build of it. A seed decides the
//! faults and each client's asks; the order in which processes run is the machine's. Without
//! `--seed`, the cases of the test suite run; a word selects cases by name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod cases;
mod checker;
mod clients;
#[path = "../postgres/cluster.rs"]
#[allow(dead_code, reason = "other tests use other parts")]
mod cluster;
mod deliberate_bugs;
mod faults;
mod history;
mod keys;
mod plan;
mod policies;
#[path = "../postgres/proxy.rs"]
#[allow(dead_code, reason = "other tests use other parts")]
mod proxy;
mod run;
#[path = "../support/mod.rs"]
mod support;
#[path = "../postgres/traffic.rs"]
#[allow(dead_code, reason = "other tests use other parts")]
mod traffic;
mod world;

use std::{path::PathBuf, process::ExitCode};

use plan::{Engine, Plan};
use support::command::DAYPASS;

/// The options of a run by hand.
struct ByHand {
    seed: u64,
    seeds: u64,
    seconds: u64,
    engine: Engine,
    bug: String,
    /// Another build of the daemon.
    program: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    match by_hand(&words) {
        Ok(Some(options)) => run_by_hand(options).await,
        Ok(None) => cases::run(&words).await,
        Err(problem) => {
            eprintln!("chaos: {problem}");
            ExitCode::from(2)
        }
    }
}

fn by_hand(words: &[String]) -> Result<Option<ByHand>, String> {
    let mut options = ByHand {
        seed: 0,
        seeds: 1,
        seconds: 60,
        engine: Engine::Sqlite,
        bug: String::new(),
        program: None,
    };
    let mut is_by_hand = false;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let number = |value: Option<&String>| {
            let value = value.ok_or(format!("{word} needs a value"))?;
            value
                .parse::<u64>()
                .map_err(|_| format!("invalid {word} {value:?}: use a number"))
        };
        match word.as_str() {
            "--seed" => {
                options.seed = number(words.next())?;
                is_by_hand = true;
            }
            "--seeds" => options.seeds = number(words.next())?,
            "--seconds" => options.seconds = number(words.next())?,
            "--database" => {
                options.engine = match words.next().map(String::as_str) {
                    Some("sqlite") => Engine::Sqlite,
                    Some("postgres") => Engine::Postgres,
                    other => {
                        return Err(format!(
                            "invalid --database {other:?}: use sqlite or postgres"
                        ));
                    }
                }
            }
            "--program" => options.program = words.next().map(PathBuf::from),
            "--bug" => options.bug = words.next().cloned().unwrap_or_default(),
            _ => {}
        }
    }
    Ok(is_by_hand.then_some(options))
}

async fn run_by_hand(options: ByHand) -> ExitCode {
    let program = match (&options.program, options.bug.is_empty()) {
        (Some(program), _) => program.clone(),
        (None, true) => PathBuf::from(DAYPASS),
        (None, false) => deliberate_bugs::build(),
    };
    let mut is_well = true;
    for seed in options.seed..options.seed + options.seeds {
        is_well &= one(
            &Plan::new(seed, options.engine),
            options.seconds,
            &program,
            &options.bug,
        )
        .await
        .is_empty();
    }
    ExitCode::from(u8::from(!is_well))
}

/// Runs a plan, prints what happened, and returns the violations.
async fn one(plan: &Plan, seconds: u64, program: &std::path::Path, bug: &str) -> Vec<String> {
    let report = run::run(plan, seconds, program, bug).await;
    print!("{}", report.summary);
    if let Some(kept) = &report.kept {
        let (seed, engine) = (plan.seed, plan.engine);
        let shown = if bug.is_empty() { 40 } else { 3 };
        for violation in report.violations.iter().take(shown) {
            println!("VIOLATION {violation}");
        }
        println!(
            "{} violations; the world is in {}",
            report.violations.len(),
            kept.display()
        );
        let bug = if bug.is_empty() {
            String::new()
        } else {
            format!(" --bug {bug}")
        };
        println!(
            "again: cargo test --test chaos -- --seed {seed} --seconds {seconds} --database {engine}{bug}"
        );
    }
    report.violations
}
