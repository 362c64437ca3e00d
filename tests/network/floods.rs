//! Floods of frames on one connection.

use daypass::server::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    frames::{self, END_HEADERS},
    world::{start, within},
};

/// Writes what `flood` yields, as far as the server takes it, and meanwhile reads and drops what it
/// says.
async fn send(stream: TcpStream, flood: impl Iterator<Item = Vec<u8>>) {
    let (mut reader, mut writer) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut said = vec![0; 16 * 1024];
        while reader.read(&mut said).await.is_ok_and(|length| length > 0) {}
    });
    let mut chunk = frames::hello();
    for frame in flood {
        chunk.extend_from_slice(&frame);
        if chunk.len() > 8 * 1024 {
            if within(writer.write_all(&chunk)).await.is_err() {
                break;
            }
            chunk.clear();
        }
    }
    let _ = within(writer.write_all(&chunk)).await;
    reading.abort();
}

type Flood = Box<dyn Iterator<Item = Vec<u8>> + Send>;

fn streams(number: u32) -> impl Iterator<Item = u32> {
    (0..number).map(|n| 2 * n + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_caller_is_served_during_and_after_a_flood() {
    let open = || streams(20_000).map(|stream| frames::post(stream, "/read", END_HEADERS));
    let floods: [(&str, Flood); 5] = [
        ("20,000 streams left open", Box::new(open())),
        (
            "20,000 streams reset at once",
            Box::new(streams(20_000).map(|stream| {
                let head = frames::post(stream, "/read", END_HEADERS);
                [head, frames::reset(stream)].concat()
            })),
        ),
        (
            "100,000 pings",
            Box::new(std::iter::repeat_with(frames::ping).take(100_000)),
        ),
        (
            "100,000 settings",
            Box::new(std::iter::repeat_with(frames::settings).take(100_000)),
        ),
        (
            "a header block without end",
            Box::new(
                std::iter::once(frames::post(1, "/read", 0))
                    .chain(std::iter::repeat_with(|| frames::continuation(1, 16_000)).take(5_000)),
            ),
        ),
    ];
    let limits = Limits::default();
    let streams = usize::try_from(limits.streams).unwrap();
    let world = start(limits).await;
    for (case, flood) in floods {
        let stream = world.connect().await;
        let flood = tokio::spawn(send(stream, flood));
        world.honest().await;
        within(flood).await.unwrap();
        world.honest().await;
        assert!(
            world.inside.peak() <= streams,
            "{case}: {}",
            world.inside.peak()
        );
    }
    world.end().await;
}
