//! Connections that say nothing, or half of something.

use std::time::Duration;

use daypass::server::Limits;
use tokio::io::AsyncWriteExt;

use crate::{
    frames,
    world::{closed, start, within},
};

#[tokio::test]
async fn two_thousand_silent_sockets_cost_their_owner_its_own_places() {
    let world = start(Limits {
        connections_per_address: 64,
        ..Limits::default()
    })
    .await;
    let kept = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()
        .unwrap();
    within(kept.get(world.url("/hello")).send()).await.unwrap();
    for _ in 0..4 {
        let mut sockets = Vec::new();
        for _ in 0..500 {
            sockets.push(world.connect().await);
        }
        world.honest().await;
        // All but the newest gave way: that is the cap.
        for socket in sockets.iter_mut().take(500 - 64) {
            assert!(closed(socket).await.is_empty());
        }
    }
    let answer = within(kept.get(world.url("/hello")).send()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello");
    world.end().await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_at_the_first_byte_deadline() {
    let cases: [(&str, Vec<u8>); 7] = [
        ("nothing", Vec::new()),
        ("one byte", b"P".to_vec()),
        ("half an HTTP/2 preface", frames::PREFACE[..12].to_vec()),
        ("a preface alone", frames::PREFACE.to_vec()),
        ("a preface and settings", frames::hello()),
        (
            "half a header block",
            [frames::hello(), frames::post(1, "/hello", 0)].concat(),
        ),
        (
            "half of an HTTP/1.1 head",
            b"GET /hello HTTP/1.1\r\nhost: x\r\n".to_vec(),
        ),
    ];
    let world = start(Limits {
        first_byte: Duration::from_millis(200),
        ..Limits::default()
    })
    .await;
    for (case, bytes) in cases {
        let mut stream = world.connect().await;
        stream.write_all(&bytes).await.unwrap();
        world.honest_soon().await;
        let said = closed(&mut stream).await;
        assert!(!said.starts_with(b"HTTP/1.1 200"), "{case}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_asked_to_go() {
    for (case, idle, age) in [("idle", 100, 60_000), ("old", 60_000, 100)] {
        let world = start(Limits {
            first_byte: Duration::from_millis(100),
            idle: Duration::from_millis(idle),
            age: Duration::from_millis(age),
            // A deadline that passes while a request is answered is seen after this time.
            request: Duration::from_secs(1),
            ..Limits::default()
        })
        .await;
        let request = [
            frames::hello(),
            frames::post(1, "/read", frames::END_HEADERS | frames::END_STREAM),
        ];
        // On a slow machine, the request itself may come after the first byte's deadline.
        for attempt in 1.. {
            let mut stream = world.connect().await;
            stream.write_all(&request.concat()).await.unwrap();
            let said = frames::kinds(&closed(&mut stream).await);
            if said.contains(&frames::GOAWAY) {
                break;
            }
            assert!(attempt < 10, "{case}: {said:?}");
        }
        world.honest_soon().await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_request_whose_body_never_comes_is_given_up() {
    let world = start(Limits {
        request: Duration::from_millis(100),
        ..Limits::default()
    })
    .await;
    let mut stream = world.connect().await;
    let head = b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\nconnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    assert!(closed(&mut stream).await.starts_with(b"HTTP/1.1 503"));
    world.honest_soon().await;
    world.end().await;
}

#[tokio::test]
async fn open_requests_of_unknown_callers_make_room_for_newcomers() {
    let world = start(Limits {
        connections_per_address: 2,
        ..Limits::default()
    })
    .await;
    let mut holding = Vec::new();
    for _ in 0..2 {
        let mut stream = world.connect().await;
        let head = b"GET /held HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(head).await.unwrap();
        world.inside.entered().await;
        holding.push(stream);
    }
    // One newcomer over HTTP/2 and one over HTTP/1.1.
    world.honest().await;
    assert!(closed(&mut holding[0]).await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn the_oldest_unfinished_message_gives_way_to_the_newest() {
    let world = start(Limits {
        unproven_bytes_per_address: 100 * 1024,
        ..Limits::default()
    })
    .await;
    let mut unfinished = Vec::new();
    for _ in 0..4 {
        let mut stream = world.connect().await;
        let head =
            "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 40000\r\nconnection: close\r\n\r\n";
        let part = [head.as_bytes(), &[0; 30_000]].concat();
        stream.write_all(&part).await.unwrap();
        world.inside.entered().await;
        unfinished.push(stream);
    }
    // Some 46 KiB each, and the oldest two are too many.
    for stream in &mut unfinished[..2] {
        assert!(closed(stream).await.starts_with(b"HTTP/1.1 503"));
    }
    let newest = &mut unfinished[3];
    newest.write_all(&[0; 10_000]).await.unwrap();
    assert!(closed(newest).await.starts_with(b"HTTP/1.1 200"));
    world.honest().await;
    world.end().await;
}

#[tokio::test]
async fn a_connection_whose_answer_is_not_read_is_asked_to_go() {
    let world = start(Limits {
        request: Duration::from_millis(200),
        ..Limits::default()
    })
    .await;
    let mut stream = world.connect().await;
    let flags = frames::END_HEADERS | frames::END_STREAM;
    let request = [
        frames::hello_without_window(),
        frames::post(1, "/read", flags),
    ];
    stream.write_all(&request.concat()).await.unwrap();
    let said = frames::kinds(&closed(&mut stream).await);
    assert!(said.contains(&frames::GOAWAY), "{said:?}");
    world.honest_soon().await;
    world.end().await;
}
