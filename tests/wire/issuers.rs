//! What issuers do, and what tokens make others do to issuers, through the real server.

use std::time::{Duration, Instant};

use crate::support::{
    api::{Api, Attempt, Caller, Refusal, ask, with_token},
    env::TestEnv,
    policy,
    server::ServerFiles,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass::{
    dev::issuer::Behaviour,
    identity::issuer::Algorithm,
    proto::v1::{ListRolesRequest, passes_client::PassesClient},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Code;

const MISBEHAVIOURS: [(&str, Behaviour); 9] = [
    ("500", Behaviour::Status500),
    ("no answer", Behaviour::Slow),
    ("a web page", Behaviour::Html),
    ("a set without keys", Behaviour::Empty),
    ("fifty megabytes", Behaviour::Huge),
    ("a kid twice", Behaviour::DuplicateKid),
    ("discovery of another issuer", Behaviour::OtherIssuer),
    ("keys over plain http elsewhere", Behaviour::PlainKeys),
    ("a redirect", Behaviour::Redirect),
];

/// From one fetch of an issuer's keys to the next.
const COOL_DOWN: Duration = Duration::from_secs(10);

fn honest(server: &ServerFiles, api: &Api) -> Attempt {
    let caller = Caller::new();
    let token = server.token(&caller, "alice", &["sre"]);
    caller.attempt(api.server_name(), &token, ask("shell"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_refused_until_their_issuer_has_good_keys() {
    let mut cases = JoinSet::new();
    for (case, behaviour) in MISBEHAVIOURS {
        // Each has a daemon of its own, and a small machine starts few of them at once.
        if cases.len() == 3 {
            cases.join_next().await.unwrap().unwrap();
        }
        cases.spawn(closed_until_it_answers(case, behaviour));
    }
    while let Some(done) = cases.join_next().await {
        done.unwrap();
    }
}

async fn closed_until_it_answers(case: &'static str, behaviour: Behaviour) {
    let server = TestEnv::new().policy(policy::SHELL).prepare().await;
    server.issuer.behave(behaviour);
    let mut process = server.spawn(&[]);
    let api = server.expect_api(&mut process).await;
    let refusal = api.issue(&honest(&server, &api)).await.unwrap_err();
    let expected = (Code::Unavailable, "ISSUER_UNAVAILABLE");
    assert_eq!(
        (refusal.code, refusal.reason.as_str()),
        expected,
        "{case}: {refusal:?}"
    );
    server.issuer.behave(Behaviour::Normal);
    let deadline = Instant::now() + 12 * COOL_DOWN;
    while let Err(refusal) = api.issue(&honest(&server, &api)).await {
        assert_eq!(refusal.reason, "ISSUER_UNAVAILABLE", "{case}");
        assert!(Instant::now() < deadline, "{case}: it does not recover");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let elsewhere = [
        "/elsewhere/jwks",
        "/elsewhere/.well-known/openid-configuration",
    ];
    for path in elsewhere {
        assert_eq!(server.issuer.hits(path), 0, "{case}: {path}");
    }
    let auditor = server.token(&Caller::new(), "carol", &["security"]);
    let events = api.events(&auditor, 0).await;
    let refusals = events.iter().filter(|event| event["type"] == "denied");
    assert_eq!(refusals.count(), 0, "{case}: no identity was proven");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_known_serve_on_while_the_issuer_fails() {
    let env = TestEnv::start().await;
    env.assert_honest().await;
    for (case, behaviour) in MISBEHAVIOURS {
        let issuer = env.issuer();
        issuer.behave(behaviour);
        let before = issuer.all_hits();
        let refusal = by_unknown_key(&env, case).await.unwrap_err();
        assert!(
            ["TOKEN_KEY", "ISSUER_UNAVAILABLE"].contains(&refusal.reason.as_str()),
            "{case}: {refusal:?}"
        );
        env.assert_honest().await;
        assert!(
            issuer.all_hits() - before <= 2,
            "{case}: discovery and keys, once"
        );
    }
}

/// A token whose `kid` the issuer never had; its signature is by a good key.
async fn by_unknown_key(env: &TestEnv, kid: &str) -> Result<(), Refusal> {
    let kid = kid.replace(' ', "-");
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid});
    let claims = env.claims(&Caller::new(), "alice", &["sre"]).to_string();
    let token = env.issuer().sign_raw(&header, claims.as_bytes());
    let mut passes = PassesClient::new(env.api.channel());
    let request = with_token(ListRolesRequest::default(), &token);
    passes.list_roles(request).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_is_found_at_once_and_the_old_one_no_longer_counts() {
    let env = TestEnv::start().await;
    env.assert_honest().await;
    let caller = Caller::new();
    let old = env.sign(env.claims(&caller, "alice", &["sre"]));
    env.issuer().rotate().unwrap();
    env.assert_honest().await;
    let size = env.api.issue(&env.attempt(&caller, &old)).await;
    assert_eq!(size.unwrap_err().reason, "TOKEN_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_unknown_kids_cost_one_fetch_and_known_ones_keep_verifying() {
    let env = std::sync::Arc::new(TestEnv::start().await);
    env.assert_honest().await;
    let before = env.issuer().hits("/jwks");
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let env = env.clone();
        callers.spawn(async move {
            for number in 0..50 {
                let refused = by_unknown_key(&env, &format!("{caller}-{number}")).await;
                assert_eq!(refused.unwrap_err().reason, "TOKEN_KEY");
            }
        });
    }
    env.assert_honest().await;
    while let Some(done) = callers.join_next().await {
        done.unwrap();
        env.assert_honest().await;
    }
    let cool_downs = began.elapsed().as_secs() / COOL_DOWN.as_secs();
    let fetches = env.issuer().hits("/jwks") - before;
    assert!(
        fetches as u64 <= 1 + cool_downs,
        "{fetches} fetches in {:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_token_names_is_asked() {
    let env = TestEnv::start().await;
    env.assert_honest().await;
    let trap = format!("{}/elsewhere/jwks", env.issuer().url());
    let before = env.issuer().all_hits();
    for name in ["jku", "x5u", "jwk", "x5c", "kid"] {
        let caller = Caller::new();
        let mut header = good_header(&env);
        header[name] = json!(trap);
        let claims = env.claims(&caller, "alice", &["sre"]).to_string();
        let token = env.issuer().sign_raw(&header, claims.as_bytes());
        let refused = env.api.issue(&env.attempt(&caller, &token)).await;
        assert!(refused.is_err(), "{name}");
    }
    type Change = fn(&mut Value, &str);
    let claims: [(&str, Change); 3] = [
        ("an unlisted issuer", |c, trap| c["iss"] = json!(trap)),
        ("distributed claims", |c, trap| {
            c["_claim_sources"] = json!({"a": {"endpoint": trap}})
        }),
        ("groups elsewhere", |c, trap| {
            c["_claim_names"] = json!({"groups": trap})
        }),
    ];
    for (case, change) in claims {
        let caller = Caller::new();
        let mut claims = env.claims(&caller, "alice", &["sre"]);
        change(&mut claims, &trap);
        let token = env.sign(claims);
        let refused = env.api.issue(&env.attempt(&caller, &token)).await;
        assert!(refused.is_err(), "{case}");
    }
    // The unknown `kid` is worth one look at the issuer's own, configured key set: discovery and
    // keys.
    assert!(env.issuer().all_hits() - before <= 2);
    assert_eq!(env.issuer().hits("/elsewhere/jwks"), 0);
}

fn good_header(env: &TestEnv) -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": env.issuer().key_id(Algorithm::ES256)})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_is_no_secret_to_sign_with() {
    let env = TestEnv::start().await;
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
        let caller = Caller::new();
        let issuer = env.issuer();
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": issuer.key_id(algorithm)});
        let claims = env.claims(&caller, "alice", &["sre"]);
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let input = format!("{header}.{claims}");
        let secret =
            aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &issuer.public_der(algorithm));
        let tag = aws_lc_rs::hmac::sign(&secret, input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
        let refused = env.api.issue(&env.attempt(&caller, &token)).await;
        assert_eq!(
            refused.unwrap_err().reason,
            "TOKEN_ALGORITHM",
            "{algorithm:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_algorithm_is_not_verified_with_anothers_key() {
    let env = TestEnv::start().await;
    env.assert_honest().await;
    let all = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];
    for (said, key) in all
        .iter()
        .flat_map(|said| all.iter().map(move |key| (*said, *key)))
    {
        let caller = Caller::new();
        let issuer = env.issuer();
        let header = json!({"alg": format!("{said:?}"), "typ": "JWT", "kid": issuer.key_id(key)});
        let claims = env.claims(&caller, "alice", &["sre"]).to_string();
        let token = issuer.sign_raw(&header, claims.as_bytes());
        let answer = env.api.issue(&env.attempt(&caller, &token)).await;
        let reason = answer.err().map(|refusal| refusal.reason);
        let expected = (said != key).then(|| "TOKEN_ALGORITHM".to_owned());
        assert_eq!(reason, expected, "{said:?} by the key for {key:?}");
    }
}
