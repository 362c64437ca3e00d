//! What SIGHUP replaces, and what stays when it is broken.

use std::fs;

use daypass::{
    config::Config,
    daemon::{self, Running},
};
use rcgen::{CertificateParams, KeyPair};

use crate::process::{Home, get};

type Break = fn(&Home);

async fn running(home: &Home) -> Running {
    let config = Config::load(&home.config()).unwrap();
    daemon::start(config, None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_policy_is_recorded_and_in_force() {
    let home = Home::new();
    let daemon = running(&home).await;
    let before = daemon.authority().policy().hash().to_owned();
    let size = daemon.authority().store.size();
    assert_eq!(daemon.reload().await.unwrap(), daemon::Reloaded::default());
    assert_eq!(
        daemon.authority().store.size(),
        size,
        "an unchanged file is no event"
    );
    home.edit("policy.toml", "\"8h\"", "\"4h\"");
    let reloaded = daemon.reload().await.unwrap();
    let after = daemon.authority().policy().hash().to_owned();
    assert_ne!(before, after);
    assert_eq!(reloaded.policy.as_ref(), Some(&after));
    let entries = daemon.authority().store.entries(size, 10).await.unwrap();
    let [(_, event)] = &entries[..] else {
        panic!("one event, not {}", entries.len());
    };
    assert!(String::from_utf8_lossy(event).contains(&after));
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_policy_changes_nothing_but_the_certificate_is_replaced_all_the_same() {
    let home = Home::new();
    let daemon = running(&home).await;
    let before = daemon.authority().policy().hash().to_owned();
    home.edit("policy.toml", "[limits]", "[limits");
    fs::copy(home.path("tls.pem"), home.path("old.pem")).unwrap();
    new_certificate(&home);
    let error = daemon.reload().await.unwrap_err().to_string();
    assert!(
        error.starts_with("kept what does not load as it was: ")
            && error.contains("policy.toml:6: "),
        "{error}"
    );
    assert_eq!(daemon.authority().policy().hash(), before);
    get(daemon.address(), &home.path("tls.pem"), "/healthz")
        .await
        .unwrap();
    get(daemon.address(), &home.path("old.pem"), "/healthz")
        .await
        .unwrap_err();
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_certificate_leaves_the_old_one_serving() {
    let home = Home::new();
    let daemon = running(&home).await;
    fs::copy(home.path("tls.pem"), home.path("old.pem")).unwrap();
    let broken: [(&str, Break); 3] = [
        ("no file", |home| {
            fs::remove_file(home.path("tls.pem")).unwrap()
        }),
        ("no PEM", |home| {
            fs::write(home.path("tls.pem"), "nonsense").unwrap()
        }),
        ("another's key", |home| {
            let key = KeyPair::generate().unwrap().serialize_pem();
            fs::write(home.path("tls.key"), key).unwrap();
            fs::copy(home.path("old.pem"), home.path("tls.pem")).unwrap();
        }),
    ];
    for (case, break_it) in broken {
        break_it(&home);
        let error = daemon.reload().await.unwrap_err().to_string();
        assert!(error.contains("TLS certificate"), "{case}: {error}");
        let answer = get(daemon.address(), &home.path("old.pem"), "/healthz").await;
        assert!(answer.unwrap().status().is_success(), "{case}");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_said_to_need_a_restart() {
    let home = Home::new();
    let daemon = running(&home).await;
    home.edit("daypass.toml", "level  = \"info\"", "level  = \"debug\"");
    home.edit("daypass.toml", "# Daypass", "# The comment of Daypass");
    assert_eq!(daemon.reload().await.unwrap().needs_restart, ["log.level"]);
    home.edit("daypass.toml", "[log]", "[log");
    let error = daemon.reload().await.unwrap_err().to_string();
    assert!(error.contains("daypass.toml:"), "{error}");
    daemon.stop().await.unwrap();
}

fn new_certificate(home: &Home) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(home.path("tls.pem"), certificate.pem()).unwrap();
    fs::write(home.path("tls.key"), key.serialize_pem()).unwrap();
}
