//! Every algorithm with every other one's tokens and keys, and keys without `kid`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{KEYS, Signer, TestIssuer, issuers, now, settings, with};
use crate::identity::{Algorithm, Issuers};

/// A token by the shared key of `key`, whose header says `named`.
fn token(issuer: &TestIssuer, key: Algorithm, named: Algorithm, kid: Option<&str>) -> String {
    compact(issuer, Signer::shared(key), named, kid)
}

fn compact(issuer: &TestIssuer, key: &Signer, named: Algorithm, kid: Option<&str>) -> String {
    let header = with(
        &json!({"alg": named.name()}),
        "kid",
        kid.map_or(Value::Null, |kid| json!(kid)),
    );
    key.compact(&header.to_string(), &issuer.claims().to_string())
}

/// The shared key of an algorithm, named after it.
fn jwk(algorithm: Algorithm) -> Value {
    let jwk = Signer::shared(algorithm).jwk(algorithm.name());
    with(&jwk, "alg", json!(algorithm.name()))
}

fn serve(issuer: &TestIssuer, keys: &[Value]) {
    issuer.answer_json(KEYS, &json!({"keys": keys}));
}

fn accepting(issuer: &TestIssuer, algorithms: &[Algorithm], key_without_id: bool) -> Issuers {
    let mut settings = settings(&issuer.url);
    settings.algorithms = algorithms.to_vec();
    settings.key_without_id = key_without_id;
    issuers(vec![settings])
}

async fn outcome(issuers: &Issuers, token: &str) -> Result<(), &'static str> {
    let outcome = issuers.verify(token, now()).await;
    outcome.map(|_| ()).map_err(|error| error.code())
}

#[tokio::test]
async fn every_algorithm_verifies_its_own_tokens_and_no_other_ones() {
    let issuer = TestIssuer::start().await;
    serve(&issuer, &Algorithm::ALL.map(jwk));
    let issuers = accepting(&issuer, &Algorithm::ALL, false);
    for key in Algorithm::ALL {
        for named in Algorithm::ALL {
            let expected = match named == key {
                true => Ok(()),
                false => Err("TOKEN_ALGORITHM"),
            };
            let token = token(&issuer, key, named, Some(key.name()));
            assert_eq!(
                outcome(&issuers, &token).await,
                expected,
                "{key:?} says {named:?}"
            );
        }
    }
}

/// The header's `kid` chooses a key of another kind.
#[tokio::test]
async fn a_signature_by_the_key_of_another_algorithm_is_refused() {
    let issuer = TestIssuer::start().await;
    serve(&issuer, &Algorithm::ALL.map(jwk));
    let issuers = accepting(&issuer, &Algorithm::ALL, false);
    for key in Algorithm::ALL {
        for other in Algorithm::ALL.into_iter().filter(|other| *other != key) {
            let token = token(&issuer, key, other, Some(other.name()));
            let outcome = outcome(&issuers, &token).await;
            assert_eq!(outcome, Err("TOKEN_SIGNATURE"), "{key:?} as {other:?}");
        }
    }
}

#[tokio::test]
async fn an_algorithm_that_is_not_configured_is_refused_before_any_fetch() {
    let issuer = TestIssuer::start().await;
    serve(&issuer, &Algorithm::ALL.map(jwk));
    for configured in Algorithm::ALL {
        let issuers = accepting(&issuer, &[configured], false);
        let hits = issuer.all_hits();
        for other in Algorithm::ALL.into_iter().filter(|it| *it != configured) {
            let token = token(&issuer, other, other, Some(other.name()));
            assert_eq!(outcome(&issuers, &token).await, Err("TOKEN_ALGORITHM"));
        }
        assert_eq!(issuer.all_hits(), hits);
        let token = token(&issuer, configured, configured, Some(configured.name()));
        assert_eq!(outcome(&issuers, &token).await, Ok(()), "{configured:?}");
    }
}

/// One RSA key must not verify by two paddings: the header would choose between them.
#[tokio::test]
async fn an_rsa_key_without_alg_is_for_the_first_configured_rsa_algorithm() {
    use Algorithm::{ES256, PS256, RS256, RS512};
    let issuer = TestIssuer::start().await;
    let rs = Signer::shared(RS256);
    let ps = rs.as_algorithm(PS256);
    serve(&issuer, &[rs.jwk("k")]);
    let pkcs = compact(&issuer, rs, RS256, Some("k"));
    let pss = compact(&issuer, &ps, PS256, Some("k"));
    // The signature of one padding under the name of the other.
    let crossed = compact(&issuer, &ps, RS256, Some("k"));
    let crossed_back = compact(&issuer, rs, PS256, Some("k"));
    let wrong = Err("TOKEN_ALGORITHM");
    let unsigned = Err("TOKEN_SIGNATURE");
    for (configured, for_pkcs, for_pss, for_crossed, for_crossed_back) in [
        (vec![RS256], Ok(()), wrong, unsigned, wrong),
        (vec![PS256], wrong, Ok(()), wrong, unsigned),
        (vec![RS256, PS256], Ok(()), wrong, unsigned, wrong),
        (vec![ES256, PS256, RS256], wrong, Ok(()), wrong, unsigned),
    ] {
        let issuers = accepting(&issuer, &configured, false);
        assert_eq!(outcome(&issuers, &pkcs).await, for_pkcs, "{configured:?}");
        assert_eq!(outcome(&issuers, &pss).await, for_pss, "{configured:?}");
        assert_eq!(
            outcome(&issuers, &crossed).await,
            for_crossed,
            "{configured:?}"
        );
        assert_eq!(
            outcome(&issuers, &crossed_back).await,
            for_crossed_back,
            "{configured:?}"
        );
    }
    let issuers = accepting(&issuer, &[RS512, RS256], false);
    assert_eq!(outcome(&issuers, &pkcs).await, wrong);
}

