//! How the server starts and stops.

use std::time::{Duration, Instant};

use axum::Router;
use daypass::server::{Error, Limits, accept};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    frames,
    world::{closed, start, within},
};

#[tokio::test]
async fn plain_text_is_refused_beyond_loopback() {
    let cases = [
        ("0.0.0.0:0", false),
        ("[::]:0", false),
        ("127.0.0.1:0", true),
        ("[::1]:0", true),
    ];
    for (address, is_served) in cases {
        let listener = TcpListener::bind(address).await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let outcome = accept::run(listener, Router::new(), Limits::default(), None, stop);
        let outcome = within(outcome).await;
        assert_eq!(outcome.is_ok(), is_served, "{address}");
        assert!(
            matches!(outcome, Ok(()) | Err(Error::PlainText(_))),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_stop_takes_no_newcomers_and_answers_what_is_in_flight() {
    let world = start(Limits::default()).await;
    let mut calls = Vec::new();
    for version in [
        reqwest::Client::builder().http2_prior_knowledge(),
        reqwest::Client::builder().http1_only(),
    ] {
        let client = version.no_proxy().build().unwrap();
        calls.push(tokio::spawn(client.get(world.url("/held")).send()));
        world.inside.entered().await;
    }
    world.stop.cancel();
    within(async {
        while TcpStream::connect(world.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(!world.served.is_finished());
    for call in calls {
        world.inside.release();
        world.inside.release();
        let answer = within(call).await.unwrap().unwrap();
        assert_eq!(answer.text().await.unwrap(), "held");
    }
    within(world.served).await.unwrap().unwrap();
}

/// Its connection was accepted, so no other process can answer it.
#[tokio::test]
async fn a_caller_that_connected_just_before_a_stop_is_answered() {
    let requests = [
        b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        [
            frames::hello(),
            frames::post(1, "/read", frames::END_HEADERS),
            frames::data(1, b"", frames::END_STREAM),
        ]
        .concat(),
    ];
    for (request, answer) in requests.into_iter().zip(["hello", "read"]) {
        let world = start(Limits::default()).await;
        let mut caller = world.connect().await;
        // Accepted after it.
        world.honest().await;
        world.stop.cancel();
        caller.write_all(&request).await.unwrap();
        let said = closed(&mut caller).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains(answer), "{said:?}");
        within(world.served).await.unwrap().unwrap();
    }
}

/// A client waits six seconds for a listener. The port must have one again before; a slow machine
/// may delay some of three ends.
#[tokio::test]
async fn a_connection_without_a_request_delays_the_next_process_by_a_second_or_so() {
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let world = start(Limits::default()).await;
        let silent = world.connect().await;
        world.honest().await;
        let begun = Instant::now();
        world.stop.cancel();
        within(world.served).await.unwrap().unwrap();
        quickest = quickest.min(begun.elapsed());
        drop(silent);
    }
    assert!(quickest < Duration::from_secs(4), "{quickest:?}");
}

#[tokio::test]
async fn a_stop_cuts_what_does_not_finish_in_time() {
    let world = start(Limits {
        drain: Duration::from_millis(100),
        ..Limits::default()
    })
    .await;
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.no_proxy().build().unwrap();
    let call = tokio::spawn(client.get(world.url("/held")).send());
    world.inside.entered().await;
    let silent = world.connect().await;
    world.stop.cancel();
    within(world.served).await.unwrap().unwrap();
    assert!(within(call).await.unwrap().is_err());
    drop(silent);
}
