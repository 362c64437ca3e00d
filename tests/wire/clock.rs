//! A server whose clock was wrong at one start: what was revoked stays revoked, and what is out can
//! be revoked.

use crate::support::{
    api::{Api, Caller, ask, with_token},
    env::TestEnv,
    faketime, https,
    ledger::trust,
    policy,
    server::{Process, ServerFiles},
};
use daypass::{
    ledger::order::{Target, Verb},
    proto::v1::{AdminOrder, KeyProof, RevokeRequest, revoke_request},
};
use ssh_key::PublicKey;

/// The variables that put a program's clock so far off, by libfaketime.
fn clock(offset: &str) -> Vec<String> {
    let mut words = vec!["env".to_owned(), format!("FAKETIME={offset}")];
    words.extend(faketime::variables().map(|(name, value)| format!("{name}={value}")));
    words
}

async fn start(server: &ServerFiles, prefix: &[String]) -> (Process, Api) {
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let mut process = server.spawn(&prefix);
    let api = server.expect_api(&mut process).await;
    (process, api)
}

async fn pass(server: &ServerFiles, api: &Api) -> u64 {
    let caller = Caller::new();
    let token = server.token(&caller, "bob", &["sre"]);
    let attempt = caller.attempt(api.server_name(), &token, ask("shell"));
    api.issue(&attempt).await.unwrap().serial
}

/// The serials that it revoked.
async fn revoke(server: &ServerFiles, api: &Api, serial: u64) -> Vec<u64> {
    let caller = Caller::new();
    let token = server.token(&caller, "carol", &["security"]);
    let signed = (Verb::Revoke, &Target::Serial(serial), "", 0);
    let (public_key, binding_secret, signature) = caller.prove(api.server_name(), &token, signed);
    let request = RevokeRequest {
        restore: None,
        target: Some(revoke_request::Target::Serial(serial)),
        order: Some(AdminOrder {
            reason: String::new(),
            after: 0,
            proof: Some(KeyProof {
                public_key,
                binding_secret,
                signature,
            }),
        }),
    };
    let answer = api.admin().revoke(with_token(request, &token)).await;
    answer.unwrap().into_inner().serials
}

/// The list's version, and which of these passes it revokes.
async fn krl(server: &ServerFiles, api: &Api, serials: &[u64]) -> (u64, Vec<u64>) {
    let krl = https::krl(&server.url(), server.tls_ca()).await;
    let ca = PublicKey::from_openssh(&trust(api).await.ca_keys[0].public_key).unwrap();
    let blob = ca.to_bytes().unwrap();
    let revoked = serials.iter().copied();
    let revoked = revoked.filter(|serial| krl.revokes(&blob, *serial));
    (krl.version(), revoked.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_two_days_ahead_undoes_no_revocation_and_loses_no_pass() {
    let server = TestEnv::new().policy(policy::SHELL).prepare().await;
    let (process, api) = start(&server, &[]).await;
    let (gone, out) = (pass(&server, &api).await, pass(&server, &api).await);
    assert_eq!(revoke(&server, &api, gone).await, [gone]);
    let before = krl(&server, &api, &[gone, out]).await;
    assert_eq!(before.1, [gone]);
    process.stop().await;

    let (process, api) = start(&server, &clock("+2d")).await;
    let ahead = krl(&server, &api, &[gone, out]).await;
    assert_eq!(ahead, before, "nothing changed, but the clock");
    process.stop().await;
    let log = server.log();
    assert!(
        log.contains("the clock is far ahead of the last event"),
        "{log}"
    );

    let (process, api) = start(&server, &[]).await;
    assert_eq!(krl(&server, &api, &[gone, out]).await, before);
    assert_eq!(revoke(&server, &api, out).await, [out]);
    let (version, revoked) = krl(&server, &api, &[gone, out]).await;
    assert_eq!(revoked, [gone, out]);
    assert!(version > before.0);
    process.stop().await;
    let log = server.log();
    assert!(log.contains("the clock is behind the last event"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_clock_behind_the_ledger_is_refused_unless_told() {
    let server = TestEnv::new().policy(policy::SHELL).prepare().await;
    let (process, api) = start(&server, &[]).await;
    pass(&server, &api).await;
    process.stop().await;
    let behind = clock("-2d");
    let behind: Vec<&str> = behind.iter().map(String::as_str).collect();
    let mut process = server.spawn(&behind);
    assert_eq!(process.ended().await.code(), Some(1));
    let log = server.log();
    for part in [
        "the clock is 1 d 23 h behind",
        "timedatectl",
        "--accept-clock",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let mut process = server.spawn_with(&behind, &["--accept-clock"]);
    assert!(server.api(&mut process).await.is_some(), "{}", server.log());
    process.stop().await;
    let (process, api) = start(&server, &[]).await;
    pass(&server, &api).await;
    process.stop().await;
}
