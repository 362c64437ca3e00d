//! Every row of the ID-token table through the real server: what is refused, with which reason, and
//! what it leaves behind.

use crate::support::{
    api::{Attempt, Caller, Refusal, ask},
    env::TestEnv,
    files,
};
use daypass::identity::issuer::Algorithm;
use serde_json::{Value, json};
use tonic::Code;

/// A change to a good token's claims, and the reason it is refused for.
type ClaimsCase = (&'static str, fn(&mut Value, i64), &'static str);

fn set(claims: &mut Value, name: &str, value: Value) {
    claims[name] = value;
}

fn remove(claims: &mut Value, name: &str) {
    claims.as_object_mut().unwrap().remove(name);
}

const CLAIMS: &[ClaimsCase] = &[
    (
        "issuer with a slash at its end",
        |c, _| {
            let iss = format!("{}/", c["iss"].as_str().unwrap());
            set(c, "iss", json!(iss))
        },
        "TOKEN_ISSUER",
    ),
    (
        "issuer in capitals",
        |c, _| {
            let iss = c["iss"].as_str().unwrap().to_uppercase();
            set(c, "iss", json!(iss))
        },
        "TOKEN_ISSUER",
    ),
    (
        "issuer with another scheme",
        |c, _| {
            let iss = c["iss"].as_str().unwrap().replace("http:", "https:");
            set(c, "iss", json!(iss))
        },
        "TOKEN_ISSUER",
    ),
    (
        "issuer with userinfo",
        |c, _| {
            let iss = c["iss"].as_str().unwrap().replace("://", "://x@");
            set(c, "iss", json!(iss))
        },
        "TOKEN_ISSUER",
    ),
    (
        "issuer as a prefix of a longer host (CVE-2026-22772)",
        |c, _| {
            let iss = format!("{}.evil.example", c["iss"].as_str().unwrap());
            set(c, "iss", json!(iss))
        },
        "TOKEN_ISSUER",
    ),
    (
        "issuer as an array",
        |c, _| {
            let iss = json!([c["iss"]]);
            set(c, "iss", iss)
        },
        "TOKEN_ISSUER",
    ),
    ("no issuer", |c, _| remove(c, "iss"), "TOKEN_CLAIMS"),
    ("no audience", |c, _| remove(c, "aud"), "TOKEN_CLAIMS"),
    ("no subject", |c, _| remove(c, "sub"), "TOKEN_CLAIMS"),
    (
        "an empty subject",
        |c, _| set(c, "sub", json!("")),
        "TOKEN_CLAIMS",
    ),
    ("no expiry", |c, _| remove(c, "exp"), "TOKEN_CLAIMS"),
    ("no time of issue", |c, _| remove(c, "iat"), "TOKEN_CLAIMS"),
    (
        "audience that is a prefix of ours",
        |c, _| set(c, "aud", json!("daypas")),
        "TOKEN_AUDIENCE",
    ),
    (
        "audience that ours is a prefix of (CVE-2024-5798)",
        |c, _| set(c, "aud", json!("daypass-admin")),
        "TOKEN_AUDIENCE",
    ),
    (
        "audience as a number",
        |c, _| set(c, "aud", json!(7)),
        "TOKEN_AUDIENCE",
    ),
    (
        "several audiences",
        |c, _| set(c, "aud", json!(["daypass", "other"])),
        "TOKEN_AUDIENCE",
    ),
    (
        "no audience in the list",
        |c, _| set(c, "aud", json!([])),
        "TOKEN_AUDIENCE",
    ),
    (
        "authorized party that is not us",
        |c, _| set(c, "azp", json!("other")),
        "TOKEN_AUDIENCE",
    ),
    (
        "a logout token",
        |c, _| {
            set(
                c,
                "events",
                json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
            )
        },
        "TOKEN_TYPE",
    ),
    (
        "expired beyond the leeway",
        |c, now| {
            set(c, "iat", json!(now - 700));
            set(c, "exp", json!(now - 60))
        },
        "TOKEN_EXPIRED",
    ),
    (
        "expiry in ten years",
        |c, now| set(c, "exp", json!(now + 10 * 365 * 86_400)),
        "TOKEN_CLAIMS",
    ),
    (
        "expiry as a string",
        |c, now| set(c, "exp", json!((now + 600).to_string())),
        "TOKEN_CLAIMS",
    ),
    (
        "expiry as a fraction",
        |c, now| set(c, "exp", json!(now as f64 + 600.5)),
        "TOKEN_CLAIMS",
    ),
    (
        "a negative expiry",
        |c, _| set(c, "exp", json!(-1)),
        "TOKEN_CLAIMS",
    ),
    (
        "not-before as a string",
        |c, now| set(c, "nbf", json!(now.to_string())),
        "TOKEN_CLAIMS",
    ),
    (
        "not-before in the future",
        |c, now| set(c, "nbf", json!(now + 120)),
        "TOKEN_NOT_YET_VALID",
    ),
    (
        "issued in the future",
        |c, now| set(c, "iat", json!(now + 120)),
        "TOKEN_NOT_YET_VALID",
    ),
    (
        "a thousand groups",
        |c, _| set(c, "groups", json!(vec!["g"; 1_000])),
        "TOKEN_TOO_LARGE",
    ),
    (
        "groups overage by claim names",
        |c, _| {
            remove(c, "groups");
            set(c, "_claim_names", json!({"groups": "src1"}));
            set(
                c,
                "_claim_sources",
                json!({"src1": {"endpoint": "http://127.0.0.1:1/groups"}}),
            )
        },
        "TOKEN_OVERAGE",
    ),
    (
        "groups overage by a flag",
        |c, _| {
            remove(c, "groups");
            set(c, "hasgroups", json!(true))
        },
        "TOKEN_OVERAGE",
    ),
];

