//! Messages over the bound, lies about their length, compression, and handlers that panic.

use std::time::Duration;

use daypass::server::Limits;
use http::header::CONTENT_TYPE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    frames::{self, END_HEADERS},
    world::{World, start, within},
};

const CHECK: &str = "/grpc.health.v1.Health/Check";

async fn check(world: &World, service: String) -> Code {
    let endpoint = Endpoint::from_shared(world.url("")).unwrap();
    let mut client = HealthClient::new(within(endpoint.connect()).await.unwrap());
    let answer = within(client.check(HealthCheckRequest { service })).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn a_message_over_the_bound_is_refused_and_one_within_is_not() {
    let world = start(Limits::default()).await;
    assert_eq!(check(&world, String::new()).await, Code::Ok);
    assert_eq!(check(&world, "s".repeat(60 * 1024)).await, Code::NotFound);
    let refused = check(&world, "s".repeat(65 * 1024)).await;
    assert!(
        matches!(refused, Code::OutOfRange | Code::ResourceExhausted),
        "{refused}"
    );
    world.honest().await;
    world.end().await;
}

#[tokio::test]
async fn what_a_length_prefix_or_flag_claims_is_not_believed() {
    let cases: [(&str, [u8; 5]); 3] = [
        ("a message of 1 GB", [0, 0x40, 0, 0, 0]),
        ("a message of 4 GB", [0, 0xff, 0xff, 0xff, 0xff]),
        ("a compressed message", [1, 0, 0, 0, 1]),
    ];
    let world = start(Limits {
        request: Duration::from_secs(5),
        ..Limits::default()
    })
    .await;
    for (case, prefix) in cases {
        let mut stream = world.connect().await;
        let request = [
            frames::hello(),
            frames::post(1, CHECK, END_HEADERS),
            frames::data(1, &[&prefix[..], b"x"].concat(), 0),
        ];
        stream.write_all(&request.concat()).await.unwrap();
        let mut said = Vec::new();
        let mut chunk = [0; 4096];
        // The stream stays open on our side: headers now mean an answer that waited for nothing
        // more.
        while !frames::kinds(&said).contains(&frames::HEADERS) {
            let length = within(stream.read(&mut chunk)).await.unwrap();
            assert!(length > 0, "{case}");
            said.extend_from_slice(&chunk[..length]);
        }
    }
    world.honest().await;
    world.end().await;
}

#[tokio::test]
async fn a_panic_ends_its_own_call_alone() {
    let world = start(Limits::default()).await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()
        .unwrap();
    let held = tokio::spawn(client.get(world.url("/held")).send());
    world.inside.entered().await;
    let grpc = client
        .post(world.url("/panic"))
        .header(CONTENT_TYPE, "application/grpc");
    let answer = within(grpc.send()).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "13");
    let answer = within(client.get(world.url("/panic")).send())
        .await
        .unwrap();
    assert_eq!(answer.status(), 500);
    world.inside.release();
    let held = within(held).await.unwrap().unwrap();
    assert_eq!(held.text().await.unwrap(), "held");
    world.honest().await;
    world.end().await;
}
