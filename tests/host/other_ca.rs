//! `host setup --also-trust`: the time between two CAs, with a real sshd.

use std::fs;

use super::{
    ca::Ca,
    fake_ca::{FakeCa, keys_signed, krl_signed},
    host::{Host, setup_arguments},
    sshd::{Sshd, log, login},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_between_two_cas_takes_passes_of_both_also_after_a_sync() {
    let (ca, next, other) = (Ca::new(), Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let file = host.root.join("other.pub");
    fs::write(&file, other.line()).unwrap();
    let also = ["--also-trust", file.to_str().unwrap()];
    let report = host.set_up(&server, &also).await;
    assert_eq!(
        report["also_trusted"][0]["fingerprint"],
        other.fingerprint()
    );
    let sshd = Sshd::start(&host);
    let passes = [&ca, &other].map(|ca| ca.pass(7, &[&login()]));
    for pass in &passes {
        assert!(sshd.takes(pass), "{}", log(&host));
    }
    assert!(!sshd.takes(&Ca::new().pass(7, &[&login()])), "a stranger's");

    // The list revokes passes of Daypass alone, and a new key of it leaves the other CA's.
    server.keys(keys_signed(&[&ca, &next], &ca));
    server.krl(krl_signed(&ca, 5, &[7]));
    host.json(&["sync"]).await;
    assert!(!sshd.takes(&passes[0]), "{}", log(&host));
    assert!(sshd.takes(&passes[1]), "{}", log(&host));
    assert!(sshd.takes(&next.pass(8, &[&login()])), "{}", log(&host));

    let output = host.daypass(&["doctor"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(&format!(
            "{} of another CA is trusted too",
            other.fingerprint()
        )),
        "{text}"
    );
    assert!(text.ends_with("Nothing is wrong.\n"), "{text}");

    host.set_up(&server, &[]).await;
    drop(sshd);
    let sshd = Sshd::start(&host);
    assert!(!sshd.takes(&passes[1]), "its time is over: {}", log(&host));
    assert!(sshd.takes(&next.pass(8, &[&login()])), "{}", log(&host));
}

/// The other CA's keys are for sshd. They prove no answer of the server.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_ca_cannot_sign_what_a_host_fetches() {
    let (ca, other) = (Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let file = host.root.join("other.pub");
    fs::write(&file, other.line()).unwrap();
    host.set_up(&server, &["--also-trust", file.to_str().unwrap()])
        .await;
    server.keys(keys_signed(&[&other], &other));
    assert_eq!(host.fails(&["sync"]).await.1, "SIGNATURE");
    server.keys(keys_signed(&[&ca], &ca));
    server.krl(krl_signed(&other, 5, &[7]));
    assert_eq!(host.fails(&["sync"]).await.1, "SIGNATURE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_keys_changes_nothing() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let roots = host.roots(&server);
    let file = host.root.join("other.pub");
    for text in ["", "nonsense\n", "ssh-rsa AAAA\n"] {
        fs::write(&file, text).unwrap();
        let before = host.everything();
        let also = ["--also-trust", file.to_str().unwrap()];
        let failure = host
            .fails(&setup_arguments(&server.url, &roots, &also))
            .await;
        assert_eq!((failure.0, &*failure.1), (2, "USAGE"), "{text:?}");
        assert_eq!(host.everything(), before, "{text:?}");
    }
}
