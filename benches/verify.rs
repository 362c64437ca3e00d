//! How fast a ledger is verified, and in how much memory.
//!
//! `cargo bench --bench verify [EVENTS [FOLDER]]`: writes an export of so many passes (1,000,000
//! without it), verifies it on one core in this process, and with `daypass ledger verify FILE` on
//! all cores.

use std::{
    error::Error,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::ledger::{
    Event, EventKind,
    checkpoint::{Signer, Verifier},
    tree::{Frontier, leaf_hash},
    verify::verify_export,
};
use time::OffsetDateTime;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ORIGIN: &str = "bench.example.com/ledger";
const SEED: [u8; 32] = [7; 32];

/// Events that are verified on one core: they are all in memory.
const IN_MEMORY: u64 = 300_000;

/// Different people who get passes.
const PEOPLE: u64 = 2_000;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let events: u64 = arguments.first().map_or(Ok(1_000_000), |it| it.parse())?;
    let folder = arguments.get(1).map_or(".", String::as_str);
    let folder = tempfile::tempdir_in(folder)?;
    let (file, key) = (folder.path().join("export"), key()?);
    write(&file, events.min(IN_MEMORY))?;
    let export = fs::read(&file)?;
    let begun = Instant::now();
    let report = verify_export(&export, &Verifier::parse(&key)?)?;
    line("one core", report.events, begun.elapsed(), None);
    drop(export);
    write(&file, events)?;
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_daypass"))
        .args(["ledger", "verify"])
        .arg(&file)
        .args(["--key", &key])
        .env("DAYPASS_STATE_DIR", folder.path().join("state"))
        .stdout(Stdio::null())
        .spawn()?;
    let mut memory = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        memory = memory.max(memory_of(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        return Err(format!("daypass ledger verify: {status}").into());
    }
    line(
        "daypass ledger verify",
        events,
        begun.elapsed(),
        Some(memory),
    );
    Ok(())
}

fn line(what: &str, events: u64, spent: Duration, memory: Option<u64>) {
    let rate = events as f64 / spent.as_secs_f64();
    let memory = memory.map_or(String::new(), |it| format!("  {it:>5} MB"));
    println!("{what:24} {events:>10} events  {rate:>9.0} events/s{memory}");
}

/// The largest memory of a process so far, in MB.
fn memory_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes / 1000)
}

/// The verifier key: it is in the signature line of each note only as a hash.
fn key() -> Outcome<String> {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use sha2::{Digest, Sha256};
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).map_err(|error| error.to_string())?;
    let key = [&[1], pair.public_key().as_ref()].concat();
    let hash = Sha256::new_with_prefix(ORIGIN)
        .chain_update("\n")
        .chain_update(&key)
        .finalize();
    let hash: String = base16ct::lower::encode_string(&hash)
        .chars()
        .take(8)
        .collect();
    Ok(format!("{ORIGIN}+{hash}+{}", STANDARD.encode(key)))
}

/// Writes an export of so many events.
fn write(path: &Path, events: u64) -> Outcome<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut frontier = Frontier::default();
    for index in 0..events {
        let leaf = match index {
            0 => started()?,
            index => issued(index),
        };
        frontier.push(leaf_hash(&leaf));
        file.write_all(&leaf)?;
        file.write_all(b"\n")?;
    }
    let note = Signer::new(ORIGIN, &SEED)?.sign(events, frontier.root());
    file.write_all(format!("\n{note}").as_bytes())?;
    Ok(file.flush()?)
}

fn started() -> Outcome<Vec<u8>> {
    let what = EventKind::started("bench", "bench.example.com");
    let at = OffsetDateTime::from_unix_timestamp(START)?;
    Ok(Event { index: 0, at, what }.to_bytes()?)
}

/// Unix seconds of the first event.
const START: i64 = 1_780_000_000;

/// A pass for half an hour, of the usual size and as a daemon writes it; ten seconds after the one
/// before it.
fn issued(index: u64) -> Vec<u8> {
    let now = START + i64::try_from(index).unwrap_or(0) * 10;
    let at = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = &time::format_description::well_known::Rfc3339;
    let at = at.format(format).unwrap_or_default();
    let (end, person) = (now + 1800, index % PEOPLE);
    let (policy, hash) = ("ab".repeat(32), "cd".repeat(32));
    format!(
        r#"{{"index":{index},"at":"{at}","type":"issued","who":{{"issuer":"https://id.example.com","subject":"00u{person:08}","label":"user{person}@example.com","claims":{{"iat":{now},"email":"user{person}@example.com","groups":["oncall","sre","everyone"]}}}},"ask":{{"role":"web-logs","host":"web-1.example.com","params":{{"unit":"nginx"}},"reason":"INC-4711","caller":"203.0.113.7"}},"key":"SHA256:uNiVztksCsDhcc0u9e8BrFcx9mfs6R2nbDgH7b{person:05}","binding":"nonce","key_id":"user{person}@example.com/web-logs","principals":["weblogs@web"],"command":"/usr/bin/journalctl --unit 'nginx'","extensions":[],"valid_after":{now},"valid_before":{end},"policy":"{policy}","ca":"SHA256:ca","to_be_signed":"{hash}"}}"#
    )
    .into_bytes()
}
