//! The key cache, against an issuer that rotates, fails, hangs and lies. Time is moved, never
//! waited for.

use std::{task::Poll, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{
    Answer, DISCOVERY, KEYS, Signer, TestIssuer, base64url, now, shared_key_set, sign, sign_with,
    with,
};
use crate::identity::{
    Algorithm, Error, Issuers,
    tests::tokens::{all_text, assert_refused},
};

const SECOND: Duration = Duration::from_secs(1);
const COOL_DOWN: Duration = Duration::from_secs(10);
const FRESH: Duration = Duration::from_secs(10 * 60);
const STALE: Duration = Duration::from_secs(6 * 60 * 60);

async fn code(issuers: &Issuers, token: &str, tick: Instant) -> Result<(), &'static str> {
    let outcome = issuers.verify_at(token, now(), tick).await;
    outcome.map(|_| ()).map_err(|error| error.code())
}

fn by_unknown_key(issuer: &TestIssuer, kid: &str) -> String {
    sign_with(&json!({"alg": "ES256", "kid": kid}), &issuer.claims())
}

/// Every way in which an answer is not a key set.
fn bad_answers() -> Vec<(&'static str, Answer)> {
    let ok = |body: String| Answer::Body(200, body);
    let mut twice = shared_key_set();
    let es = twice["keys"][1].clone();
    twice["keys"].as_array_mut().unwrap().push(es.clone());
    let encryption = json!({"keys": [with(&es, "use", json!("enc"))]});
    let good = shared_key_set().to_string();
    let fifty_megabytes = format!("{good}{}", " ".repeat(50 << 20));
    let mut many = shared_key_set();
    let list = many["keys"].as_array_mut().unwrap();
    list.resize(101, json!({}));
    vec![
        ("down", Answer::Body(503, String::new())),
        ("500 with a good body", Answer::Body(500, good.clone())),
        ("404 with a good body", Answer::Body(404, good.clone())),
        ("201 with a good body", Answer::Body(201, good.clone())),
        ("HTML", ok("<!doctype html><p>sign in".to_owned())),
        ("nothing", ok(String::new())),
        ("cut short", ok(good[..good.len() - 2].to_owned())),
        ("an empty object", ok("{}".to_owned())),
        ("an empty set", ok(r#"{"keys":[]}"#.to_owned())),
        ("keys that are no list", ok(r#"{"keys":{}}"#.to_owned())),
        ("keys for encryption only", ok(encryption.to_string())),
        ("a kid twice", ok(twice.to_string())),
        ("keys twice", ok(format!("{{\"keys\":[],{}", &good[1..]))),
        ("a hundred and one keys", ok(many.to_string())),
        ("fifty megabytes", ok(fifty_megabytes)),
        ("hanging", Answer::Hang),
    ]
}

#[tokio::test]
async fn a_bad_key_set_is_an_error_and_never_a_new_set() {
    for (case, answer) in bad_answers() {
        let issuer = TestIssuer::start().await;
        let (issuers, start) = (issuer.issuers(), Instant::now());
        let good = sign(&issuer.claims());
        issuer.answer(KEYS, answer.clone());
        let closed = issuers.verify_at(&good, now(), start).await.unwrap_err();
        assert_eq!(closed.code(), "ISSUER_UNAVAILABLE", "{case}");
        assert!(closed.is_unavailable(), "{case}");
        assert!(!all_text(&closed).contains("marker"), "{case}");

        issuer.answer_json(KEYS, &shared_key_set());
        assert_eq!(
            code(&issuers, &good, start + COOL_DOWN).await,
            Ok(()),
            "{case}: back"
        );

        issuer.answer(KEYS, answer);
        let fetched = start + COOL_DOWN;
        let stale = fetched + FRESH + SECOND;
        assert_eq!(code(&issuers, &good, stale).await, Ok(()), "{case}: stale");
        assert_eq!(
            code(&issuers, &good, fetched + STALE).await,
            Ok(()),
            "{case}: bound"
        );
        let closed = code(&issuers, &good, fetched + STALE + SECOND).await;
        assert_eq!(
            closed,
            Err("ISSUER_UNAVAILABLE"),
            "{case}: beyond the bound"
        );
    }
}

#[tokio::test]
async fn a_bad_discovery_document_is_an_error() {
    let trap = TestIssuer::start().await;
    let trap_keys = format!("{}{KEYS}", trap.url);
    let document = |issuer: &TestIssuer, name: &str, value: Value| {
        let keys = format!("{}{KEYS}", issuer.url);
        with(
            &json!({"issuer": issuer.url, "jwks_uri": keys}),
            name,
            value,
        )
        .to_string()
    };
    let cases: [(&str, &str, Value); 9] = [
        ("another issuer", "issuer", json!(trap.url)),
        ("its issuer with a slash", "issuer", json!("SLASH")),
        ("no issuer", "issuer", Value::Null),
        ("no keys", "jwks_uri", Value::Null),
        (
            "keys by http from elsewhere",
            "jwks_uri",
            json!("http://example.com/keys"),
        ),
        ("keys from a file", "jwks_uri", json!("file:///etc/passwd")),
        (
            "keys by a name that only begins well",
            "jwks_uri",
            json!("http://localhost.example.com/"),
        ),
        (
            "keys with a password",
            "jwks_uri",
            json!(trap_keys.replace("//", "//a:b@")),
        ),
        ("keys as a list", "jwks_uri", json!([trap_keys])),
    ];
    for (case, name, value) in cases {
        let issuer = TestIssuer::start().await;
        let slash = json!(format!("{}/", issuer.url));
        let value = if value == json!("SLASH") {
            slash
        } else {
            value
        };
        issuer.answer(DISCOVERY, Answer::Body(200, document(&issuer, name, value)));
        let outcome = code(&issuer.issuers(), &sign(&issuer.claims()), Instant::now()).await;
        assert_eq!(outcome, Err("ISSUER_UNAVAILABLE"), "{case}");
        assert_eq!(issuer.hits(KEYS), 0, "{case}");
    }
    for path in [DISCOVERY, KEYS] {
        let issuer = TestIssuer::start().await;
        issuer.answer(path, Answer::Redirect(trap_keys.clone()));
        let outcome = code(&issuer.issuers(), &sign(&issuer.claims()), Instant::now()).await;
        assert_eq!(outcome, Err("ISSUER_UNAVAILABLE"), "{path} redirects");
    }
    assert_eq!(trap.all_hits(), 0);
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once_and_again_after_the_cool_down() {
    let issuer = TestIssuer::start().await;
    let (issuers, start) = (issuer.issuers(), Instant::now());
    assert_eq!(code(&issuers, &sign(&issuer.claims()), start).await, Ok(()));

    let new = |kid: &str| json!({"keys": [Signer::shared(Algorithm::ES256).jwk(kid)]});
    issuer.answer_json(KEYS, &new("second"));
    let second = by_unknown_key(&issuer, "second");
    assert_eq!(code(&issuers, &second, start).await, Ok(()));
    let first = sign(&issuer.claims());
    assert_eq!(
        code(&issuers, &first, start).await,
        Err("TOKEN_KEY"),
        "the old key is gone"
    );

    issuer.answer_json(KEYS, &new("third"));
    let third = by_unknown_key(&issuer, "third");
    let early = start + COOL_DOWN - Duration::from_millis(1);
    assert_eq!(code(&issuers, &third, early).await, Err("TOKEN_KEY"));
    assert_eq!(issuer.hits(KEYS), 2);
    assert_eq!(code(&issuers, &third, start + COOL_DOWN).await, Ok(()));
    assert_eq!(issuer.hits(KEYS), 3);
}

#[tokio::test]
async fn ten_thousand_unknown_kids_cost_one_fetch_and_slow_no_caller() {
    let issuer = TestIssuer::start().await;
    let (issuers, start) = (issuer.issuers(), Instant::now());
    let good = sign(&issuer.claims());
    assert_eq!(code(&issuers, &good, start).await, Ok(()));
    // From here on the issuer hangs, so a caller that waits for it is seen.
    issuer.answer(KEYS, Answer::Hang);
    let claims = issuer.claims();
    let payload = claims.to_string();
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..10_000 {
        let header = format!(r#"{{"alg":"ES256","kid":"random-{n}"}}"#);
        let token = format!("{}.{}.AAAA", base64url(header), base64url(&payload));
        let issuers = issuers.clone();
        flood.spawn(async move { code(&issuers, &token, start + SECOND).await });
    }
    let during = tokio::time::timeout(SECOND, code(&issuers, &good, start + SECOND)).await;
    assert_eq!(during, Ok(Ok(())), "a known key waits for nothing");
    while let Some(outcome) = flood.join_next().await {
        assert_eq!(outcome.unwrap(), Err("ISSUER_UNAVAILABLE"));
    }
    assert_eq!((issuer.hits(DISCOVERY), issuer.hits(KEYS)), (2, 2));
    assert_eq!(code(&issuers, &good, start + SECOND).await, Ok(()));
}

#[tokio::test]
async fn twenty_first_callers_share_one_fetch() {
    let issuer = TestIssuer::start().await;
    let (issuers, start) = (issuer.issuers(), Instant::now());
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (issuers, token) = (issuers.clone(), sign(&issuer.claims()));
        callers.spawn(async move { code(&issuers, &token, start).await });
    }
    while let Some(outcome) = callers.join_next().await {
        assert_eq!(outcome.unwrap(), Ok(()));
    }
    assert_eq!((issuer.hits(DISCOVERY), issuer.hits(KEYS)), (1, 1));
}

#[tokio::test]
async fn an_issuer_that_is_down_is_asked_once_per_cool_down() {
    let issuer = TestIssuer::start().await;
    issuer.answer(DISCOVERY, Answer::Body(500, String::new()));
    let (issuers, start) = (issuer.issuers(), Instant::now());
    let good = sign(&issuer.claims());
    for second in 0..10 {
        let outcome = code(&issuers, &good, start + SECOND * second).await;
        assert_eq!(outcome, Err("ISSUER_UNAVAILABLE"));
    }
    assert_eq!(issuer.hits(DISCOVERY), 1);
    assert_eq!(
        code(&issuers, &good, start + COOL_DOWN).await,
        Err("ISSUER_UNAVAILABLE")
    );
    assert_eq!(issuer.hits(DISCOVERY), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_end_the_fetch() {
    let issuer = TestIssuer::start().await;
    let (issuers, start) = (issuer.issuers(), Instant::now());
    let good = sign(&issuer.claims());
    {
        // Polled once, which starts the fetch, and dropped.
        let mut caller = std::pin::pin!(code(&issuers, &good, start));
        let polled = std::future::poll_fn(|context| Poll::Ready(caller.as_mut().poll(context)));
        assert!(polled.await.is_pending());
    }
    assert_eq!(code(&issuers, &good, start).await, Ok(()));
    assert_eq!(issuer.hits(KEYS), 1);
}

#[tokio::test]
async fn a_stale_set_is_renewed_when_the_issuer_answers() {
    let issuer = TestIssuer::start().await;
    let (issuers, start) = (issuer.issuers(), Instant::now());
    let good = sign(&issuer.claims());
    assert_eq!(code(&issuers, &good, start).await, Ok(()));
    assert_eq!(code(&issuers, &good, start + FRESH).await, Ok(()));
    assert_eq!(issuer.hits(KEYS), 1, "fresh up to the bound");
    issuer.answer_json(
        KEYS,
        &json!({"keys": [Signer::shared(Algorithm::EdDSA).jwk("ed")]}),
    );
    let outcome = code(&issuers, &good, start + FRESH + SECOND).await;
    assert_eq!(
        outcome,
        Err("TOKEN_KEY"),
        "a key that was withdrawn is gone with the refresh"
    );
}

#[tokio::test]
async fn an_issuer_that_hangs_slows_no_caller_whose_key_is_known() {
    let issuer = TestIssuer::start().await;
    let (issuers, start) = (issuer.issuers(), Instant::now());
    let good = sign(&issuer.claims());
    assert_eq!(code(&issuers, &good, start).await, Ok(()));
    issuer.answer(DISCOVERY, Answer::Hang);
    let stale = start + FRESH + SECOND;
    let unknown = by_unknown_key(&issuer, "unknown");
    let outcome = code(&issuers, &unknown, stale).await;
    assert_eq!(outcome, Err("ISSUER_UNAVAILABLE"));
    let at_once = code(&issuers, &good, stale + COOL_DOWN);
    let outcome = tokio::time::timeout(Duration::ZERO, at_once).await;
    assert_eq!(outcome, Ok(Ok(())), "the next fetch hangs beside it");
}

#[tokio::test]
async fn nothing_is_fetched_for_an_unlisted_issuer() {
    let issuer = TestIssuer::start().await;
    let unlisted = TestIssuer::start().await;
    let outcome = issuer
        .issuers()
        .verify(&sign(&unlisted.claims()), now())
        .await;
    assert!(matches!(outcome, Err(Error::Issuer)));
    assert_eq!((issuer.all_hits(), unlisted.all_hits()), (0, 0));
}

#[tokio::test]
async fn two_issuers_are_told_apart() {
    let one = TestIssuer::start().await;
    let two = TestIssuer::start().await;
    two.answer_json(
        KEYS,
        &json!({"keys": [Signer::shared(Algorithm::EdDSA).jwk("ed")]}),
    );
    let mut second = two.settings();
    second.name = "other".to_owned();
    let issuers = super::world::issuers(vec![one.settings(), second]);
    issuers.prefetch().await;
    assert!(issuers.verify(&sign(&one.claims()), now()).await.is_ok());
    let outcome = issuers.verify(&sign(&two.claims()), now()).await;
    assert!(
        matches!(outcome, Err(Error::UnknownKey)),
        "one's key says nothing of the other"
    );
}

#[tokio::test]
async fn keys_that_are_not_for_verifying_by_this_algorithm_do_not_count() {
    let issuer = TestIssuer::start().await;
    let es = Signer::shared(Algorithm::ES256).jwk("k");
    let rs = Signer::shared(Algorithm::RS256).jwk("k");
    let small = vec![0xff; 128];
    let cases = [
        ("for encryption", with(&es, "use", json!("enc"))),
        ("for deriving", with(&es, "key_ops", json!(["deriveKey"]))),
        ("of another algorithm", with(&es, "alg", json!("ES384"))),
        (
            "with an algorithm that is no string",
            with(&es, "alg", json!(["ES256"])),
        ),
        ("of another curve", with(&es, "crv", json!("P-384"))),
        ("not on the curve", with(&es, "x", es["y"].clone())),
        ("with a short coordinate", with(&es, "x", json!("AAAA"))),
        (
            "with its private half",
            with(&es, "d", json!(base64url([7; 32]))),
        ),
        (
            "symmetric",
            json!({"kty": "oct", "kid": "k", "k": base64url([7; 32])}),
        ),
        (
            "RSA for another algorithm",
            with(&rs, "alg", json!("RS512")),
        ),
        (
            "RSA with 1024 bits",
            with(&rs, "n", json!(base64url(small))),
        ),
        ("RSA with exponent 1", with(&rs, "e", json!("AQ"))),
        ("RSA with an even exponent", with(&rs, "e", json!("AQAC"))),
        (
            "RSA with 65536 bits",
            with(&rs, "n", json!(base64url(vec![0xff; 8192]))),
        ),
        ("without a kid", with(&es, "kid", Value::Null)),
    ];
    for (case, jwk) in cases {
        let mut set = shared_key_set();
        set["keys"].as_array_mut().unwrap().push(jwk);
        issuer.answer_json(KEYS, &set);
        let issuers = issuer.issuers();
        let token = sign_with(&json!({"alg": "ES256", "kid": "k"}), &issuer.claims());
        assert_refused(&issuers, case, &token, "TOKEN_KEY").await;
        assert!(
            issuers.verify(&sign(&issuer.claims()), now()).await.is_ok(),
            "{case}"
        );
    }
}
