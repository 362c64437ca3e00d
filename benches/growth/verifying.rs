//! `daypass ledger verify` over an export, in a process of its own.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{clock::cpu, support::command::DAYPASS};

/// Verifies `export` of this folder. Returns events per CPU second, and MB of memory.
pub fn verify(folder: &Path, key: &str, size: u64, options: &[&str]) -> [String; 2] {
    let mut child = Command::new(DAYPASS)
        .args(["ledger", "verify"])
        .arg(folder.join("export"))
        .args(["--key", key])
        .args(options)
        .env("DAYPASS_STATE_DIR", folder.join("auditor"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut spent, mut most) = (Duration::ZERO, 0);
    let status = loop {
        // A child that has ended and was not waited for still has its CPU time.
        spent = spent.max(cpu(child.id()));
        most = most.max(memory(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(
        status.success(),
        "daypass ledger verify {options:?}: {status}"
    );
    let rate = size as f64 / spent.as_secs_f64().max(0.01);
    [format!("{rate:.0}"), most.to_string()]
}

/// The largest memory of a process so far, in MB; 0 for one that has ended.
pub fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.map_or("0", |line| line.trim().trim_end_matches(" kB"));
    kilobytes.trim().parse::<u64>().unwrap() / 1000
}
