//! The issuer against a client that is written out here, so that other tests may rely on it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::*;
use crate::dev::person::Visitor;

const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-a-real-one";

async fn fetch(issuer: &Issuer, path: &str) -> reqwest::Response {
    let url = format!("{}{path}", issuer.url());
    client().get(url).send().await.unwrap()
}

async fn post(issuer: &Issuer, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let url = format!("{}{path}", issuer.url());
    let request = client()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy();
    builder
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

fn authorization(issuer: &Issuer, redirect: &str, change: (&str, &str)) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let mut url = Url::parse(&format!("{}/authorize", issuer.url())).unwrap();
    for (name, value) in [
        ("client_id", CLIENT_ID),
        ("response_type", "code"),
        ("scope", "openid groups"),
        ("redirect_uri", redirect),
        ("state", "st&te"),
        ("nonce", "n0nce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ] {
        let value = if name == change.0 { change.1 } else { value };
        url.query_pairs_mut().append_pair(name, value);
    }
    url.into()
}

/// The client's loopback port: the first request's target, answered with 200.
async fn callback(listener: tokio::net::TcpListener) -> Url {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 4096];
    let length = stream.read(&mut request).await.unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    let text = String::from_utf8(request[..length].to_vec()).unwrap();
    let target = text.split(' ').nth(1).unwrap();
    Url::parse("http://127.0.0.1")
        .unwrap()
        .join(target)
        .unwrap()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Checks a signature with nothing but the published key set.
async fn verifies(issuer: &Issuer, token: &str) -> bool {
    let jwks: Value = fetch(issuer, "/jwks").await.json().await.unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let header: Value = serde_json::from_slice(&decode(token.split('.').next().unwrap())).unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == header["kid"]) else {
        return false;
    };
    let part = |name: &str| decode(key[name].as_str().unwrap());
    let (input, signature) = (input.as_bytes(), decode(signature));
    match header["alg"].as_str().unwrap() {
        "RS256" => RsaPublicKeyComponents {
            n: part("n"),
            e: part("e"),
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, input, &signature)
        .is_ok(),
        "ES256" => {
            let point = [vec![4], part("x"), part("y")].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(input, &signature).is_ok()
        }
        _ => UnparsedPublicKey::new(&ED25519, part("x"))
            .verify(input, &signature)
            .is_ok(),
    }
}

#[tokio::test]
async fn a_person_signs_in_through_the_browser_with_every_algorithm() {
    let issuer = Issuer::start().await.unwrap();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        issuer.use_algorithm(algorithm);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let redirect = format!("http://{}/callback", listener.local_addr().unwrap());
        let url = authorization(&issuer, &redirect, ("", ""));
        let alice = Visitor::new("alice", "any");
        let (walked, back) = tokio::join!(alice.browse(&url), callback(listener));
        walked.unwrap();
        let query: BTreeMap<String, String> = back.query_pairs().into_owned().collect();
        assert_eq!(query["state"], "st&te");
        assert_eq!(query["iss"], issuer.url());
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &query["code"]),
            ("code_verifier", VERIFIER),
            ("redirect_uri", &redirect),
        ];
        let (status, answer) = post(&issuer, "/token", &form).await;
        assert_eq!(status, 200);
        let token = answer["id_token"].as_str().unwrap();
        assert!(verifies(&issuer, token).await, "{algorithm:?}");
        let claims = claims(token);
        assert_eq!(claims["nonce"], "n0nce");
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["groups"], json!(["sre", "oncall"]));
        assert_eq!(claims["email"], "alice@example.com");
        assert_eq!(claims["email_verified"], true);
        let (status, again) = post(&issuer, "/token", &form).await;
        assert_eq!((status, &again["error"]), (400, &json!("invalid_grant")));
    }
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier() {
    let issuer = Issuer::start().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redirect = format!("http://{}/", listener.local_addr().unwrap());
    let url = authorization(&issuer, &redirect, ("", ""));
    let bob = Visitor::new("bob", "any");
    let (walked, back) = tokio::join!(bob.browse(&url), callback(listener));
    walked.unwrap();
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", "another"),
        ("redirect_uri", &redirect),
    ];
    let (status, _) = post(&issuer, "/token", &form).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn authorization_requests_are_checked() {
    let issuer = Issuer::start().await.unwrap();
    for (case, change, status) in [
        ("an unknown client", ("client_id", "x"), 400),
        (
            "a redirect elsewhere",
            ("redirect_uri", "http://evil.example/"),
            400,
        ),
        ("no PKCE", ("code_challenge", ""), 303),
        ("plain PKCE", ("code_challenge_method", "plain"), 303),
        ("no openid scope", ("scope", "email"), 303),
        ("a token right away", ("response_type", "token"), 303),
    ] {
        let url = authorization(&issuer, "http://127.0.0.1:9/cb", change);
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{case}");
        if status == 303 {
            let location = answer.headers()["location"].to_str().unwrap();
            assert!(
                location.starts_with("http://127.0.0.1:9/cb?error="),
                "{case}"
            );
        }
    }
}

