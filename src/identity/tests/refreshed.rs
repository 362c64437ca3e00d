//! Sign-ins that a refresh token renewed: the fresh token and the original, each with one
//! difference.

use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey};

use super::world::{
    KEYS, NOW, Signer, TestIssuer, issuers, now, shared_key_set, sign, sign_with, with,
};
use crate::{
    identity::{
        Algorithm, Binding, Identity, Issuers,
        proof::{commitment, refreshed_hash},
    },
    ssh::sshsig::Namespace,
};

const SECRET: [u8; 32] = [9; 32];
const HOUR: i64 = 3600;

/// An issuer whose sign-ins may be renewed for twelve hours.
fn renewing(issuer: &TestIssuer) -> Issuers {
    let mut settings = issuer.settings();
    settings.sign_in.refresh = true;
    issuers(vec![settings])
}

/// The token of a sign-in eleven hours ago, which has long expired.
fn original(issuer: &TestIssuer) -> Value {
    let mut claims = issuer.claims();
    for (name, value) in [
        ("iat", json!(NOW - 11 * HOUR)),
        ("exp", json!(NOW - 10 * HOUR)),
        ("auth_time", json!(NOW - 11 * HOUR - 60)),
        ("amr", json!(["pwd", "hwk"])),
    ] {
        claims = with(&claims, name, value);
    }
    claims
}

/// A token of the same sign-in that was just renewed, and has no nonce.
fn fresh(issuer: &TestIssuer) -> Value {
    let claims = with(&issuer.claims(), "nonce", Value::Null);
    let claims = with(&claims, "groups", json!(["oncall"]));
    with(&claims, "auth_time", Value::Null)
}

async fn verify(issuers: &Issuers, fresh: &Value, original: &Value) -> Result<Identity, String> {
    let (fresh, original) = (sign(fresh), sign(original));
    let outcome = issuers.verify_refreshed(&fresh, &original, now()).await;
    outcome.map_err(|error| error.code().to_owned())
}

async fn code(issuers: &Issuers, fresh: &Value, original: &Value) -> String {
    match verify(issuers, fresh, original).await {
        Ok(_) => "OK".to_owned(),
        Err(code) => code,
    }
}

#[tokio::test]
async fn a_renewed_sign_in_is_bound_by_its_original_and_has_the_fresh_groups() {
    let issuer = TestIssuer::start().await;
    let (fresh, original) = (sign(&fresh(&issuer)), sign(&original(&issuer)));
    let outcome = renewing(&issuer)
        .verify_refreshed(&fresh, &original, now())
        .await;
    let identity = outcome.unwrap();
    assert!(identity.is_refreshed());
    assert_eq!(identity.binding(), Binding::Nonce);
    assert_eq!(identity.claims()["groups"], json!(["oncall"]));
    assert_eq!(identity.claims()["auth_time"], json!(NOW - 11 * HOUR - 60));
    assert_eq!(identity.claims()["amr"], json!(["pwd", "hwk"]));
    assert_eq!(identity.expires().unix_timestamp(), NOW + 600);
    assert_eq!(identity.token_hash(), &refreshed_hash(&fresh, &original));
    let swapped = refreshed_hash(&original, &fresh);
    assert_ne!(identity.token_hash(), &swapped);
}

