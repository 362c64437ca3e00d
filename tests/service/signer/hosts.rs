//! The key that signs host certificates behind a signer of its own.

use std::fs;

use ssh_key::{Certificate, PublicKey};

use super::new_key;
use crate::{
    ca_keys::until,
    support::{
        api::{Api, Caller, ask},
        env::TestEnv,
        hosts::{TestHost, join},
        policy,
        server::ServerFiles,
        signer::{SignerFiles, verifier},
        user::TestUser,
    },
};

/// The names that an administrator may add; the signer allows web hosts alone.
const SECTION: &str = "[hosts]\nnames = [\"web-*\", \"db-*\"]\n[[hosts.key]]\n\
                       file = \"signer/ca_key.pub\"\nsigner = \"signer/socket\"\nstate = \"active\"\n";

const CEILING: &str = "[[host_ceiling]]\nnames = [\"web-*\"]\nlifetime = \"14d\"\n";

fn user(files: &ServerFiles, api: &Api, name: &str, group: &str) -> TestUser {
    let caller = Caller::new();
    let token = files.token(&caller, name, &[group]);
    TestUser {
        name: name.to_owned(),
        caller,
        token,
        api: api.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_ca_key_behind_a_signer_certifies_within_its_ceiling_and_passes_do_without_it() {
    let policy = format!("{}[hosts]\nweb = [\"web-*\"]\n", policy::SHELL);
    let files = TestEnv::new().policy(policy).prepare().await;
    let key = "file = \"ca_key\"";
    let signer = SignerFiles::prepare(files.folder(), &verifier(&files), key, CEILING);
    let public = new_key(&signer, &["-t", "ed25519"]);
    signer.must(&["accept", "--new"]);
    let text = fs::read_to_string(files.configuration()).unwrap();
    fs::write(files.configuration(), text + SECTION).unwrap();
    let running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let carol = user(&files, &api, "carol", "security");
    let server = api.server_name().to_owned();

    let web = TestHost::new("web-1");
    let code = carol.add_host("web-1", false).await.unwrap();
    let mut answer = join(&api, web.joining(&server, &code)).await;
    // The server may not have found the signer yet.
    for _ in 0..50 {
        if answer.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        answer = join(&api, web.joining(&server, &code)).await;
    }
    let answer = answer.unwrap_or_else(|refusal| panic!("{refusal:?}\n{}", files.log()));
    let public = PublicKey::from_openssh(&public).unwrap();
    for text in &answer.certificates {
        let certificate = Certificate::from_openssh(text).unwrap();
        certificate.verify_signature().unwrap();
        assert_eq!(certificate.signature_key(), public.key_data());
    }
    assert_eq!(answer.certificates.len(), 2);

    // Above the signer's ceiling: recorded, not signed, and said so.
    let db = TestHost::new("db-1");
    let code = carol.add_host("db-1", false).await.unwrap();
    let refused = join(&api, db.joining(&server, &code)).await.unwrap_err();
    assert_eq!(refused.reason, "NOT_ISSUABLE", "{refused:?}");
    assert!(signer.log().contains("host name db-1"), "{}", signer.log());
    let events = api.events(&carol.token, 0).await;
    assert!(events.iter().any(|it| it["type"] == "signing_failed"));

    // Without it no host is certified, and passes are issued: their key is another one.
    running.stop().await;
    let other = TestHost::new("web-2");
    let code = carol.add_host("web-2", false).await.unwrap();
    until(async || {
        let refused = join(&api, other.joining(&server, &code)).await.unwrap_err();
        refused.reason == "CA_UNAVAILABLE"
    })
    .await;
    let alice = user(&files, &api, "alice", "sre");
    alice.issue(ask("shell")).await.unwrap();
    process.stop().await;
}
