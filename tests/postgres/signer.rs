//! Two servers over one ledger share a signer: each may be behind what the other has shown it.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{
    cluster::Cluster,
    daemons::{prepared, start_all},
    support::{
        api::ask,
        files::{folder, new_key, write_key},
        ledger,
        signer::{SignerFiles, verifier},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_signer_and_every_pass_of_both_is_signed() {
    let database = Cluster::shared().database().await;
    let addresses = [database.address(), database.address()];
    let servers = prepared(&addresses, "", &[]).await;
    let place = folder();
    let ceilings = "[[ceiling]]\nprincipals = [\"root\"]\nttl = \"1h\"\n";
    let key = "file = \"ca_key\"";
    let signer = SignerFiles::prepare(place.path(), &verifier(&servers[0]), key, ceilings);
    let private = new_key();
    write_key(&signer.path("ca_key"), &private);
    let public = private.public_key().to_openssh().unwrap();
    std::fs::write(signer.path("ca_key.pub"), public).unwrap();
    for server in &servers {
        server.replace_ca_key(&format!(
            "file = \"{}\"\nsigner = \"{}\"",
            signer.path("ca_key.pub").display(),
            signer.socket().display()
        ));
    }
    signer.must(&["accept", "--new"]);
    let _running = signer.spawn(&[]);
    let daemons = start_all(servers).await;

    let mut callers = JoinSet::new();
    for daemon in &daemons {
        for _ in 0..20 {
            let alice = daemon.user("alice", &["sre"]);
            callers.spawn(async move {
                let mut serials = Vec::new();
                for _ in 0..5 {
                    let pass = alice.issue(ask("shell")).await;
                    serials.push(pass.unwrap_or_else(|refused| panic!("{refused:?}")).serial);
                }
                serials
            });
        }
    }
    let mut serials = callers.join_all().await.concat();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), 200);
    let kinds = daemons[0].kinds().await;
    assert!(
        !kinds.iter().any(|kind| kind == "signing_failed"),
        "{kinds:?}"
    );
    // One after the other, which is when each is behind the other every time.
    let [a, b] = [0, 1].map(|at| daemons[at].user("alice", &["sre"]));
    let begun = Instant::now();
    for _ in 0..10 {
        a.issue(ask("shell")).await.unwrap();
        b.issue(ask("shell")).await.unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    let said = signer.must(&["--check"]);
    assert!(said.contains("Nothing is wrong."), "{said}");
    let carol = daemons[1].user("carol", &["security"]);
    ledger::assert_verifies(&daemons[1].api, &carol.token).await;
}
