//! How often one address and one identity may call.

use std::time::{Duration, Instant};

use daypass::proto::{
    status::Details,
    v1::{self, passes_client::PassesClient},
};
use tonic::{Code, Request, Status, transport::Channel};

use crate::{
    observe::{person, refusal, size, start},
    support::{
        api::{ask, with_token},
        env::TestEnv,
        https,
    },
};

/// The burst of these tests; one call more is due each second, so a slow machine serves some more.
const BURST: u64 = 3;

fn is_limited(status: &Status) -> bool {
    if refusal(status) != (Code::ResourceExhausted, "RATE_LIMITED".to_owned()) {
        return false;
    }
    let wait = Details::of(status).unwrap().retry_after.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
    true
}

/// The calls that were served since then are the burst and those of the seconds that passed.
fn assert_within(served: u64, started: Instant) {
    let allowed = BURST + started.elapsed().as_secs();
    assert!(served <= allowed, "{served} of {allowed}");
}

#[tokio::test]
async fn an_identity_that_calls_too_often_is_told_how_long_to_wait() {
    let env =
        start(TestEnv::new().limits("requests_per_identity = { per_second = 1, burst = 3 }")).await;
    let (alice, bob) = (person(&env, "alice"), person(&env, "bob"));
    let mut passes = env.api.passes();
    let (started, mut served) = (Instant::now(), 0);
    loop {
        let before = size(&env);
        let request = with_token(alice.attempt(ask("shell")).message(), &alice.token);
        if let Err(refused) = passes.issue(request).await {
            assert!(is_limited(&refused), "{refused:?}");
            assert_eq!(size(&env), before);
            break;
        }
        served += 1;
        assert_within(served, started);
    }
    assert!(served >= BURST, "{served}");
    let request = with_token(v1::ListRolesRequest::default(), &bob.token);
    assert!(passes.list_roles(request).await.is_ok());
}

/// Calls without a token until the address has used up its rate; returns how many were served.
async fn use_up(passes: &mut PassesClient<Channel>) -> u64 {
    let mut served = 0;
    loop {
        let request = Request::new(v1::IssueRequest::default());
        let refused = passes.issue(request).await.unwrap_err();
        if is_limited(&refused) {
            return served;
        }
        assert_eq!(refused.code(), Code::Unauthenticated);
        served += 1;
        assert!(served < 1000, "the rate is never used up");
    }
}

#[tokio::test]
async fn an_address_that_calls_too_often_waits_before_anything_is_verified() {
    let env =
        start(TestEnv::new().limits("requests_per_address = { per_second = 1, burst = 3 }")).await;
    let mut passes = env.api.passes();
    let alice = person(&env, "alice");
    let started = Instant::now();
    let mut served = use_up(&mut passes).await;
    assert!(served >= BURST, "{served}");
    assert_within(served, started);
    // On a slow machine another call may be due by now: it is served, and counts.
    loop {
        let hits = env.issuer().all_hits();
        let request = with_token(v1::ListRolesRequest::default(), &alice.token);
        if let Err(refused) = passes.list_roles(request).await {
            assert!(is_limited(&refused), "{refused:?}");
            assert_eq!(env.issuer().all_hits(), hits);
            break;
        }
        served += 1;
        assert_within(served, started);
    }
    let client = https::client_with(&env.server.tls_ca(), reqwest::Client::builder());
    let url = env.server.url();
    let get = async |path: &str| {
        let answer = client.get(format!("{url}/{path}")).send().await.unwrap();
        answer.status().as_u16()
    };
    for path in ["ca.pub", "krl", "recovery", "checkpoint", "tile/0/000.p/1"] {
        while get(path).await != 429 {
            served += 1;
            assert_within(served, started);
        }
    }
    for path in ["healthz", "readyz"] {
        // Served, although the rate is used up before it and after it.
        loop {
            served += use_up(&mut passes).await;
            assert_eq!(get(path).await, 200, "{path}");
            if get("ca.pub").await == 429 {
                break;
            }
            served += 1;
            assert_within(served, started);
        }
    }
    assert_within(served, started);
}
