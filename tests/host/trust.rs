//! The server's TLS certificate over the years: replaced, expired, for another name; and the file
//! of roots that a host remembers, lost or emptied.

use std::fs;

use serde_json::Value;

use super::{
    ca::Ca,
    fake_ca::{Certificate, FakeCa},
    host::Host,
    sshd::principals_user,
    support::proxy::{Manner, Proxy},
};

async fn world() -> (Ca, FakeCa, Host) {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let as_user = principals_user();
    let arguments = ["--group", "web", "--principals-user", &as_user];
    host.set_up(&server, &arguments).await;
    host.json(&["sync"]).await;
    (ca, server, host)
}

/// What `host doctor` finds wrong.
async fn wrong(host: &Host) -> Vec<String> {
    let output = host.daypass(&["doctor", "--format", "json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let wrong = findings.filter(|finding| finding["level"] == "wrong");
    wrong
        .map(|it| it["message"].as_str().unwrap().to_owned())
        .collect()
}

/// A host remembers the self-signed certificate, and the server gets one by a public CA.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_system_trusts_replaces_the_remembered_one() {
    let (_, server, host) = world().await;
    let public = Certificate::new(|_| {});
    let roots = host.root.join("system.pem");
    fs::write(&roots, &public.pem).unwrap();
    server.certificate(&public);
    let system = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    let synced = host.daypass_with(&["sync"], &system).await;
    assert!(synced.status.success(), "{synced:?}");
    // The remembered one still counts, too.
    let own = Certificate::new(|_| {});
    server.certificate(&own);
    fs::write(host.path("daypass/tls-ca.pem"), &own.pem).unwrap();
    let synced = host.daypass_with(&["sync"], &system).await;
    assert!(synced.status.success(), "{synced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_failed_sync_and_names_the_command_that_mends_it() {
    let (_, server, host) = world().await;
    let renewed = Certificate::new(|_| {});
    server.certificate(&renewed);
    let failure = host.fails(&["sync"]).await;
    assert_eq!(
        (failure.0, &*failure.1),
        (6, "TLS_CERTIFICATE"),
        "{failure:?}"
    );
    let found = wrong(&host).await;
    let user = principals_user();
    // The account that needs not be named.
    let as_user = match rustix::process::geteuid().is_root() {
        true => String::new(),
        false => format!(" --principals-user {user}"),
    };
    let again = format!(
        "daypass host setup --server {} --group web{as_user} --server-fingerprint SHA256:...",
        server.url
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("the last sync failed, "), "{found:?}");
    assert!(found.iter().all(|line| line.contains(&again)), "{found:?}");

    // The command, with the fingerprint of the server's operators.
    let again = again.replace("SHA256:...", &renewed.fingerprint);
    let words: Vec<&str> = again.split(' ').skip(2).collect();
    let report = host.json(&words).await;
    // The key that this host trusts has signed, which proves more than the certificate.
    assert_eq!(report["trusted_by"], "known_key");
    // Until a sync has succeeded, the failure stays.
    assert_eq!(wrong(&host).await.len(), 1);
    host.json(&["sync"]).await;
    assert_eq!(wrong(&host).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_certificate_or_port_is_named() {
    let (_, server, host) = world().await;
    let day = time::Duration::days(1);
    let now = time::OffsetDateTime::now_utc();
    for (case, certificate, said) in [
        (
            "expired",
            Certificate::new(|it| (it.not_before, it.not_after) = (now - 9 * day, now - day)),
            "certificate expired at",
        ),
        (
            "not valid yet",
            Certificate::new(|it| it.not_before = now + day),
            "clock",
        ),
        (
            "another name",
            Certificate::new(|it| {
                it.subject_alt_names = vec![rcgen::SanType::DnsName("db".try_into().unwrap())];
            }),
            "is for another name",
        ),
    ] {
        // The host trusts it as a root, so nothing else is wrong with it.
        fs::write(host.path("daypass/tls-ca.pem"), &certificate.pem).unwrap();
        server.certificate(&certificate);
        let failure = host.fails(&["sync"]).await;
        assert_eq!((failure.0, &*failure.1), (6, "TLS_CERTIFICATE"), "{case}");
        assert!(failure.2.contains(said), "{case}: {failure:?}");
        let found = wrong(&host).await;
        assert!(
            found.iter().any(|it| it.contains(said)),
            "{case}: {found:?}"
        );
    }
    // A port that speaks another protocol.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeter = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let greeting = b"SSH-2.0-OpenSSH_9.2\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, greeting).await;
        }
    });
    let settings = host.path("daypass/host.json");
    let text = fs::read_to_string(&settings).unwrap();
    let other = format!("https://localhost:{port}");
    fs::write(&settings, text.replace(&server.url, &other)).unwrap();
    let failure = host.fails(&["sync"]).await;
    assert!(failure.2.contains("does not speak TLS"), "{failure:?}");
    greeter.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_file_that_is_gone_or_empty_is_reported_and_the_system_counts() {
    let (_, server, host) = world().await;
    let roots = host.root.join("system.pem");
    fs::write(&roots, &server.roots).unwrap();
    let system = [("SSL_CERT_FILE", roots.to_str().unwrap())];
    let path = host.path("daypass/tls-ca.pem");
    for (case, bytes) in [
        ("gone", None),
        ("empty", Some("")),
        (
            "broken",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ),
    ] {
        match bytes {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
        }
        let synced = host.daypass_with(&["sync"], &system).await;
        let text = String::from_utf8(synced.stdout.clone()).unwrap();
        assert!(synced.status.success(), "{case}: {synced:?}");
        assert!(
            text.contains("tls-ca.pem cannot be used") && text.contains("--group web"),
            "{case}: {text}"
        );
        // Without the system's roots, the missing file is the cause that is named.
        let failure = host.fails(&["sync"]).await;
        assert!(
            failure.2.contains("tls-ca.pem cannot be used"),
            "{case}: {failure:?}"
        );
        let found = wrong(&host).await;
        assert!(
            found
                .iter()
                .any(|it| it.contains("tls-ca.pem cannot be used")),
            "{found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_fingerprint_shows_both_and_changes_nothing() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let before = host.everything();
    let other = Certificate::new(|_| {}).fingerprint;
    let arguments = [
        "setup",
        "--server",
        &server.url,
        "--server-fingerprint",
        &other,
    ];
    let failure = host.fails(&arguments).await;
    assert!(
        failure.2.contains(&other) && failure.2.contains(&server.fingerprint()),
        "{failure:?}"
    );
    let mut usual = arguments;
    usual[4] = "SHA256:short";
    let usage = host.daypass(&usual).await;
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
    assert_eq!(host.everything(), before);
    // A certificate that only its fingerprint speaks for must still be valid.
    let now = time::OffsetDateTime::now_utc();
    let day = time::Duration::days(1);
    let old = Certificate::new(|it| (it.not_before, it.not_after) = (now - 9 * day, now - day));
    server.certificate(&old);
    usual[4] = &old.fingerprint;
    let failure = host.fails(&usual).await;
    assert!(failure.2.contains("expired at"), "{failure:?}");
    assert_eq!(host.everything(), before);
}

/// A host behind a proxy, which alone knows the server's name.
#[tokio::test(flavor = "multi_thread")]
async fn setup_and_sync_go_through_the_proxy_of_the_environment() {
    const NAME: &str = "ca.example.test";
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let certificate = Certificate::new(|it| {
        it.subject_alt_names = vec![rcgen::SanType::DnsName(NAME.try_into().unwrap())];
    });
    server.certificate(&certificate);
    let url = server.url.replace("localhost", NAME);
    let proxy = Proxy::start(Manner::Tunnel).await;
    let variables = [("HTTPS_PROXY", &*proxy.url), ("NO_PROXY", "")];
    let setup = [
        "setup",
        "--server",
        &url,
        "--server-fingerprint",
        &certificate.fingerprint,
    ];
    for arguments in [&setup[..], &["sync"], &["doctor"]] {
        let done = host.daypass_with(arguments, &variables).await;
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }
    let asked = proxy.asked();
    assert!(asked.len() >= 4, "{asked:?}");
    assert!(asked.iter().all(|line| line.contains(NAME)), "{asked:?}");

    let angry = Proxy::start(Manner::Answer("HTTP/1.1 403 Forbidden\r\n\r\n")).await;
    let variables = [("HTTPS_PROXY", &*angry.url)];
    for arguments in [&["sync"][..], &setup] {
        let done = host.daypass_with(arguments, &variables).await;
        let said = String::from_utf8(done.stderr.clone()).unwrap();
        assert_eq!(done.status.code(), Some(6), "{done:?}");
        assert!(
            said.contains(&format!("{} (HTTPS_PROXY)", angry.url)),
            "{said}"
        );
    }
}