#[tokio::test]
async fn a_device_waits_until_its_code_is_typed() {
    let issuer = Issuer::start().await.unwrap();
    let (_, begun) = post(
        &issuer,
        "/device_authorization",
        &[("client_id", CLIENT_ID)],
    )
    .await;
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", begun["device_code"].as_str().unwrap()),
    ];
    let (status, pending) = post(&issuer, "/token", &poll).await;
    assert_eq!(
        (status, &pending["error"]),
        (400, &json!("authorization_pending"))
    );
    let link = begun["verification_uri_complete"].as_str().unwrap();
    Visitor::new("carol", "any")
        .connect_device(link)
        .await
        .unwrap();
    let (status, answer) = post(&issuer, "/token", &poll).await;
    assert_eq!(status, 200);
    let claims = claims(answer["id_token"].as_str().unwrap());
    assert_eq!(claims["sub"], "carol");
    assert_eq!(claims.get("nonce"), None);
}

#[tokio::test]
async fn a_person_with_the_wrong_name_or_password_does_not_get_in() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = Issuer::start_on(listener, Some("s3cret".into()))
        .await
        .unwrap();
    let url = authorization(&issuer, "http://127.0.0.1:9/", ("", ""));
    for (case, name, password) in [
        ("a wrong password", "alice", "guess"),
        ("no password", "alice", ""),
        ("an unknown name", "eve", "s3cret"),
    ] {
        assert!(
            Visitor::new(name, password).browse(&url).await.is_err(),
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_person_never_types_a_password_off_this_machine() {
    for url in [
        "https://id.example.com/authorize",
        "http://198.51.100.7/authorize",
        "http://127.0.0.1.example.com/",
        "https://127.0.0.1/",
        "file:///etc/passwd",
    ] {
        let error = Visitor::new("alice", "any").browse(url).await.unwrap_err();
        assert!(
            error.to_string().contains("on this machine"),
            "{url}: {error}"
        );
    }
}

#[tokio::test]
async fn rotation_replaces_every_key() {
    let issuer = Issuer::start().await.unwrap();
    let old = issuer.id_token("alice", None);
    assert!(verifies(&issuer, &old).await);
    issuer.rotate().unwrap();
    assert!(!verifies(&issuer, &old).await);
    assert!(verifies(&issuer, &issuer.id_token("alice", None)).await);
    assert_eq!(issuer.hits("/jwks"), 3);
}

#[tokio::test]
async fn misbehaviour_shows_where_it_should() {
    let issuer = Issuer::start().await.unwrap();
    let discovery = "/.well-known/openid-configuration";
    for (behaviour, path, status, part) in [
        (Behaviour::Status500, "/jwks", 500, "wrong"),
        (Behaviour::Html, discovery, 200, "<!doctype"),
        (Behaviour::Empty, "/jwks", 200, r#"{"keys":[]}"#),
        (Behaviour::Empty, discovery, 200, "jwks_uri"),
        (Behaviour::DuplicateKid, "/jwks", 200, "RS256-1"),
        (
            Behaviour::OtherIssuer,
            discovery,
            200,
            "https://other.example",
        ),
        (
            Behaviour::PlainKeys,
            discovery,
            200,
            "http://issuer.example/jwks",
        ),
        (Behaviour::Redirect, "/jwks", 303, ""),
        (Behaviour::Huge, "/jwks", 200, "xxxx"),
    ] {
        issuer.behave(behaviour);
        let answer = fetch(&issuer, path).await;
        assert_eq!(answer.status().as_u16(), status, "{behaviour:?}");
        assert!(answer.text().await.unwrap().contains(part), "{behaviour:?}");
    }
    issuer.behave(Behaviour::Slow);
    let waiting = fetch(&issuer, "/jwks");
    let release = async { issuer.behave(Behaviour::Normal) };
    assert_eq!(tokio::join!(waiting, release).0.status().as_u16(), 200);
}

#[test]
fn a_header_with_a_foreign_algorithm_gets_an_empty_signature() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let issuer = runtime.block_on(Issuer::start()).unwrap();
    let token = issuer.sign_raw(&json!({"alg": "none"}), b"{}");
    assert_eq!(token, "eyJhbGciOiJub25lIn0.e30.");
}
