//! kill -9 of the daemon at a hundred commits under load: the ledger verifies after each restart, and every pass that any
//! client holds is in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod support;

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt, sync::Arc};

use daypass::{
    identity::issuer::Algorithm,
    ledger::{checkpoint::Verifier, verify::verify_export},
    proto::v1::{
        ExportRequest, GetTrustRequest, ledger_client::LedgerClient, trust_client::TrustClient,
    },
};
use sha2::{Digest, Sha256};
use ssh_key::Certificate;
use support::{
    api::{Api, Caller, ask, with_token},
    server::ServerFiles,
};
use tokio::sync::Mutex;

/// strace ends as the daemon under it did.
const SIGKILL: i32 = 9;
const POINTS: usize = 100;
const CALLERS: usize = 2;

const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["root"]
[audit]
allow = '"security" in claims.groups'
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["root"]
ttl = "1h"
"#;

/// Every pass a client got: serial, and the hash of what the CA signed.
type Held = Arc<Mutex<BTreeMap<u64, String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn no_pass_outlives_its_record_through_a_hundred_kills() {
    let folder = tempfile::tempdir().unwrap();
    let served = ServerFiles::prepare(folder.path(), POLICY).await;
    let held = Held::default();
    let mut killed_under_load = 0;
    for point in 1..=POINTS {
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
        let mut process = served.spawn(&trace);
        let Some(door) = served.door(&mut process).await else {
            continue;
        };
        check(&served, &door, &held).await;
        load(&served, &door, &held).await;
        let status = process.ended().await;
        killed_under_load += usize::from(status.signal() == Some(SIGKILL));
    }
    let mut process = served.spawn(&[]);
    let door = served.door(&mut process).await.expect("a clean start");
    check(&served, &door, &held).await;
    let passes = held.lock().await.len();
    println!("{killed_under_load} of {POINTS} kills under load, {passes} passes held");
    assert!(
        killed_under_load > POINTS / 2,
        "most kills must hit a daemon that serves"
    );
    assert!(passes > POINTS, "the load must get passes between kills");
}

/// Issues from several callers until the daemon is gone.
async fn load(served: &ServerFiles, door: &Api, held: &Held) {
    let callers = (0..CALLERS).map(|_| {
        let (door, held, caller) = (door.clone(), held.clone(), Caller::new());
        let token = token(served, &caller, "alice", "sre");
        tokio::spawn(async move {
            let attempt = caller.attempt(door.server_name(), &token, ask("shell"));
            // Bounded: the kill comes within the first hundred commits of the run.
            for _ in 0..500 {
                let Ok(pass) = door.issue(&attempt).await else {
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
async fn check(served: &ServerFiles, door: &Api, held: &Held) {
    let verifier = TrustClient::new(door.channel())
        .get_trust(GetTrustRequest {})
        .await
        .unwrap()
        .into_inner();
    let verifier = Verifier::parse(&verifier.ledger_verifier_key).unwrap();
    let export = export(served, door).await;
    verify_export(&export, &verifier).unwrap();
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

async fn export(served: &ServerFiles, door: &Api) -> Vec<u8> {
    let caller = Caller::new();
    let auditor = token(served, &caller, "carol", "security");
    let request = with_token(ExportRequest {}, &auditor);
    let mut stream = LedgerClient::new(door.channel())
        .export(request)
        .await
        .unwrap()
        .into_inner();
    let mut bytes = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        bytes.extend(part.chunk);
    }
    bytes
}

fn token(served: &ServerFiles, caller: &Caller, subject: &str, group: &str) -> String {
    let claims = caller.claims(served.issuer.url(), subject, &[group], support::now());
    served.issuer.sign(Algorithm::ES256, &claims)
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
