//! Shape, header, key and signature of ID tokens.

use std::error::Error as _;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::world::{
    DISCOVERY, KEYS, Signer, TestIssuer, base64url, issuers, now, sign, sign_with, with,
};
use crate::identity::{Algorithm, Binding, Error, Issuers};

/// Everything an error could print.
pub(super) fn all_text(error: &Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = error.source();
    while let Some(source) = cause {
        text += &format!(" {source} {source:?}");
        cause = source.source();
    }
    text
}

/// Refused with this code, and without a word of the token.
pub(super) async fn assert_refused(issuers: &Issuers, case: &str, token: &str, code: &str) {
    let error = issuers.verify(token, now()).await.expect_err(case);
    assert_eq!(error.code(), code, "{case}: {error}");
    assert!(!error.is_unavailable(), "{case}");
    let text = all_text(&error);
    assert!(!text.contains("marker"), "{case}: {text}");
    let pieces = token
        .as_bytes()
        .chunks(12)
        .filter(|piece| piece.len() == 12);
    for piece in pieces.take(200) {
        let piece = String::from_utf8_lossy(piece);
        assert!(!text.contains(&*piece), "{case}: {text}");
    }
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_is_an_identity() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let headers = [
        (Algorithm::RS256, json!({"alg": "RS256", "kid": "rs"})),
        (
            Algorithm::ES256,
            json!({"alg": "ES256", "kid": "es", "typ": "JWT"}),
        ),
        (
            Algorithm::EdDSA,
            json!({"alg": "EdDSA", "kid": "ed", "typ": "application/jwt"}),
        ),
        (
            Algorithm::EdDSA,
            json!({"alg": "EdDSA", "kid": "ed", "typ": "jwt", "x5t": "abc"}),
        ),
    ];
    for (algorithm, header) in headers {
        let signer = Signer::shared(algorithm);
        let token = signer.compact(&header.to_string(), &issuer.claims().to_string());
        let identity = issuers.verify(&token, now()).await.unwrap();
        assert_eq!(identity.issuer(), issuer.url);
        assert_eq!(identity.subject(), "alice-1");
        assert_eq!(identity.label(), "alice@example.com");
        assert_eq!(identity.binding(), Binding::Nonce);
        assert_eq!(identity.expires() - now(), time::Duration::seconds(600));
        let authenticated = now() - time::Duration::seconds(20);
        assert_eq!(
            identity.claims()["auth_time"],
            authenticated.unix_timestamp()
        );
        assert_eq!(
            identity.token_hash(),
            &crate::identity::proof::token_hash(&token)
        );
        assert_eq!(identity.claims()["groups"], json!(["sre", "oncall"]));
        assert!(!identity.claims().contains_key("nonce"));
        assert!(!format!("{identity:?}").contains("marker"));
    }
    assert_eq!((issuer.hits(DISCOVERY), issuer.hits(KEYS)), (1, 1));
}

