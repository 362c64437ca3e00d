//! Out of file descriptors (EMFILE): the accept loop goes on, and a resting connection makes room
//! for an honest caller. Alone in its program, for it takes every descriptor there is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs::File, process::Command, time::Duration};

use axum::{Router, routing::get};
use daypass::server::{Limits, accept};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// Lowers this process's limit with util-linux's `prlimit`.
fn allow_descriptors(number: usize) {
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", std::process::id()))
        .arg(format!("--nofile={number}:{number}"))
        .status()
        .expect("prlimit runs (apt-get install util-linux)");
    assert!(status.success());
}

async fn hello(mut stream: TcpStream) -> String {
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut said))
        .await
        .expect("hangs")
        .unwrap();
    said
}

#[tokio::test]
async fn running_out_of_descriptors_does_not_end_the_accept_loop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(async || "hello"));
    let served = tokio::spawn(accept::run(
        listener,
        router,
        Limits::default(),
        None,
        stop.clone(),
    ));
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(
        hello(TcpStream::connect(address).await.unwrap())
            .await
            .ends_with("hello")
    );

    allow_descriptors(256);
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for _ in 0..3 {
        // One descriptor for the caller's end, none for the server's: a silent connection has to
        // give way.
        taken.pop();
        let caller = TcpStream::connect(address).await.unwrap();
        assert!(hello(caller).await.ends_with("hello"));
    }
    drop(taken);
    assert!(
        hello(TcpStream::connect(address).await.unwrap())
            .await
            .ends_with("hello")
    );
    stop.cancel();
    timeout(PATIENCE, served).await.unwrap().unwrap().unwrap();
}
