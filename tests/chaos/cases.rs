//! The cases of the test suite: the checker on histories made by hand, short runs of fixed seeds,
//! and the deliberate bugs.

mod by_hand;
mod ca_keys_by_hand;
mod hosts_by_hand;
mod on_behalf_by_hand;

use std::{path::Path, process::ExitCode, time::Instant};

use super::{
    deliberate_bugs, one,
    plan::{Engine, Plan},
    support::command::DAYPASS,
};

/// The fixed runs: seed, database, seconds.
const RUNS: &[(&str, u64, Engine)] = &[
    ("a_run_on_sqlite_breaks_no_invariant", 3, Engine::Sqlite),
    (
        "a_run_on_a_postgresql_pair_breaks_no_invariant",
        2,
        Engine::Postgres,
    ),
];

const SECONDS: u64 = 30;

const BUGS: &str = "each_deliberate_bug_is_caught";

/// Runs the cases whose names hold one of the words; all of them without a word.
pub(crate) async fn run(words: &[String]) -> ExitCode {
    let words: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let is_wanted =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut failed = Vec::new();
    let by_hand = [
        by_hand::CASES,
        hosts_by_hand::CASES,
        ca_keys_by_hand::CASES,
        on_behalf_by_hand::CASES,
    ];
    for (name, case) in by_hand
        .into_iter()
        .flatten()
        .filter(|(name, _)| is_wanted(name))
    {
        if let Err(problem) = case() {
            println!("{name}: {problem}");
            failed.push(*name);
        }
    }
    for (name, seed, engine) in RUNS.iter().filter(|(name, ..)| is_wanted(name)) {
        let began = Instant::now();
        let violations = one(&Plan::new(*seed, *engine), SECONDS, Path::new(DAYPASS), "").await;
        println!("{name}: {:.1} s", began.elapsed().as_secs_f64());
        if !violations.is_empty() {
            failed.push(*name);
        }
    }
    if is_wanted(BUGS) {
        let began = Instant::now();
        if let Err(problem) = deliberate_bugs::each_is_caught().await {
            println!("{BUGS}: {problem}");
            failed.push(BUGS);
        }
        println!("{BUGS}: {:.1} s", began.elapsed().as_secs_f64());
    }
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => {
            println!("chaos: failed: {failed:?}");
            ExitCode::FAILURE
        }
    }
}
