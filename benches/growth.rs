//! How the start and the memory grow with the ledger.
//!
//! `cargo bench --bench growth [LARGEST [FOLDER]]`: one ledger grows to 1,000 events, then to ten
//! times as many, up to LARGEST (1,000,000 without it). At each size a process opens it after one
//! that ended without closing it (as after `kill -9`), then once more without its snapshot. The
//! folder decides which disk is measured; without it, the current folder's.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use daypass::{
    ledger::{Event, EventKind, checkpoint::Signer},
    store::Store,
};
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Appends that wait at once while the ledger is filled.
const CALLERS: u64 = 512;

/// Seconds between two events: a million of them are four months.
const STEP: i64 = 10;

/// Different people who get passes.
const PEOPLE: u64 = 2_000;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match words.as_slice() {
        ["fill", folder, size] => runtime.block_on(fill(Path::new(folder), size.parse()?)),
        ["start", folder, size] => runtime.block_on(start(Path::new(folder), size.parse()?)),
        [] => table(1_000_000, Path::new(".")),
        [largest] => table(largest.parse()?, Path::new(".")),
        [largest, folder, ..] => table(largest.parse()?, Path::new(folder)),
    }
}

fn table(largest: u64, folder: &Path) -> Outcome<()> {
    let folder = tempfile::tempdir_in(folder)?;
    println!(
        "{:>10}  {:>10}  {:>12}  {:>8}  {:>12}  {:>8}",
        "events", "database", "first append", "memory", "no snapshot", "memory"
    );
    let mut size = 1_000;
    while size <= largest {
        let path = folder.path().to_string_lossy();
        child(&["fill", &path, &size.to_string()])?;
        let after_kill = child(&["start", &path, &size.to_string()])?;
        let snapshot = folder.path().join("snapshot");
        let aside = folder.path().join("snapshot.aside");
        let is_there = snapshot.exists();
        if is_there {
            fs::rename(&snapshot, &aside)?;
        }
        let whole = child(&["start", &path, &size.to_string()])?;
        if is_there {
            fs::rename(&aside, &snapshot)?;
        }
        let database = fs::metadata(folder.path().join("ledger.db"))?.len() / 1_000_000;
        println!("{size:>10}  {database:>7} MB  {after_kill}  {whole}");
        size *= 10;
    }
    Ok(())
}

/// Runs this program again. Returns its line.
fn child(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?.trim_end().to_owned()),
        false => Err(format!("{arguments:?}: {}", output.status).into()),
    }
}

/// Appends until the ledger has this many events. Ends without closing it.
async fn fill(folder: &Path, size: u64) -> Outcome<()> {
    let store = open(folder, size).await?;
    while store.size() < size {
        let from = store.size();
        let mut batch = JoinSet::new();
        for index in from..size.min(from + CALLERS) {
            let (store, what) = (store.clone(), issued(index)?);
            batch.spawn(async move { store.record(what, at(index)).await });
        }
        while let Some(appended) = batch.join_next().await {
            appended??;
        }
    }
    // Not `close`: the next start finds what a killed daemon leaves.
    std::process::exit(0)
}

/// Opens the ledger and appends one event. Prints the time and the memory that it took.
async fn start(folder: &Path, size: u64) -> Outcome<()> {
    let begun = Instant::now();
    let store = open(folder, size).await?;
    let index = store.size();
    store.record(issued(index)?, at(index)).await?;
    let spent = begun.elapsed().as_secs_f64() * 1000.0;
    println!("{spent:>9.0} ms  {:>5} MB", memory()?);
    std::process::exit(0)
}

/// Opens a ledger of about this size at the time of its last event.
async fn open(folder: &Path, size: u64) -> Outcome<Store> {
    let signer = Signer::new("bench.example.com/ledger", &[7; 32])?;
    let started = EventKind::started("bench", "bench.example.com");
    Ok(Store::open(folder, signer, started, at(size)).await?)
}

/// The largest memory of this process so far, in MB.
fn memory() -> Outcome<u64> {
    let status = fs::read_to_string(PathBuf::from("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("no VmHWM in /proc/self/status")?
        .trim()
        .parse()?;
    Ok(kilobytes / 1000)
}

fn at(index: u64) -> OffsetDateTime {
    let seconds = i64::try_from(index).unwrap_or(i64::MAX / STEP) * STEP;
    OffsetDateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::seconds(seconds)
}

/// A pass for half an hour, of the usual size.
fn issued(index: u64) -> Outcome<EventKind> {
    let now = at(index).unix_timestamp();
    let (end, person) = (now + 1800, index % PEOPLE);
    let (policy, hash) = ("ab".repeat(32), "cd".repeat(32));
    let leaf = format!(
        r#"{{"index":1,"at":"2026-11-22T15:32:51Z","type":"issued","who":{{"issuer":"https://id.example.com","subject":"00u{person:08}","label":"user{person}@example.com","claims":{{"iat":{now},"email":"user{person}@example.com","groups":["oncall","sre","everyone"]}}}},"ask":{{"role":"web-logs","host":"web-1.example.com","params":{{"unit":"nginx"}},"reason":"INC-4711","caller":"203.0.113.7"}},"key":"SHA256:uNiVztksCsDhcc0u9e8BrFcx9mfs6R2nbDgH7b{person:05}","binding":"nonce","key_id":"user{person}@example.com/web-logs","principals":["weblogs@web"],"extensions":[],"command":"/usr/bin/journalctl --unit 'nginx'","valid_after":{now},"valid_before":{end},"policy":"{policy}","ca":"SHA256:ca","to_be_signed":"{hash}"}}"#
    );
    Ok(Event::parse(leaf.as_bytes())?.what)
}