#[tokio::test]
async fn each_token_of_a_renewed_sign_in_is_checked() {
    let issuer = TestIssuer::start().await;
    let issuers = renewing(&issuer);
    let (fresh, original) = (fresh(&issuer), original(&issuer));
    let f = |name: &str, value: Value| (with(&fresh, name, value), original.clone());
    let o = |name: &str, value: Value| (fresh.clone(), with(&original, name, value));
    let absent = || Value::Null;
    for (case, (fresh, original), expected) in [
        ("as it should be", f("x", json!(1)), "OK"),
        ("the nonce again", f("nonce", json!("n-marker")), "OK"),
        (
            "fresh: another nonce",
            f("nonce", json!("other")),
            "KEY_BINDING",
        ),
        (
            "fresh: another subject",
            f("sub", json!("bob-1")),
            "KEY_BINDING",
        ),
        (
            "original: another subject",
            o("sub", json!("bob-1")),
            "KEY_BINDING",
        ),
        (
            "fresh: another client",
            f("aud", json!("other")),
            "TOKEN_AUDIENCE",
        ),
        (
            "original: another client",
            o("aud", json!("other")),
            "TOKEN_AUDIENCE",
        ),
        (
            "fresh: another azp",
            f("azp", json!("other")),
            "TOKEN_AUDIENCE",
        ),
        (
            "original: another azp",
            o("azp", json!("other")),
            "TOKEN_AUDIENCE",
        ),
        ("fresh: no azp", f("azp", absent()), "KEY_BINDING"),
        ("original: no azp", o("azp", absent()), "KEY_BINDING"),
        ("fresh: expired", f("exp", json!(NOW - 30)), "TOKEN_EXPIRED"),
        (
            "fresh: not yet issued",
            f("iat", json!(NOW + 31)),
            "TOKEN_NOT_YET_VALID",
        ),
        (
            "fresh: older",
            f("iat", json!(NOW - 12 * HOUR)),
            "KEY_BINDING",
        ),
        ("original: no nonce", o("nonce", absent()), "KEY_BINDING"),
        (
            "original: not yet issued",
            o("iat", json!(NOW + 31)),
            "TOKEN_NOT_YET_VALID",
        ),
        (
            "original: for two days",
            o("exp", json!(NOW + 40 * HOUR)),
            "TOKEN_CLAIMS",
        ),
        (
            "original: at the bound",
            o("iat", json!(NOW - 12 * HOUR)),
            "OK",
        ),
        (
            "original: too old",
            o("iat", json!(NOW - 12 * HOUR - 1)),
            "SESSION_OVER",
        ),
        (
            "original: a logout token",
            o("events", json!({})),
            "TOKEN_TYPE",
        ),
        (
            "fresh: an access token",
            f("scp", json!(["x"])),
            "TOKEN_TYPE",
        ),
        (
            "fresh: another issuer",
            f("iss", json!("https://evil")),
            "TOKEN_ISSUER",
        ),
        (
            "original: another issuer",
            o("iss", json!("https://evil")),
            "TOKEN_ISSUER",
        ),
    ] {
        assert_eq!(code(&issuers, &fresh, &original).await, expected, "{case}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_set_so_renews_nothing() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let outcome = code(&issuers, &fresh(&issuer), &original(&issuer)).await;
    assert_eq!(outcome, "SESSION_OVER");
}

#[tokio::test]
async fn a_fresh_token_without_its_original_is_worth_nothing() {
    let issuer = TestIssuer::start().await;
    let issuers = renewing(&issuer);
    let outcome = issuers.verify(&sign(&fresh(&issuer)), now()).await;
    assert_eq!(outcome.unwrap_err().code(), "KEY_BINDING");
    let old = issuers.verify(&sign(&original(&issuer)), now()).await;
    assert_eq!(old.unwrap_err().code(), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn the_tokens_of_two_issuers_are_no_sign_in() {
    let (one, two) = (TestIssuer::start().await, TestIssuer::start().await);
    let mut all = [one.settings(), two.settings()];
    for (settings, name) in all.iter_mut().zip(["one", "two"]) {
        settings.name = name.to_owned();
        settings.sign_in.refresh = true;
    }
    let issuers = issuers(all.to_vec());
    let outcome = code(&issuers, &fresh(&one), &original(&two)).await;
    assert_eq!(outcome, "KEY_BINDING");
}

#[tokio::test]
async fn a_signature_that_does_not_verify_spoils_either_token() {
    let issuer = TestIssuer::start().await;
    let issuers = renewing(&issuer);
    let (fresh, original) = (fresh(&issuer), original(&issuer));
    let forged = |claims: &Value| {
        let key = Signer::new(Algorithm::ES256);
        key.compact(r#"{"alg":"ES256","kid":"es"}"#, &claims.to_string())
    };
    for (fresh, original) in [
        (forged(&fresh), sign(&original)),
        (sign(&fresh), forged(&original)),
    ] {
        let outcome = issuers.verify_refreshed(&fresh, &original, now()).await;
        assert_eq!(outcome.unwrap_err().code(), "TOKEN_SIGNATURE");
    }
}

/// The signature of the original must still verify. If its key is gone, the person signs in again.
#[tokio::test]
async fn an_original_whose_key_was_withdrawn_needs_a_new_sign_in() {
    let issuer = TestIssuer::start().await;
    let both = json!({"keys": [
        Signer::shared(Algorithm::ES256).jwk("old"), Signer::shared(Algorithm::ES256).jwk("new"),
    ]});
    let by = |kid: &str, claims: &Value| sign_with(&json!({"alg": "ES256", "kid": kid}), claims);
    let fresh = by("new", &fresh(&issuer));
    let original = by("old", &original(&issuer));
    issuer.answer_json(KEYS, &both);
    let outcome = renewing(&issuer)
        .verify_refreshed(&fresh, &original, now())
        .await;
    assert!(outcome.is_ok(), "while both are published: {outcome:?}");
    issuer.answer_json(
        KEYS,
        &json!({"keys": [Signer::shared(Algorithm::ES256).jwk("new")]}),
    );
    let outcome = renewing(&issuer)
        .verify_refreshed(&fresh, &original, now())
        .await;
    assert_eq!(outcome.unwrap_err().code(), "TOKEN_KEY");
    issuer.answer_json(KEYS, &shared_key_set());
}

/// A renewal is no sign-in: what the fresh token says about one does not count.
#[tokio::test]
async fn a_renewal_makes_no_sign_in_newer_or_stronger() {
    let issuer = TestIssuer::start().await;
    let mut fresh = fresh(&issuer);
    for (name, value) in [
        ("auth_time", json!(NOW)),
        ("acr", json!("phr")),
        ("amr", json!(["hwk"])),
    ] {
        fresh = with(&fresh, name, value);
    }
    let mut original = original(&issuer);
    for name in ["auth_time", "acr", "amr"] {
        original = with(&original, name, Value::Null);
    }
    let identity = verify(&renewing(&issuer), &fresh, &original).await.unwrap();
    for name in ["auth_time", "acr", "amr"] {
        assert!(!identity.claims().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_identity_ends_with_its_session() {
    let issuer = TestIssuer::start().await;
    let original = with(&original(&issuer), "iat", json!(NOW - 12 * HOUR + 5));
    let identity = verify(&renewing(&issuer), &fresh(&issuer), &original).await;
    assert_eq!(identity.unwrap().expires().unix_timestamp(), NOW + 5);
}

#[tokio::test]
async fn a_renewed_sign_in_is_good_for_the_key_of_its_original_only() {
    let issuer = TestIssuer::start().await;
    let key = || PrivateKey::random(&mut rand::rngs::OsRng, ssh_key::Algorithm::Ed25519).unwrap();
    let (own, thief) = (key(), key());
    let bound = commitment(own.public_key(), &SECRET).unwrap();
    let original = with(&original(&issuer), "nonce", json!(bound));
    let identity = verify(&renewing(&issuer), &fresh(&issuer), &original)
        .await
        .unwrap();
    let code = |key: &PrivateKey, secret: &[u8]| {
        let proof = key
            .sign(Namespace::Issue.as_str(), HashAlg::Sha512, b"m")
            .unwrap();
        let proof = proof.to_pem(LineEnding::LF).unwrap();
        let public = PublicKey::from(key.public_key().key_data().clone());
        let outcome = identity
            .clone()
            .prove_possession(public, secret, b"m", &proof);
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(code(&own, &SECRET), Ok(()));
    assert_eq!(code(&thief, &SECRET), Err("KEY_BINDING"));
    assert_eq!(code(&own, &[8; 32]), Err("KEY_BINDING"));
    assert_eq!(code(&own, &[]), Err("KEY_BINDING"));
}
