//! How often one address and one identity may call.

use std::time::Duration;

use daypass::proto::{status::Details, v1};
use tonic::{Code, Request, Status};

use crate::door::{Door, refusal};

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
    let door =
        Door::open("[limits]\nrequests_per_identity = { per_second = 1, burst = 3 }\n").await;
    let (alice, bob) = (door.caller("alice"), door.caller("bob"));
    let mut passes = door.passes();
    for _ in 0..3 {
        let request = alice.signed(v1::ListRolesRequest::default());
        passes.list_roles(request).await.unwrap();
    }
    let size = door.size();
    let request = alice.signed(alice.request(crate::door::shell()));
    assert_limited(&passes.issue(request).await.unwrap_err());
    assert_eq!(door.size(), size);
    let request = bob.signed(v1::ListRolesRequest::default());
    assert!(passes.list_roles(request).await.is_ok());
}

#[tokio::test]
async fn an_address_that_calls_too_often_waits_before_anything_is_verified() {
    let door = Door::open("[limits]\nrequests_per_address = { per_second = 1, burst = 3 }\n").await;
    let mut passes = door.passes();
    for _ in 0..3 {
        let refused = passes
            .issue(Request::new(v1::IssueRequest::default()))
            .await;
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    let alice = door.caller("alice");
    let hits = door.world.issuer().all_hits();
    let request = alice.signed(v1::ListRolesRequest::default());
    assert_limited(&passes.list_roles(request).await.unwrap_err());
    assert_eq!(door.world.issuer().all_hits(), hits);
    let client = door.plain(reqwest::Client::builder());
    let (url, _) = door.world.server();
    let answer = client.get(format!("{url}/ca.pub")).send().await.unwrap();
    assert_eq!(answer.status(), 429);
}
