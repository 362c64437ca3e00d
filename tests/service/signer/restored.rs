//! An older copy of the ledger is restored while a signer remembers the lost one: the signer of the
//! key that was activated since.

use std::{fs, process::Command};

use daypass::ledger::event::CaKeyStep;
use ssh_key::{HashAlg, PublicKey};

use super::{BEHIND, new_key, prepare};
use crate::{
    ca_keys::user,
    support::{
        command::{DAYPASS, must},
        env::TestEnv,
    },
};

const POLICY: &str = "[audit]\nallow = 'true'\n[admin]\nallow = 'claims.sub == \"carol\"'\n";

/// The order was tried out with the signer first, which was shown the restored ledger, took it for
/// a forged one, and signed nothing until its operator acted.
#[tokio::test(flavor = "multi_thread")]
async fn no_order_shows_a_restored_ledger_to_a_signer_before_it_is_accepted() {
    let files = TestEnv::new().policy(POLICY).prepare().await;
    let signer = prepare(&files, "file = \"ca_key\"");
    let public = PublicKey::from_openssh(&new_key(&signer, &["-t", "ed25519"])).unwrap();
    let key = public.fingerprint(HashAlg::Sha256).to_string();
    let text = fs::read_to_string(files.configuration()).unwrap();
    let section = format!("[[ca.key]]\n{BEHIND}\nstate = \"staged\"\n\n[ledger]\n");
    assert!(text.contains("[ledger]\n"), "{text}");
    fs::write(
        files.configuration(),
        text.replacen("[ledger]\n", &section, 1),
    )
    .unwrap();
    let first = must(
        "ssh-keygen",
        &["-y", "-f", files.path("ca_key").to_str().unwrap()],
        &[],
    );
    fs::write(signer.path("first.pub"), first).unwrap();
    let text = fs::read_to_string(signer.path("signer.toml")).unwrap();
    let text = text.replace("[key]", "others = [\"first.pub\"]\n[key]");
    fs::write(signer.path("signer.toml"), text).unwrap();
    signer.must(&["accept", "--new"]);
    let running = signer.spawn(&[]);

    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let carol = user(&files, &api, "carol");
    carol
        .order_ca_key(CaKeyStep::Stage, &key, "")
        .await
        .unwrap();
    process.stop().await;
    let (state, copy) = (files.path("state"), files.path("copy"));
    let words = ["-a", state.to_str().unwrap(), copy.to_str().unwrap()];
    must("cp", &words, &[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let carol = user(&files, &api, "carol");
    carol
        .order_ca_key(CaKeyStep::Activate, &key, "tested")
        .await
        .unwrap();
    process.stop().await;
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&copy, &state).unwrap();
    let marked = Command::new(DAYPASS)
        .args(["restore", "--by-hand", "--config"])
        .arg(files.configuration())
        .output()
        .unwrap();
    assert!(marked.status.success(), "{marked:?}");

    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let carol = user(&files, &api, "carol");
    for (step, reason) in [(CaKeyStep::Activate, "again"), (CaKeyStep::Retire, "again")] {
        let refused = carol.order_ca_key(step, &key, reason).await.unwrap_err();
        assert_eq!(refused.reason, "LEDGER_RESTORED", "{refused:?}");
    }
    assert!(!signer.log().contains("ALARM"), "{}", signer.log());
    process.stop().await;
    running.stop().await;
    signer.must(&["--check"]);
}
