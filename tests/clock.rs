//! A server whose clock was wrong at one start: what was revoked stays revoked, and what is out can be revoked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod support;

use std::process::Command;

use daypass::{
    identity::issuer::Algorithm,
    ledger::order::{Target, Verb},
    proto::v1::{
        GetTrustRequest, RevokeRequest, admin_client::AdminClient, revoke_request,
        trust_client::TrustClient,
    },
    ssh::krl::Krl,
};
use ssh_key::PublicKey;
use support::{
    api::{Api, Caller, ask, with_token},
    server::{Process, ServerFiles},
};

const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["root"]
[admin]
allow = '"security" in claims.groups'
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["root"]
ttl = "8h"
"#;

/// The variables that put a program's clock so far off, by libfaketime.
fn clock(offset: &str) -> Vec<String> {
    let asked = Command::new("faketime")
        .args(["-f", offset, "printenv", "LD_PRELOAD"])
        .output()
        .expect("faketime is missing: apt-get install faketime");
    let library = String::from_utf8(asked.stdout).unwrap();
    assert!(library.contains("faketime"), "{library:?}");
    vec![
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.trim()),
        format!("FAKETIME={offset}"),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ]
}

async fn start(served: &ServerFiles, prefix: &[String]) -> (Process, Api) {
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let mut process = served.spawn(&prefix);
    let door = served.door(&mut process).await;
    (
        process,
        door.unwrap_or_else(|| panic!("it ended: {}", served.log())),
    )
}

async fn stop(mut process: Process) {
    let id = process.0.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
    assert!(sent.unwrap().success());
    assert!(process.ended().await.success());
}

fn token(served: &ServerFiles, caller: &Caller, subject: &str, group: &str) -> String {
    let claims = caller.claims(served.issuer.url(), subject, &[group], support::now());
    served.issuer.sign(Algorithm::ES256, &claims)
}

async fn pass(served: &ServerFiles, door: &Api) -> u64 {
    let caller = Caller::new();
    let token = token(served, &caller, "bob", "sre");
    let attempt = caller.attempt(door.server_name(), &token, ask("shell"));
    door.issue(&attempt).await.unwrap().serial
}

/// The serials that it revoked.
async fn revoke(served: &ServerFiles, door: &Api, serial: u64) -> Vec<u64> {
    let caller = Caller::new();
    let token = token(served, &caller, "carol", "security");
    let signed = (Verb::Revoke, &Target::Serial(serial), "", 0);
    let (public_key, binding_secret, signature) = caller.prove(door.server_name(), &token, signed);
    let request = RevokeRequest {
        target: Some(revoke_request::Target::Serial(serial)),
        reason: String::new(),
        public_key,
        binding_secret,
        signature,
        after: 0,
    };
    let answer = AdminClient::new(door.channel())
        .revoke(with_token(request, &token))
        .await;
    answer.unwrap().into_inner().serials
}

/// The list's version, and which of these passes it revokes.
async fn krl(served: &ServerFiles, door: &Api, serials: &[u64]) -> (u64, Vec<u64>) {
    let root = reqwest::Certificate::from_pem(served.tls_ca().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
    let url = format!("{}/krl", served.url());
    let answer = client.build().unwrap().get(url).send().await.unwrap();
    let krl = Krl::parse(&answer.bytes().await.unwrap()).unwrap();
    let mut trust = TrustClient::new(door.channel());
    let trust = trust.get_trust(GetTrustRequest {}).await;
    let trust = trust.unwrap().into_inner();
    let ca = PublicKey::from_openssh(&trust.ca_keys[0].public_key).unwrap();
    let blob = ca.to_bytes().unwrap();
    let revoked = serials.iter().copied();
    (
        krl.version(),
        revoked
            .filter(|serial| krl.revokes(&blob, *serial))
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_two_days_ahead_undoes_no_revocation_and_loses_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    let served = ServerFiles::prepare(folder.path(), POLICY).await;
    let (process, door) = start(&served, &[]).await;
    let (gone, out) = (pass(&served, &door).await, pass(&served, &door).await);
    assert_eq!(revoke(&served, &door, gone).await, [gone]);
    let before = krl(&served, &door, &[gone, out]).await;
    assert_eq!(before.1, [gone]);
    stop(process).await;

    let (process, door) = start(&served, &clock("+2d")).await;
    let ahead = krl(&served, &door, &[gone, out]).await;
    assert_eq!(ahead, before, "nothing changed, but the clock");
    stop(process).await;
    let log = served.log();
    assert!(
        log.contains("the clock is far ahead of the last event"),
        "{log}"
    );

    let (process, door) = start(&served, &[]).await;
    assert_eq!(krl(&served, &door, &[gone, out]).await, before);
    assert_eq!(revoke(&served, &door, out).await, [out]);
    let (version, revoked) = krl(&served, &door, &[gone, out]).await;
    assert_eq!(revoked, [gone, out]);
    assert!(version > before.0);
    stop(process).await;
    let log = served.log();
    assert!(log.contains("the clock is behind the last event"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_clock_behind_the_ledger_is_refused_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let served = ServerFiles::prepare(folder.path(), POLICY).await;
    let (process, door) = start(&served, &[]).await;
    pass(&served, &door).await;
    stop(process).await;
    let behind = clock("-2d");
    let behind: Vec<&str> = behind.iter().map(String::as_str).collect();
    let mut process = served.spawn(&behind);
    assert_eq!(process.ended().await.code(), Some(1));
    let log = served.log();
    for part in [
        "the clock is 1 d 23 h behind",
        "timedatectl",
        "--accept-clock",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let mut process = served.spawn_with(&behind, &["--accept-clock"]);
    assert!(
        served.door(&mut process).await.is_some(),
        "{}",
        served.log()
    );
    stop(process).await;
    let (process, door) = start(&served, &[]).await;
    pass(&served, &door).await;
    stop(process).await;
}