#[tokio::test]
async fn a_token_of_another_shape_is_refused_unparsed() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let good = sign(&issuer.claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!()
    };
    let join = |header: &str, payload: &str| format!("{header}.{payload}.{signature}");
    let raw = |payload: &str| {
        let header = r#"{"alg":"ES256","kid":"es"}"#;
        Signer::shared(Algorithm::ES256).compact(header, payload)
    };
    let claims = issuer.claims().to_string();
    let inner = &claims[1..claims.len() - 1];
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let json_form = json!({"protected": header, "payload": payload, "signature": signature});
    // The last character of 32 bytes in base64 has two bits to spare.
    let spare = base64url([0; 32]).replace('A', "B");
    let groups: Vec<String> = (0..100_000).map(|n| format!("group-{n}")).collect();
    let many: Vec<usize> = (0..600).collect();
    let big_key = "k".repeat(1 << 20);
    let malformed = "TOKEN_MALFORMED";
    let too_large = "TOKEN_TOO_LARGE";
    let cases = [
        ("nothing", String::new(), malformed),
        ("one dot", format!("{header}.{payload}"), malformed),
        ("four parts", format!("{good}.x"), malformed),
        ("five parts, as JWE has", format!("{good}.x.x"), malformed),
        ("five thousand dots", ".".repeat(5_000), malformed),
        ("a megabyte of dots", ".".repeat(1 << 20), too_large),
        ("a megabyte", "a".repeat(1 << 20), too_large),
        (
            "one byte too many",
            format!("{good}{}", "A".repeat(16 * 1024 + 1 - good.len())),
            too_large,
        ),
        (
            "a hundred thousand groups",
            sign(&with(&issuer.claims(), "groups", json!(groups))),
            too_large,
        ),
        (
            "a list of six hundred",
            sign(&with(&issuer.claims(), "groups", json!(many))),
            too_large,
        ),
        (
            "a deeper list of six hundred",
            sign(&with(&issuer.claims(), "x", json!({"y": many}))),
            too_large,
        ),
        (
            "a kid of a megabyte",
            sign_with(&json!({"alg": "ES256", "kid": big_key}), &issuer.claims()),
            too_large,
        ),
        ("the JSON serialisation", json_form.to_string(), malformed),
        (
            "padding",
            format!("{header}=.{payload}.{signature}"),
            malformed,
        ),
        (
            "the other base64 alphabet",
            join(&STANDARD.encode([0xfb, 0xff]), payload),
            malformed,
        ),
        (
            "a line break",
            join(&format!("{header}\n"), payload),
            malformed,
        ),
        ("a space in front", format!(" {good}"), malformed),
        (
            "spare bits set in the signature",
            format!("{header}.{payload}.{spare}"),
            malformed,
        ),
        ("a NUL", format!("{good}\0"), malformed),
        (
            "a header that is no object",
            join(&base64url("[]"), payload),
            malformed,
        ),
        (
            "a header that is no JSON",
            join(&base64url("marker"), payload),
            malformed,
        ),
        (
            "a header parameter twice",
            join(
                &base64url(r#"{"alg":"ES256","kid":"es","alg":"none"}"#),
                payload,
            ),
            malformed,
        ),
        (
            "a claim twice",
            raw(&format!(r#"{{{inner},"sub":"mallory-marker"}}"#)),
            malformed,
        ),
        (
            "a claim twice, the second escaped",
            raw(&format!(r#"{{{inner},"s\u0075b":"mallory"}}"#)),
            malformed,
        ),
        (
            "a claim twice further down",
            raw(&format!(r#"{{{inner},"x":{{"a":1,"a":2}}}}"#)),
            malformed,
        ),
        (
            "ten thousand levels",
            raw(&format!(r#"{{{inner},"x":{deep}}}"#)),
            malformed,
        ),
        ("two objects", raw(&format!("{claims}{claims}")), malformed),
        (
            "no UTF-8",
            join(header, &base64url(b"{\"a\":\"\xff\xfe\"}")),
            malformed,
        ),
        ("a payload that is a string", raw("\"marker\""), malformed),
    ];
    for (case, token, code) in cases {
        assert_refused(&issuers, case, &token, code).await;
    }
    assert_eq!(issuer.all_hits(), 0);
}

#[tokio::test]
async fn a_header_never_chooses_algorithm_key_or_address() {
    let issuer = TestIssuer::start().await;
    let trap = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let base = json!({"alg": "ES256", "kid": "es", "typ": "JWT"});
    let own_key = Signer::shared(Algorithm::ES256).jwk("es");
    let mut cases = vec![];
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS384", "PS256", "ES384", "es256",
        "ES256K", "EdDsa", "RSA-OAEP", "dir", "A256GCM", "ES256\0",
    ] {
        cases.push((with(&base, "alg", json!(alg)), "TOKEN_ALGORITHM"));
    }
    for alg in [Value::Null, json!(1), json!(["ES256"]), json!({})] {
        cases.push((with(&base, "alg", alg), "TOKEN_ALGORITHM"));
    }
    // The named key is of another kind than the named algorithm.
    for kid in ["rs", "ed"] {
        cases.push((with(&base, "kid", json!(kid)), "TOKEN_ALGORITHM"));
    }
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "JOSE",
        "",
        "JWT;x",
        "JWE",
    ] {
        cases.push((with(&base, "typ", json!(typ)), "TOKEN_TYPE"));
    }
    cases.push((with(&base, "typ", json!(["JWT"])), "TOKEN_TYPE"));
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!("b64")),
        ("jku", json!(format!("{}/keys", trap.url))),
        ("x5u", json!(format!("{}/keys", trap.url))),
        ("jwk", own_key),
        ("x5c", json!(["MIIB"])),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("b64", json!(false)),
    ] {
        cases.push((with(&base, name, value), "TOKEN_MALFORMED"));
    }
    for kid in [
        json!(1),
        json!(""),
        json!("a b"),
        json!("es\0"),
        json!("e\u{e9}"),
        json!(["es"]),
        json!("k".repeat(257)),
        json!("es\n"),
        Value::Null,
    ] {
        cases.push((with(&base, "kid", kid), "TOKEN_MALFORMED"));
    }
    for kid in [
        "../../etc/passwd",
        "es'OR'1'='1",
        "ES",
        "es/",
        "http://127.0.0.1/",
        "k",
    ] {
        cases.push((with(&base, "kid", json!(kid)), "TOKEN_KEY"));
    }
    for (header, code) in cases {
        let token = sign_with(&header, &issuer.claims());
        assert_refused(&issuers, &header.to_string(), &token, code).await;
    }
    assert_eq!(trap.all_hits(), 0);
    assert!(
        issuer.hits(KEYS) <= 2,
        "all unknown kids together cost one more fetch"
    );
}

#[tokio::test]
async fn a_signature_by_anything_but_the_named_key_is_refused() {
    let issuer = TestIssuer::start().await;
    let issuers = issuer.issuers();
    let header = r#"{"alg":"ES256","kid":"es"}"#;
    let claims = issuer.claims().to_string();
    let good = Signer::shared(Algorithm::ES256).compact(header, &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other_key = Signer::new(Algorithm::ES256).compact(header, &claims);
    let changed = claims.replace("alice-1", "alice-2");
    let changed = format!("{}.{}.{signature}", base64url(header), base64url(&changed));
    let rs_header = r#"{"alg":"RS256","kid":"rs"}"#;
    let rs_message = format!("{}.{}", base64url(rs_header), base64url(&claims));
    let modulus = Signer::shared(Algorithm::RS256).modulus();
    let mac = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &modulus),
        rs_message.as_bytes(),
    );
    let cases = [
        ("an empty signature", format!("{message}.")),
        ("a short signature", format!("{message}.AAAA")),
        (
            "zeros (CVE-2022-21449)",
            format!("{message}.{}", base64url([0; 64])),
        ),
        ("another key of the same kind", other_key),
        ("a changed payload", changed),
        (
            "an HMAC with the public key",
            format!("{rs_message}.{}", base64url(mac)),
        ),
        ("an empty RSA signature", format!("{rs_message}.")),
        (
            "an RSA signature of zeros",
            format!("{rs_message}.{}", base64url([0; 256])),
        ),
    ];
    for (case, token) in cases {
        assert_refused(&issuers, case, &token, "TOKEN_SIGNATURE").await;
    }
    assert!(issuers.verify(&good, now()).await.is_ok());
}

#[tokio::test]
async fn an_algorithm_counts_only_where_the_configuration_names_it() {
    let issuer = TestIssuer::start().await;
    let mut settings = issuer.settings();
    settings.algorithms = vec![Algorithm::ES256];
    let issuers = issuers(vec![settings]);
    for (algorithm, header) in [
        (Algorithm::RS256, r#"{"alg":"RS256","kid":"rs"}"#),
        (Algorithm::EdDSA, r#"{"alg":"EdDSA","kid":"ed"}"#),
    ] {
        let token = Signer::shared(algorithm).compact(header, &issuer.claims().to_string());
        assert_refused(&issuers, header, &token, "TOKEN_ALGORITHM").await;
    }
    assert!(issuers.verify(&sign(&issuer.claims()), now()).await.is_ok());
}
