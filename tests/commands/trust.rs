//! The server's TLS certificate as clients meet it over the years, and the first contact by its
//! fingerprint.

use std::fs;

use daypass::outbound::CertificateFingerprint;

use crate::support::{command::Terminal, env::TestEnv};

/// Gives the server another certificate for `localhost`; its PEM and fingerprint.
async fn replace_certificate(
    env: &TestEnv,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let folder = env.world().files().dir();
    fs::write(folder.join("tls.pem"), made.pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    let reloaded = env.world().daemon().unwrap().reload().await.unwrap();
    assert!(reloaded.certificate);
    let fingerprint = CertificateFingerprint::of(made.der());
    (made.pem(), fingerprint.to_string())
}

/// A terminal without DAYPASS_CA_FILE; `system` is the file of the system's roots.
fn terminal(env: &TestEnv, name: &str, system: &str) -> Terminal {
    let mut terminal = env.terminal(name);
    terminal
        .variables
        .retain(|(name, _)| name != "DAYPASS_CA_FILE");
    terminal
        .variables
        .push(("SSL_CERT_FILE".to_owned(), system.to_owned()));
    terminal
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_system_trusts_replaces_the_remembered_one() {
    let env = TestEnv::start().await;
    let path = |name: &str| env.folder().join(name).display().to_string();
    let (own, system) = (path("own.pem"), path("system.pem"));
    fs::write(&own, env.server.tls_ca()).unwrap();
    let alice = terminal(&env, "alice", &system);
    let login = ["login", "--as", "alice", "--ca-file", &own];
    let done = alice.run(&login).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(alice.run(&["roles"]).await.code, 0, "it is remembered");

    // A public CA's certificate, as if by the system's roots.
    let (pem, _) = replace_certificate(&env, |_| {}).await;
    let untrusted = alice.run(&["roles"]).await;
    assert_eq!(untrusted.code, 6, "{untrusted:?}");
    let again = format!(
        "daypass login --server {}/ --server-fingerprint",
        env.server.url()
    );
    assert!(untrusted.stderr.contains(&again), "{untrusted:?}");
    fs::write(&system, pem).unwrap();
    let trusted = alice.run(&["roles"]).await;
    assert_eq!((trusted.code, &*trusted.stderr), (0, ""), "{trusted:?}");

    // The remembered file is gone: a note, and the system's roots count.
    fs::remove_file(&own).unwrap();
    let noted = alice.run(&["roles"]).await;
    assert_eq!(noted.code, 0, "{noted:?}");
    assert!(noted.stderr.contains("own.pem cannot be used"), "{noted:?}");
    fs::write(&own, "").unwrap();
    let noted = alice.run(&["roles"]).await;
    assert!(noted.stderr.contains("it has no certificate"), "{noted:?}");
    // As the note says: the next sign-in forgets it.
    assert_eq!(alice.run(&["login", "--as", "alice"]).await.code, 0);
    let quiet = alice.run(&["roles"]).await;
    assert_eq!((quiet.code, &*quiet.stderr), (0, ""), "{quiet:?}");
    // One that is named now must be good.
    let named = alice.run(&["roles", "--ca-file", &own]).await;
    assert_eq!(named.code, 2, "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_contact_is_by_the_fingerprint_and_remembered_for_this_server() {
    let env = TestEnv::start().await;
    let alice = terminal(&env, "alice", "/dev/null");
    let (_, other) = replace_certificate(&env, |_| {}).await;
    let (_, ours) = replace_certificate(&env, |_| {}).await;
    let first = |fingerprint: &str| {
        let words = [
            "login",
            "--as",
            "alice",
            "--server-fingerprint",
            fingerprint,
        ];
        let words = words.map(str::to_owned);
        let alice = alice.clone();
        async move { alice.run(&words.each_ref().map(String::as_str)).await }
    };
    let wrong = first(&other).await;
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(
        wrong.stderr.contains(&other) && wrong.stderr.contains(&ours),
        "{wrong:?}"
    );
    assert_eq!(first("SHA256:short").await.code, 2);
    // Nothing was remembered.
    assert_eq!(alice.run(&["login", "--as", "alice"]).await.code, 6);

    assert_eq!(first(&ours).await.code, 0);
    let roles = alice.run(&["roles"]).await;
    assert_eq!(roles.code, 0, "{roles:?}");
    // A new certificate: as before, with its fingerprint, in openssl's form.
    let (_, renewed) = replace_certificate(&env, |_| {}).await;
    assert_eq!(alice.run(&["roles"]).await.code, 6);
    assert_eq!(first(&renewed).await.code, 0);
    assert_eq!(alice.run(&["roles"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_and_one_for_another_name_are_named() {
    let env = TestEnv::start().await;
    let system = env.folder().join("system.pem").display().to_string();
    let alice = terminal(&env, "alice", &system);
    let day = time::Duration::days(1);
    let now = time::OffsetDateTime::now_utc();
    let expired = |it: &mut rcgen::CertificateParams| {
        (it.not_before, it.not_after) = (now - 9 * day, now - day);
    };
    let (pem, fingerprint) = replace_certificate(&env, expired).await;
    fs::write(&system, pem).unwrap();
    let login = ["login", "--as", "alice"];
    let done = alice.run(&login).await;
    assert!(
        done.stderr.contains("certificate expired at 20"),
        "{done:?}"
    );
    let by_fingerprint = [
        "login",
        "--as",
        "alice",
        "--server-fingerprint",
        &fingerprint,
    ];
    let done = alice.run(&by_fingerprint).await;
    assert!(
        done.stderr.contains("certificate expired at 20"),
        "{done:?}"
    );
    let other = |it: &mut rcgen::CertificateParams| {
        it.subject_alt_names = vec![rcgen::SanType::DnsName("db".try_into().unwrap())];
    };
    let (pem, _) = replace_certificate(&env, other).await;
    fs::write(&system, pem).unwrap();
    let done = alice.run(&login).await;
    assert_eq!(done.code, 6, "{done:?}");
    assert!(done.stderr.contains("is for another name"), "{done:?}");
}