#[tokio::test]
async fn points_of_another_curve_are_no_keys() {
    use Algorithm::{ES256, ES384};
    let issuer = TestIssuer::start().await;
    let (small, large) = (jwk(ES256), jwk(ES384));
    for (case, key) in [
        ("P-256 that says P-384", with(&small, "crv", json!("P-384"))),
        ("P-384 that says P-256", with(&large, "crv", json!("P-256"))),
        ("P-256 for ES384", with(&small, "alg", json!("ES384"))),
        ("P-384 for ES256", with(&large, "alg", json!("ES256"))),
        ("without a curve", with(&small, "crv", Value::Null)),
        ("secp256k1", with(&small, "crv", json!("secp256k1"))),
        (
            "a coordinate of each",
            with(&large, "x", small.get("x").unwrap().clone()),
        ),
    ] {
        serve(&issuer, &[key]);
        let issuers = accepting(&issuer, &[ES256, ES384], false);
        for algorithm in [ES256, ES384] {
            let token = token(&issuer, algorithm, algorithm, Some(algorithm.name()));
            let outcome = outcome(&issuers, &token).await;
            assert_eq!(outcome, Err("ISSUER_UNAVAILABLE"), "{case}");
        }
    }
}

#[tokio::test]
async fn a_token_without_kid_needs_the_setting_and_is_told_so() {
    use Algorithm::ES256;
    let issuer = TestIssuer::start().await;
    let (named, unnamed) = (jwk(ES256), with(&jwk(ES256), "kid", Value::Null));
    let without = token(&issuer, ES256, ES256, None);
    let with_kid = token(&issuer, ES256, ES256, Some("ES256"));
    for (case, key, setting, for_without, for_with) in [
        ("a kid", &named, true, Ok(()), Ok(())),
        ("no kid", &unnamed, true, Ok(()), Err("TOKEN_KEY")),
        ("a kid", &named, false, Err("TOKEN_MALFORMED"), Ok(())),
        (
            "no kid",
            &unnamed,
            false,
            Err("TOKEN_MALFORMED"),
            Err("ISSUER_UNAVAILABLE"),
        ),
    ] {
        serve(&issuer, std::slice::from_ref(key));
        let issuers = accepting(&issuer, &[ES256], setting);
        assert_eq!(
            outcome(&issuers, &without).await,
            for_without,
            "{case}, {setting}"
        );
        assert_eq!(
            outcome(&issuers, &with_kid).await,
            for_with,
            "{case}, {setting}"
        );
    }
    let refused = accepting(&issuer, &[ES256], false)
        .verify(&without, now())
        .await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("key_without_id = true"), "{message}");
}

/// With two keys, a token without `kid` would be a guess.
#[tokio::test]
async fn a_token_without_kid_is_refused_if_there_are_two_keys() {
    use Algorithm::{ES256, ES384, EdDSA};
    let issuer = TestIssuer::start().await;
    let without = token(&issuer, ES256, ES256, None);
    let unnamed = |algorithm| with(&jwk(algorithm), "kid", Value::Null);
    for (case, keys, expected) in [
        (
            "two with kid",
            vec![jwk(ES256), jwk(EdDSA)],
            Err("TOKEN_KEY"),
        ),
        (
            "one without",
            vec![unnamed(ES256), jwk(EdDSA)],
            Err("TOKEN_KEY"),
        ),
        (
            "none with",
            vec![unnamed(ES256), unnamed(ES256)],
            Err("TOKEN_KEY"),
        ),
        (
            "another for encryption",
            vec![unnamed(ES256), with(&jwk(EdDSA), "use", json!("enc"))],
            Ok(()),
        ),
        (
            "another for an algorithm that is not configured",
            vec![unnamed(ES256), jwk(ES384)],
            Ok(()),
        ),
    ] {
        serve(&issuer, &keys);
        let issuers = accepting(&issuer, &[ES256, EdDSA], true);
        assert_eq!(outcome(&issuers, &without).await, expected, "{case}");
    }
}

/// A kid of its own tells a new key; without one, the signature that does not verify does.
#[tokio::test]
async fn a_single_key_without_kid_can_be_rotated() {
    use Algorithm::ES256;
    let issuer = TestIssuer::start().await;
    let (issuers, start) = (accepting(&issuer, &[ES256], true), Instant::now());
    let code = async |token: &str, tick: Instant| {
        let outcome = issuers.verify_at(token, now(), tick).await;
        outcome.map(|_| ()).map_err(|error| error.code())
    };
    let unnamed = |key: &Signer| with(&key.jwk("x"), "kid", Value::Null);
    serve(&issuer, &[unnamed(Signer::shared(ES256))]);
    let old = token(&issuer, ES256, ES256, None);
    assert_eq!(code(&old, start).await, Ok(()));

    let fresh = Signer::new(ES256);
    serve(&issuer, &[unnamed(&fresh)]);
    let new = compact(&issuer, &fresh, ES256, None);
    let later = start + Duration::from_secs(60);
    assert_eq!(code(&new, later).await, Ok(()));
    assert_eq!(code(&old, later).await, Err("TOKEN_SIGNATURE"));
    let hits = issuer.hits(KEYS);
    for _ in 0..100 {
        assert_eq!(code(&old, later).await, Err("TOKEN_SIGNATURE"));
    }
    assert_eq!(issuer.hits(KEYS), hits, "one fetch per cool-down");
}
