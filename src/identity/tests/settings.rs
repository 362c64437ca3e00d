//! Configurations that make no sense, and issuers behind TLS.

use super::world::{TestIssuer, issuers, now, settings, sign};
use crate::identity::{Algorithm, Binding, Issuers, Settings, SettingsError};

fn message(all: Vec<Settings>) -> String {
    match Issuers::new(all) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_issuer_url_is_https_or_loopback_and_nothing_else() {
    let cases = [
        ("https://id.example.com", true),
        ("https://id.example.com/", true),
        ("https://id.example.com:8443/tenant/v2.0", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080/realm", true),
        ("http://localhost:8080", true),
        ("http://id.example.com", false),
        ("http://127.0.0.1.example.com", false),
        ("http://localhost.example.com", false),
        ("http://10.0.0.1", false),
        ("ftp://id.example.com", false),
        ("file:///etc/passwd", false),
        ("id.example.com", false),
        ("", false),
        ("https://", false),
        ("https://alice@id.example.com", false),
        ("https://alice:secret@id.example.com", false),
        ("https://id.example.com?a=b", false),
        ("https://id.example.com#a", false),
        (" https://id.example.com", false),
        ("https://id.example.com\n", false),
        ("https://\u{456}d.example.com", false),
    ];
    for (url, good) in cases {
        let outcome = Issuers::new(vec![settings(url)]);
        let refused = matches!(outcome, Err(SettingsError::Invalid { key: "url", .. }));
        assert_eq!((outcome.is_ok(), refused), (good, !good), "{url:?}");
    }
}

#[test]
fn settings_that_accept_no_token_or_every_token_are_refused() {
    let base = settings("https://id.example.com");
    let change = |change: fn(&mut Settings)| {
        let mut settings = base.clone();
        change(&mut settings);
        message(vec![settings])
    };
    let cases = [
        (
            change(|settings| settings.algorithms = vec![]),
            "algorithms is empty",
        ),
        (
            change(|settings| settings.client_id = String::new()),
            "client_id is empty",
        ),
        (
            change(|settings| settings.audiences = vec![]),
            "audiences is empty",
        ),
        (
            change(|settings| settings.audiences = vec![String::new()]),
            "audience \"\" is refused",
        ),
        (
            change(|settings| {
                settings.binding = Binding::Audience;
                settings.interactive = false;
                settings.audiences = vec!["a#b".to_owned()];
            }),
            "audience \"a#b\" is refused",
        ),
        (
            change(|settings| {
                settings.binding = Binding::Audience;
                settings.device_flow = true;
            }),
            "binding = \"audience\" is for machines",
        ),
        (
            change(|settings| {
                settings.binding = Binding::Audience;
                settings.interactive = false;
                settings.device_flow = true;
            }),
            "device_flow is a way for people",
        ),
        (
            change(|settings| {
                settings.ca_certificates =
                    Some(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n".to_vec())
            }),
            "cannot use its roots",
        ),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}");
    }
    assert!(message(vec![base.clone(), base.clone()]).contains("name \"corp\" is taken"));
    let mut other = base.clone();
    other.name = "other".to_owned();
    other.algorithms = vec![Algorithm::EdDSA];
    assert!(message(vec![base, other]).contains("url \"https://id.example.com\" is taken"));
}

#[tokio::test]
async fn an_issuer_behind_tls_counts_only_with_its_own_root() {
    let (issuer, root) = TestIssuer::start_tls().await;
    let (_, other_root) = TestIssuer::start_tls().await;
    let cases = [
        ("its root", Some(root), true),
        ("another root", Some(other_root), false),
        ("the system's roots", None, false),
    ];
    for (case, roots, good) in cases {
        let mut settings = issuer.settings();
        settings.ca_certificates = roots;
        let issuers = issuers(vec![settings]);
        let outcome = issuers.verify(&sign(&issuer.claims()), now()).await;
        let unavailable = matches!(&outcome, Err(error) if error.is_unavailable());
        assert_eq!(
            (outcome.is_ok(), unavailable),
            (good, !good),
            "{case}: {outcome:?}"
        );
    }
}
