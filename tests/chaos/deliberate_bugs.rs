//! The deliberate bugs, each with the invariant that it breaks.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    checker, one,
    plan::{Engine, Fault, Plan},
    support::command::DAYPASS,
};

/// Name, the seconds in which it shows, and the invariant that must be named.
const BUGS: &[(&str, u64, &str)] = &[
    ("sign-before-commit", 7, checker::RECORDED),
    ("reuse-a-serial", 2, checker::UNIQUE),
    ("skip-second-principal", 3, checker::WITHIN),
    ("drop-lock-check", 3, checker::LOCKED),
    ("prune-live-revocation", 3, checker::REVOKED),
    ("keep-the-first-key", 3, checker::ACTIVE),
];

/// The seeds of all of them, and by how much each lasts longer: on a busy machine a fault may miss
/// the pass in which the bug shows.
const SEEDS: [(u64, u64); 3] = [(3, 1), (5, 2), (7, 3)];

/// Writes that fail, so that a pass which was signed too early has no event.
fn failing_writes() -> Vec<Fault> {
    let fail = |nth| Fault::FailAt {
        daemon: 0,
        call: "pwrite64",
        error: "ENOSPC",
        nth,
    };
    vec![fail(40), Fault::DiskFull { time: 500 }, fail(60)]
}

/// Builds the daemon with the bugs beside the one without: it has a name of its own, and shares
/// the dependencies.
pub(crate) fn build() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "build",
            "--quiet",
            "--bin",
            "daypass-deliberate",
            "--features",
            "deliberate-bugs",
        ])
        .status();
    assert!(
        built.unwrap().success(),
        "the daemon with deliberate bugs does not build"
    );
    Path::new(DAYPASS).with_file_name("daypass-deliberate")
}

/// Each bug is caught by a message that names its invariant.
pub(crate) async fn each_is_caught() -> Result<(), String> {
    let program = build();
    for (bug, seconds, invariant) in BUGS {
        let faults = match *bug {
            "sign-before-commit" => failing_writes(),
            _ => Vec::new(),
        };
        let mut seen = Vec::new();
        for (seed, longer) in SEEDS {
            let plan = Plan::only(seed, Engine::Sqlite, faults.clone());
            seen = one(&plan, seconds * longer, &program, bug).await;
            if is_named(&seen, invariant) {
                break;
            }
        }
        let named = seen.iter().find(|it| it.starts_with(invariant));
        let missed = || format!("{bug} was not caught as {invariant:?}: {seen:#?}");
        println!("{bug} is caught: {}", named.ok_or_else(missed)?);
    }
    Ok(())
}

fn is_named(violations: &[String], invariant: &str) -> bool {
    violations.iter().any(|it| it.starts_with(invariant))
}
