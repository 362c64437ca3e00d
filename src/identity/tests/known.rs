//! Known tokens: each way in which one could be let in that the full check refuses.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::world::{
    KEYS, NOW, Signer, TestIssuer, base64url, issuers, now, shared_key_set, sign, sign_with, with,
};
use crate::identity::{Algorithm, Binding, Error, Issuers};

const HOUR: i64 = 3600;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

async fn code_at(issuers: &Issuers, token: &str, now: OffsetDateTime) -> &'static str {
    let outcome = issuers.verify(token, now).await;
    outcome.map_or_else(|error| error.code(), |_| "OK")
}

async fn code(issuers: &Issuers, token: &str) -> &'static str {
    code_at(issuers, token, now()).await
}

/// An issuer, and a token that its issuers know already.
async fn known() -> (TestIssuer, Issuers, String) {
    let issuer = TestIssuer::start().await;
    let (issuers, token) = (issuer.issuers(), sign(&issuer.claims()));
    assert_eq!(code(&issuers, &token).await, "OK");
    (issuer, issuers, token)
}

#[tokio::test]
async fn a_known_token_gives_the_same_identity() {
    let (issuer, issuers, token) = known().await;
    let again = issuers.verify(&token, now()).await.unwrap();
    let first = issuer.issuers().verify(&token, now()).await.unwrap();
    assert_eq!(again.claims(), first.claims());
    assert_eq!(again.token_hash(), first.token_hash());
    assert_eq!(again.label(), first.label());
    assert_eq!(again.subject(), first.subject());
    assert_eq!(again.binding(), first.binding());
    assert_eq!(again.expires(), first.expires());
}

#[tokio::test]
async fn a_known_token_is_refused_at_the_times_at_which_it_is_refused_unknown() {
    let (issuer, issuers, token) = known().await;
    for seconds in [
        NOW,
        NOW + 629,
        NOW + 630,
        NOW + HOUR,
        NOW - 40,
        NOW - 41,
        0,
        // The clock comes back.
        NOW,
    ] {
        let expected = code_at(&issuer.issuers(), &token, at(seconds)).await;
        assert_eq!(
            code_at(&issuers, &token, at(seconds)).await,
            expected,
            "{seconds}"
        );
    }
    assert_eq!(
        code_at(&issuers, &token, at(NOW + 630)).await,
        "TOKEN_EXPIRED"
    );
}

#[tokio::test]
async fn a_known_token_is_refused_once_its_key_is_withdrawn() {
    let (issuer, issuers, token) = known().await;
    let es = |kid: &str| json!({"keys": [Signer::shared(Algorithm::ES256).jwk(kid)]});
    issuer.answer_json(KEYS, &es("second"));
    let second = sign_with(&json!({"alg": "ES256", "kid": "second"}), &issuer.claims());
    assert_eq!(
        code(&issuers, &second).await,
        "OK",
        "the new keys are fetched"
    );
    assert_eq!(code(&issuers, &token).await, "TOKEN_KEY");
}

#[tokio::test]
async fn a_known_token_is_refused_once_its_kid_is_another_key() {
    let (issuer, issuers, token) = known().await;
    let other = Signer::new(Algorithm::ES256);
    let second = Signer::shared(Algorithm::ES256).jwk("second");
    issuer.answer_json(KEYS, &json!({"keys": [other.jwk("es"), second]}));
    let header = json!({"alg": "ES256", "kid": "second"});
    let next = sign_with(&header, &issuer.claims());
    assert_eq!(
        code(&issuers, &next).await,
        "OK",
        "the new keys are fetched"
    );
    assert_eq!(code(&issuers, &token).await, "TOKEN_SIGNATURE");
}

#[tokio::test]
async fn a_known_token_is_verified_again_by_keys_that_were_fetched_again() {
    let (issuer, issuers, token) = known().await;
    let second = Signer::shared(Algorithm::ES256).jwk("second");
    let mut keys = shared_key_set();
    keys["keys"].as_array_mut().unwrap().push(second);
    issuer.answer_json(KEYS, &keys);
    let header = json!({"alg": "ES256", "kid": "second"});
    let next = sign_with(&header, &issuer.claims());
    assert_eq!(code(&issuers, &next).await, "OK");
    assert_eq!(code(&issuers, &token).await, "OK");
}

#[tokio::test]
async fn a_known_token_is_refused_while_its_issuer_has_no_keys() {
    let issuer = TestIssuer::start().await;
    let (issuers, token, start) = (issuer.issuers(), sign(&issuer.claims()), Instant::now());
    assert!(issuers.verify_at(&token, now(), start).await.is_ok());
    issuer.answer(KEYS, super::world::Answer::Body(503, String::new()));
    let late = start + Duration::from_secs(6 * 60 * 60 + 1);
    let outcome = issuers.verify_at(&token, now(), late).await;
    assert!(matches!(outcome, Err(Error::IssuerUnavailable { .. })));
}

#[tokio::test]
async fn a_known_token_with_one_changed_byte_is_another_token() {
    let (_issuer, issuers, token) = known().await;
    for at in (0..token.len()).step_by(7) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_ne!(code(&issuers, &changed).await, "OK", "byte {at}");
    }
    for spelled in [
        format!("{token} "),
        format!(" {token}"),
        format!("{token}="),
    ] {
        assert_ne!(code(&issuers, &spelled).await, "OK");
    }
    let (message, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", base64url([0; 64]));
    assert_ne!(code(&issuers, &forged).await, "OK");
    assert_eq!(code(&issuers, &token).await, "OK");
}

