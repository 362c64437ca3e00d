//! How often one address and one identity may call.

use std::time::Duration;

use daypass::proto::{status::Details, v1};
use tonic::{Code, Request, Status};

use crate::{
    observe::{person, refusal, size, start},
    support::{
        api::{ask, with_token},
        env::TestEnv,
        https,
    },
};

fn assert_limited(status: &Status) {
    assert_eq!(
        refusal(status),
        (Code::ResourceExhausted, "RATE_LIMITED".to_owned())
    );
    let wait = Details::of(status).unwrap().retry_after.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
}

#[tokio::test]
async fn an_identity_that_calls_too_often_is_told_how_long_to_wait() {
    let env =
        start(TestEnv::new().limits("requests_per_identity = { per_second = 1, burst = 3 }")).await;
    let (alice, bob) = (person(&env, "alice"), person(&env, "bob"));
    let mut passes = env.api.passes();
    for _ in 0..3 {
        let request = with_token(v1::ListRolesRequest::default(), &alice.token);
        passes.list_roles(request).await.unwrap();
    }
    let before = size(&env);
    let request = with_token(alice.attempt(ask("shell")).message(), &alice.token);
    assert_limited(&passes.issue(request).await.unwrap_err());
    assert_eq!(size(&env), before);
    let request = with_token(v1::ListRolesRequest::default(), &bob.token);
    assert!(passes.list_roles(request).await.is_ok());
}

#[tokio::test]
async fn an_address_that_calls_too_often_waits_before_anything_is_verified() {
    let env =
        start(TestEnv::new().limits("requests_per_address = { per_second = 1, burst = 3 }")).await;
    let mut passes = env.api.passes();
    for _ in 0..3 {
        let refused = passes
            .issue(Request::new(v1::IssueRequest::default()))
            .await;
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    let alice = person(&env, "alice");
    let hits = env.issuer().all_hits();
    let request = with_token(v1::ListRolesRequest::default(), &alice.token);
    assert_limited(&passes.list_roles(request).await.unwrap_err());
    assert_eq!(env.issuer().all_hits(), hits);
    let client = https::client_with(&env.server.tls_ca(), reqwest::Client::builder());
    let url = env.server.url();
    for (path, status) in [
        ("ca.pub", 429),
        ("krl", 429),
        ("recovery", 429),
        ("checkpoint", 429),
        ("tile/0/000.p/1", 429),
        ("healthz", 200),
        ("readyz", 200),
    ] {
        let answer = client.get(format!("{url}/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}