fn refused(case: &str, answer: Result<crate::support::issued::Issued, Refusal>) -> Refusal {
    match answer {
        Err(refusal) => refusal,
        Ok(pass) => panic!("{case}: got a pass with serial {}", pass.serial),
    }
}

async fn expect_refusal(env: &TestEnv, case: &str, attempt: &Attempt, reason: &str, events: u64) {
    let before = env.ledger_size().await;
    let refusal = refused(case, env.api.issue(attempt).await);
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        (Code::Unauthenticated, reason),
        "{case}: {}",
        refusal.message
    );
    let recorded = env.ledger_size().await - before;
    assert_eq!(recorded, events, "{case}: events");
    if attempt.token.len() > 20 {
        assert!(
            !refusal.message.contains(&attempt.token),
            "{case}: the answer repeats the token"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_wrong_are_refused_with_their_reason() {
    let env = TestEnv::start().await;
    env.assert_honest().await;
    for (case, change, reason) in CLAIMS {
        let now = env.now();
        let caller = Caller::new();
        let mut claims = env.claims(&caller, "alice", &["sre"]);
        change(&mut claims, now);
        let token = env.sign(claims);
        expect_refusal(&env, case, &env.attempt(&caller, &token), reason, 0).await;
    }
    env.assert_honest().await;
    env.assert_no_secret_in_events().await;
}

/// A header over good claims, and the reason it is refused for.
type HeaderCase = (&'static str, fn(&mut Value), &'static str);

const HEADERS: &[HeaderCase] = &[
    ("alg none", |h| h["alg"] = json!("none"), "TOKEN_ALGORITHM"),
    ("alg None", |h| h["alg"] = json!("None"), "TOKEN_ALGORITHM"),
    ("alg NONE", |h| h["alg"] = json!("NONE"), "TOKEN_ALGORITHM"),
    ("alg empty", |h| h["alg"] = json!(""), "TOKEN_ALGORITHM"),
    (
        "alg HS256",
        |h| h["alg"] = json!("HS256"),
        "TOKEN_ALGORITHM",
    ),
    (
        "alg that the issuer does not allow",
        |h| h["alg"] = json!("PS512"),
        "TOKEN_ALGORITHM",
    ),
    (
        "no alg",
        |h| {
            h.as_object_mut().unwrap().remove("alg");
        },
        "TOKEN_ALGORITHM",
    ),
    (
        "kid that is a path",
        |h| h["kid"] = json!("../../etc/passwd"),
        "TOKEN_KEY",
    ),
    (
        "kid with SQL",
        |h| h["kid"] = json!("' OR 1=1 --"),
        "TOKEN_MALFORMED",
    ),
    (
        "kid with a NUL",
        |h| h["kid"] = json!("a\u{0}b"),
        "TOKEN_MALFORMED",
    ),
    (
        "kid as a number",
        |h| h["kid"] = json!(7),
        "TOKEN_MALFORMED",
    ),
    (
        "no kid",
        |h| {
            h.as_object_mut().unwrap().remove("kid");
        },
        "TOKEN_MALFORMED",
    ),
    (
        "jku",
        |h| h["jku"] = json!("http://127.0.0.1:1/jwks"),
        "TOKEN_MALFORMED",
    ),
    (
        "x5u",
        |h| h["x5u"] = json!("http://127.0.0.1:1/x5u"),
        "TOKEN_MALFORMED",
    ),
    (
        "jwk",
        |h| h["jwk"] = json!({"kty": "oct"}),
        "TOKEN_MALFORMED",
    ),
    ("x5c", |h| h["x5c"] = json!(["AAAA"]), "TOKEN_MALFORMED"),
    (
        "an unknown critical header (CVE-2025-4658)",
        |h| {
            h["crit"] = json!(["exp"]);
            h["exp"] = json!(1)
        },
        "TOKEN_MALFORMED",
    ),
    (
        "an access token",
        |h| h["typ"] = json!("at+jwt"),
        "TOKEN_TYPE",
    ),
    (
        "a logout token by type",
        |h| h["typ"] = json!("logout+jwt"),
        "TOKEN_TYPE",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_wrong_are_refused_with_their_reason() {
    let env = TestEnv::start().await;
    for (case, change, reason) in HEADERS {
        let caller = Caller::new();
        let claims = env.claims(&caller, "alice", &["sre"]);
        let token = env.sign_with_header(*change, &claims);
        expect_refusal(&env, case, &env.attempt(&caller, &token), reason, 0).await;
    }
    env.assert_honest().await;
}

/// A change to a good compact token's text, and the reason it is refused for.
type TextCase = (&'static str, fn(&str) -> String, &'static str);

const TEXTS: &[TextCase] = &[
    ("nothing", |_| String::new(), "TOKEN_MISSING"),
    ("one word", |_| "token".to_owned(), "TOKEN_MALFORMED"),
    (
        "five thousand dots (RUSTSEC-2024 class, GHSA-f83f-xpx7-ffpw)",
        |_| ".".repeat(5_000),
        "TOKEN_MALFORMED",
    ),
    (
        "five parts, as a JWE",
        |t| format!("{t}.a.b"),
        "TOKEN_MALFORMED",
    ),
    (
        "JSON serialisation",
        |t| {
            let p: Vec<_> = t.split('.').collect();
            json!({"protected": p[0], "payload": p[1], "signature": p[2]}).to_string()
        },
        "TOKEN_MALFORMED",
    ),
    (
        "an empty signature",
        |t| {
            let (head, _) = t.rsplit_once('.').unwrap();
            format!("{head}.")
        },
        "TOKEN_SIGNATURE",
    ),
    (
        "a cut signature",
        |t| {
            let cut = t.len() - 8;
            t[..cut].to_owned()
        },
        "TOKEN_SIGNATURE|TOKEN_MALFORMED",
    ),
    (
        "padded base64",
        |t| {
            let (head, tail) = t.split_once('.').unwrap();
            format!("{head}==.{tail}")
        },
        "TOKEN_MALFORMED",
    ),
    (
        "a swapped payload",
        |t| {
            let p: Vec<_> = t.split('.').collect();
            let payload = p[1].replace('e', "f");
            format!("{}.{payload}.{}", p[0], p[2])
        },
        "TOKEN_MALFORMED|TOKEN_SIGNATURE|TOKEN_CLAIMS",
    ),
    (
        "seventeen kilobytes",
        |t| format!("{t}{}", "A".repeat(17_000)),
        "TOKEN_TOO_LARGE",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_no_token_are_refused_with_their_reason() {
    let env = TestEnv::start().await;
    for (case, change, reasons) in TEXTS {
        let caller = Caller::new();
        let good = env.sign(env.claims(&caller, "alice", &["sre"]));
        let attempt = env.attempt(&caller, &change(&good));
        let before = env.ledger_size().await;
        let refusal = refused(case, env.api.issue(&attempt).await);
        assert!(
            reasons.split('|').any(|reason| reason == refusal.reason),
            "{case}: {refusal:?}"
        );
        assert_eq!(env.ledger_size().await, before, "{case}");
    }
    env.assert_honest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_that_json_readers_disagree_on_are_refused() {
    let env = TestEnv::start().await;
    let caller = Caller::new();
    let claims = env.claims(&caller, "alice", &["sre"]).to_string();
    let inside = claims.trim_start_matches('{').trim_end_matches('}');
    let deep = "[".repeat(3_000) + &"]".repeat(3_000);
    let cases = [
        (
            "a subject twice",
            format!(r#"{{{inside},"sub":"carol"}}"#),
            "TOKEN_MALFORMED",
        ),
        (
            "groups twice, the second escaped",
            format!(r#"{{{inside},"grou\u0070s":["sre-lead"]}}"#),
            "TOKEN_MALFORMED",
        ),
        (
            "a claim twice inside a claim",
            format!(r#"{{{inside},"a":{{"b":1,"b":2}}}}"#),
            "TOKEN_MALFORMED",
        ),
        (
            "ten thousand levels",
            format!(r#"{{{inside},"a":{deep}}}"#),
            "TOKEN_MALFORMED",
        ),
        (
            "a number out of range",
            format!(r#"{{{inside},"nbf":1e400}}"#),
            "TOKEN_MALFORMED",
        ),
        (
            "something behind the object",
            format!("{claims}{{}}"),
            "TOKEN_MALFORMED",
        ),
        ("not an object", "[]".to_owned(), "TOKEN_MALFORMED"),
        (
            "no UTF-8",
            format!(r#"{{{inside},"x":"{}"}}"#, '\u{FFFD}').replace('\u{FFFD}', "\u{1}"),
            "TOKEN_MALFORMED",
        ),
    ];
    for (case, payload, reason) in cases {
        let token = env.sign_payload(payload.as_bytes());
        expect_refusal(&env, case, &env.attempt(&caller, &token), reason, 0).await;
    }
    env.assert_honest().await;
}

/// A change to an honest attempt of a proven identity, and the reason: these leave exactly one
/// event.
type ProofCase = (
    &'static str,
    fn(&TestEnv, &Caller, &mut Attempt),
    &'static str,
);

const PROOFS: &[ProofCase] = &[
    (
        "the same token with another key",
        |env, _, attempt| {
            let thief = Caller::new();
            attempt.public_key = thief.key.public_key().to_openssh().unwrap();
            attempt.sign(&thief.key, env.api.server_name());
        },
        "KEY_BINDING",
    ),
    (
        "another secret",
        |_, _, attempt| attempt.secret = vec![7; 32],
        "KEY_BINDING",
    ),
    (
        "no secret",
        |_, _, attempt| attempt.secret.clear(),
        "KEY_BINDING",
    ),
    (
        "a proof by another key",
        |env, _, attempt| attempt.sign(&Caller::new().key, env.api.server_name()),
        "POSSESSION",
    ),
    (
        "a proof for another ask",
        |_, _, attempt| attempt.ask.ttl_seconds = 60,
        "POSSESSION",
    ),
    (
        "a proof for another server",
        |_, caller, attempt| attempt.sign(&caller.key, "elsewhere.example.com"),
        "POSSESSION",
    ),
    (
        "a proof with another token",
        |env, caller, attempt| {
            let other = env.sign(env.claims(caller, "alice", &["sre", "oncall"]));
            let mine = std::mem::replace(&mut attempt.token, other);
            attempt.sign(&caller.key, env.api.server_name());
            attempt.token = mine;
        },
        "POSSESSION",
    ),
    (
        "no proof",
        |_, _, attempt| attempt.possession.clear(),
        "POSSESSION",
    ),
    (
        "a proof that is garbage",
        |_, _, attempt| {
            attempt.possession =
                "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----".to_owned()
        },
        "POSSESSION",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn proofs_that_are_wrong_are_refused_and_recorded_once() {
    let env = TestEnv::start().await;
    for (case, change, reason) in PROOFS {
        let caller = Caller::new();
        let token = env.sign(env.claims(&caller, "alice", &["sre"]));
        let mut attempt = env.attempt(&caller, &token);
        change(&env, &caller, &mut attempt);
        expect_refusal(&env, case, &attempt, reason, 1).await;
    }
    env.assert_no_secret_in_events().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_nonce_is_refused_where_binding_is_on() {
    let env = TestEnv::new().policy("").start_process().await;
    let caller = Caller::new();
    let mut claims = env.claims(&caller, "alice", &["sre"]);
    remove(&mut claims, "nonce");
    let alice = env.user_with("alice", caller, claims);
    assert_eq!(
        refused("no nonce", alice.issue(ask("shell")).await).reason,
        "KEY_BINDING"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_hundred_thousand_groups_is_refused_unread() {
    let env = TestEnv::start().await;
    let caller = Caller::new();
    let groups = vec!["sre"; 100_000];
    let token = env.sign(env.claims(&caller, "alice", &groups));
    let before = env.ledger_size().await;
    refused(
        "too large",
        env.api.issue(&env.attempt(&caller, &token)).await,
    );
    let honest = env.attempt(&caller, &env.sign(env.claims(&caller, "alice", &["sre"])));
    let mut answer = env.api.issue(&honest).await;
    if answer.is_err() {
        // The connection that the flood ended is opened anew.
        answer = env.api.issue(&honest).await;
    }
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(env.ledger_size().await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_binds_its_key_by_the_audience() {
    let server = TestEnv::new().policy(MACHINES).prepare().await;
    let machines = "binding = \"audience\"\ninteractive = false";
    files::edit(&server.configuration(), "binding = \"nonce\"", machines);
    let mut process = server.spawn(&[]);
    let api = server.expect_api(&mut process).await;
    let (caller, other) = (Caller::new(), Caller::new());
    let bound = |to: &Caller| format!("daypass#{}", to.commitment());
    let cases = [
        ("bound to this key", bound(&caller), None),
        ("bound to another key", bound(&other), Some("KEY_BINDING")),
        ("bound to no key", "daypass".to_owned(), Some("KEY_BINDING")),
        (
            "another audience",
            format!("x{}", bound(&caller)),
            Some("TOKEN_AUDIENCE"),
        ),
    ];
    for (case, audience, refusal) in cases {
        let mut claims = caller.claims(server.issuer.url(), "ci", &[], crate::support::now());
        remove(&mut claims, "nonce");
        set(&mut claims, "aud", json!(audience));
        let token = server.issuer.sign(Algorithm::ES256, &claims);
        let attempt = caller.attempt(api.server_name(), &token, ask("deploy"));
        let answer = api.issue(&attempt).await;
        let reason = answer.as_ref().err().map(|refused| refused.reason.as_str());
        assert_eq!(reason, refusal, "{case}: {answer:?}");
    }
}

const MACHINES: &str = r#"
[limits]
ttl = "1h"
principals = ["deploy"]
[[role]]
name = "deploy"
allow = 'subject == "ci"'
principals = ["deploy"]
ttl = "5m"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_email_is_not_usable_in_policy() {
    let env = TestEnv::with_policy(
        r#"
[limits]
ttl = "1h"
principals = ["root"]
[[role]]
name = "mail"
allow = 'claims.email == "alice@example.com"'
principals = ["root"]
ttl = "5m"
"#,
    )
    .await;
    type Case = (&'static str, fn(&mut Value), bool);
    let cases: &[Case] = &[
        ("verified", |_| (), true),
        ("false", |c| c["email_verified"] = json!(false), false),
        (
            "the text true",
            |c| c["email_verified"] = json!("true"),
            false,
        ),
        ("absent", |c| remove(c, "email_verified"), false),
        (
            "a look-alike",
            |c| c["email"] = json!("аlice@example.com"),
            false,
        ),
        (
            "another domain with our suffix",
            |c| c["email"] = json!("alice@example.com.evil.example"),
            false,
        ),
    ];
    for (case, change, granted) in cases {
        let caller = Caller::new();
        let mut claims = env.claims(&caller, "alice", &[]);
        change(&mut claims);
        let token = env.sign(claims);
        let attempt = caller.attempt(env.api.server_name(), &token, ask("mail"));
        let answer = env.api.issue(&attempt).await;
        assert_eq!(answer.is_ok(), *granted, "{case}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_email_with_another_subject_is_another_person() {
    let env = TestEnv::start().await;
    let size = env.ledger_size().await;
    for subject in ["alice", "alice2"] {
        let caller = Caller::new();
        let mut claims = env.claims(&caller, subject, &["sre"]);
        claims["email"] = json!("alice@example.com");
        let token = env.sign(claims);
        let attempt = env.attempt(&caller, &token);
        env.api.issue(&attempt).await.unwrap();
    }
    let events = env.events(size).await;
    let subjects: Vec<_> = events
        .iter()
        .map(|event| event["who"]["subject"].as_str())
        .collect();
    assert_eq!(subjects, [Some("alice"), Some("alice2")]);
}
