//! kill -9 of the daemon at a hundred commits under load: the ledger verifies after each restart,
//! and every pass that any client holds is in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "crash/handover.rs"]
mod handover;
mod support;

use std::{
    collections::BTreeMap, ops::RangeInclusive, os::unix::process::ExitStatusExt, sync::Arc,
};

use sha2::{Digest, Sha256};
use ssh_key::Certificate;
use support::{
    api::{Api, Caller, ask},
    env::TestEnv,
    ledger::assert_verifies,
    policy,
    server::ServerFiles,
};
use tokio::sync::Mutex;

/// strace ends as the daemon under it did.
const SIGKILL: i32 = 9;
const POINTS: usize = 100;
const CALLERS: usize = 2;

/// Every pass a client got: serial, and the hash of what the CA signed.
type Held = Arc<Mutex<BTreeMap<u64, String>>>;

/// Kills at the first commits of a run and at the last ones, in series of their own, each with its
/// own ledger: each start verifies all of it. Two series at a time.
#[tokio::test(flavor = "multi_thread")]
async fn no_pass_outlives_its_record_through_a_hundred_kills() {
    let quarter = POINTS / 4;
    let (mut killed_under_load, mut passes) = (0, 0);
    for pair in [[0, 3], [1, 2]] {
        let pair = pair.map(|at| tokio::spawn(kills(at * quarter + 1..=(at + 1) * quarter)));
        for series in pair {
            let (killed, held) = series.await.unwrap();
            killed_under_load += killed;
            passes += held;
        }
    }
    println!("{killed_under_load} of {POINTS} kills under load, {passes} passes held");
    assert!(
        killed_under_load > POINTS / 2,
        "most kills must hit a daemon that serves"
    );
    assert!(passes > POINTS, "the load must get passes between kills");
}

/// Kills one server at each of these commits after its start. Returns how many kills hit a server
/// under load, and how many passes its clients hold.
async fn kills(points: RangeInclusive<usize>) -> (usize, usize) {
    let server = TestEnv::new().policy(policy::SHELL).prepare().await;
    let held = Held::default();
    let mut killed_under_load = 0;
    for point in points {
        let inject = format!("inject=fsync,fdatasync:signal=KILL:when={point}");
        let trace = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            &inject,
        ];
        let mut process = server.spawn(&trace);
        let Some(api) = server.api(&mut process).await else {
            continue;
        };
        check(&server, &api, &held).await;
        load(&server, &api, &held).await;
        let status = process.ended().await;
        killed_under_load += usize::from(status.signal() == Some(SIGKILL));
    }
    let mut process = server.spawn(&[]);
    let api = server.expect_api(&mut process).await;
    check(&server, &api, &held).await;
    (killed_under_load, held.lock().await.len())
}

/// Issues from several callers until the daemon is gone.
async fn load(server: &ServerFiles, api: &Api, held: &Held) {
    let callers = (0..CALLERS).map(|_| {
        let (api, held, caller) = (api.clone(), held.clone(), Caller::new());
        let token = server.token(&caller, "alice", &["sre"]);
        tokio::spawn(async move {
            let attempt = caller.attempt(api.server_name(), &token, ask("shell"));
            // Bounded: the kill comes within the first hundred commits of the run.
            for _ in 0..500 {
                let Ok(pass) = api.issue(&attempt).await else {
                    break;
                };
                let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
                held.lock()
                    .await
                    .insert(pass.serial, signed_hash(&certificate));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// The whole ledger verifies, and each held pass is the event of its serial.
async fn check(server: &ServerFiles, api: &Api, held: &Held) {
    let auditor = server.token(&Caller::new(), "carol", &["security"]);
    let export = assert_verifies(api, &auditor).await;
    let events: BTreeMap<u64, serde_json::Value> = export
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty())
        .map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap())
        .map(|event| (event["index"].as_u64().unwrap(), event))
        .collect();
    for (serial, hash) in held.lock().await.iter() {
        let event = events
            .get(serial)
            .unwrap_or_else(|| panic!("pass {serial} is not in the ledger"));
        assert_eq!(event["type"], "issued", "pass {serial}");
        assert_eq!(
            event["to_be_signed"].as_str(),
            Some(hash.as_str()),
            "pass {serial}"
        );
    }
}

/// Hex SHA-256 of the certificate without its signature: the wire form less the last field.
fn signed_hash(certificate: &Certificate) -> String {
    let bytes = certificate.to_bytes().unwrap();
    let signature = ssh_key_signature_length(certificate);
    let body = &bytes[..bytes.len() - 4 - signature];
    base16ct::lower::encode_string(&Sha256::digest(body))
}

fn ssh_key_signature_length(certificate: &Certificate) -> usize {
    ssh_encoding::Encode::encoded_len(certificate.signature()).unwrap()
}
