//! The name that people read, and the leniences of single issuers.

use serde_json::{Value, json};

use super::world::{TestIssuer, issuers, now, sign, with};

/// Entra's `sub` is opaque, and its people are known by their user principal name.
#[tokio::test]
async fn a_configured_claim_is_the_label_and_decides_nothing() {
    let issuer = TestIssuer::start().await;
    let mut settings = issuer.settings();
    settings.label = Some("preferred_username".to_owned());
    let issuers = issuers(vec![settings]);
    let long = "a".repeat(255);
    for (case, value, label) in [
        ("a name", json!("Alice@corp.example"), "Alice@corp.example"),
        ("absent", Value::Null, "alice@example.com"),
        ("empty", json!(""), "alice@example.com"),
        ("white space", json!("Alice Smith"), "alice@example.com"),
        ("a line's end", json!("alice\nbob"), "alice@example.com"),
        ("look-alikes", json!("\u{430}lice"), "alice@example.com"),
        ("too long", json!(long), "alice@example.com"),
    ] {
        let claims = with(&issuer.claims(), "preferred_username", value);
        let identity = issuers.verify(&sign(&claims), now()).await.unwrap();
        assert_eq!(identity.label(), label, "{case}");
        assert_eq!(identity.subject(), "alice-1", "{case}");
    }
}

#[tokio::test]
async fn an_unverified_email_is_no_label_even_if_it_is_configured() {
    let issuer = TestIssuer::start().await;
    let mut settings = issuer.settings();
    settings.label = Some("email".to_owned());
    let issuers = issuers(vec![settings]);
    let claims = with(&issuer.claims(), "email_verified", json!(false));
    let identity = issuers.verify(&sign(&claims), now()).await.unwrap();
    assert_eq!(identity.label(), "alice-1");
    let identity = issuers.verify(&sign(&issuer.claims()), now()).await;
    assert_eq!(identity.unwrap().label(), "alice@example.com");
}

#[tokio::test]
async fn a_text_is_a_boolean_only_at_an_issuer_that_is_set_so() {
    let issuer = TestIssuer::start().await;
    for (string_booleans, value, verified) in [
        (true, json!("true"), true),
        (true, json!(true), true),
        (true, json!("false"), false),
        (true, json!("True"), false),
        (true, json!("1"), false),
        (false, json!("true"), false),
    ] {
        let mut settings = issuer.settings();
        settings.string_booleans = string_booleans;
        let claims = with(&issuer.claims(), "email_verified", value.clone());
        let outcome = issuers(vec![settings]).verify(&sign(&claims), now()).await;
        // `openidconnect` refuses texts that are neither.
        let visible = outcome.is_ok_and(|it| it.claims().contains_key("email"));
        assert_eq!(visible, verified, "{string_booleans} {value}");
    }
}

#[tokio::test]
async fn the_policy_reads_a_real_boolean() {
    let issuer = TestIssuer::start().await;
    let mut settings = issuer.settings();
    settings.string_booleans = true;
    let claims = with(&issuer.claims(), "email_verified", json!("true"));
    let outcome = issuers(vec![settings]).verify(&sign(&claims), now()).await;
    assert_eq!(
        outcome.unwrap().claims().get("email_verified"),
        Some(&json!(true))
    );
}