#[tokio::test]
async fn a_refused_token_is_not_known() {
    let (issuer, issuers, _) = known().await;
    let forged = {
        let token = Signer::new(Algorithm::ES256);
        token.compact(
            r#"{"alg":"ES256","kid":"es"}"#,
            &issuer.claims().to_string(),
        )
    };
    let before = issuers.known_weight();
    for _ in 0..3 {
        assert_eq!(code(&issuers, &forged).await, "TOKEN_SIGNATURE");
        let expired = sign(&with(&issuer.claims(), "exp", json!(NOW - 5)));
        assert_ne!(code_at(&issuers, &expired, at(NOW + HOUR)).await, "OK");
    }
    assert_eq!(issuers.known_weight(), before);
}

#[tokio::test]
async fn a_token_that_another_configuration_knows_is_checked_by_this_one() {
    let (issuer, _, token) = known().await;
    let mut narrower = issuer.settings();
    narrower.audiences = vec!["other".to_owned()];
    assert_eq!(
        code(&issuers(vec![narrower]), &token).await,
        "TOKEN_AUDIENCE"
    );
    let mut weaker = issuer.settings();
    weaker.algorithms = vec![Algorithm::RS256];
    assert_eq!(
        code(&issuers(vec![weaker]), &token).await,
        "TOKEN_ALGORITHM"
    );
}

/// An original may have expired. Alone it may not.
#[tokio::test]
async fn a_known_part_of_a_renewed_sign_in_is_no_token_of_its_own() {
    let issuer = TestIssuer::start().await;
    let mut settings = issuer.settings();
    settings.sign_in.refresh = true;
    let issuers = issuers(vec![settings]);
    let original = with(&issuer.claims(), "iat", json!(NOW - 11 * HOUR));
    let original = with(&original, "exp", json!(NOW - 10 * HOUR));
    let original = sign(&with(&original, "auth_time", json!(NOW - 11 * HOUR)));
    let fresh = sign(&with(&issuer.claims(), "nonce", Value::Null));
    for _ in 0..2 {
        let renewed = issuers.verify_refreshed(&fresh, &original, now()).await;
        assert!(renewed.unwrap().is_refreshed());
    }
    assert_eq!(code(&issuers, &original).await, "TOKEN_EXPIRED");
    assert_eq!(code(&issuers, &fresh).await, "KEY_BINDING");
    // The session is twelve hours.
    let late = at(NOW + 2 * HOUR);
    let outcome = issuers.verify_refreshed(&fresh, &original, late).await;
    assert!(outcome.is_err());
    let swapped = issuers.verify_refreshed(&original, &fresh, now()).await;
    assert!(swapped.is_err());
}

#[tokio::test]
async fn a_known_original_is_refused_after_its_session() {
    let issuer = TestIssuer::start().await;
    let mut settings = issuer.settings();
    settings.sign_in.refresh = true;
    let issuers = issuers(vec![settings]);
    let original = sign(&issuer.claims());
    let fresh_at = |now: i64| {
        let fresh = with(&issuer.claims(), "nonce", Value::Null);
        let fresh = with(&fresh, "iat", json!(now - 5));
        sign(&with(&fresh, "exp", json!(now + 600)))
    };
    let early = fresh_at(NOW);
    assert!(
        issuers
            .verify_refreshed(&early, &original, now())
            .await
            .is_ok()
    );
    let late = NOW + 13 * HOUR;
    let fresh = fresh_at(late);
    let outcome = issuers.verify_refreshed(&fresh, &original, at(late)).await;
    assert_eq!(outcome.unwrap_err().code(), "SESSION_OVER");
}

/// The commitment to the key is in the claims, and possession is proven at every call.
#[tokio::test]
async fn a_known_token_is_bound_to_its_key() {
    use ssh_key::{Algorithm, PrivateKey, rand_core::OsRng};
    let (_issuer, issuers, token) = known().await;
    let identity = issuers.verify(&token, now()).await.unwrap();
    assert_eq!(identity.binding(), Binding::Nonce);
    let other = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let key = other.public_key().clone();
    let outcome = identity.prove_possession(key, &[9; 32], b"message", "");
    assert_eq!(outcome.unwrap_err().code(), "KEY_BINDING");
}

#[tokio::test]
async fn known_tokens_take_bounded_memory() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    // The claims that take the most memory for their bytes.
    let dense: Vec<u8> = vec![0; 500];
    let mut claims = issuer.claims();
    for name in 0..9 {
        claims[format!("list{name}")] = json!(dense);
    }
    let mut most = 0;
    for number in 0..60 {
        claims["jti"] = json!(number);
        assert_eq!(code(&issuers, &sign(&claims)).await, "OK");
        most = most.max(issuers.known_weight());
    }
    assert!(most > 16 * 1024 * 1024 / 2, "{most}");
    assert!(most <= 16 * 1024 * 1024, "{most}");
    assert_eq!(code(&issuers, &sign(&claims)).await, "OK");
}
