//! Load balancers: a PROXY header is demanded from listed addresses, and read from no other; a real
//! HAProxy and a real nginx in front of TLS.

use std::time::Duration;

use daypass::server::{Limits, Proxies, Tls};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    balancer::{Balancer, Program},
    tls::{load, write_certificate},
    world::{World, closed, start, start_with, within},
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 7443\r\n";
const V2_UDP: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x01\x01\x01\x01\x01\x01\x01\x01\0\x01\0\x01";
const GET: &[u8] = b"GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn v2(last: u8) -> Vec<u8> {
    let caller = [192, 0, 2, last, 127, 0, 0, 1, 0x13, 0x88, 0x1d, 0x13];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &caller].concat()
}

fn behind_a_proxy() -> Limits {
    Limits {
        proxies: Proxies::new(vec!["127.0.0.0/8".parse().unwrap()]),
        ..Limits::default()
    }
}

async fn say(world: &World, parts: &[&[u8]]) -> String {
    let mut stream = world.connect().await;
    stream.write_all(&parts.concat()).await.unwrap();
    String::from_utf8_lossy(&closed(&mut stream).await).into_owned()
}

#[tokio::test]
async fn a_listed_load_balancer_must_send_a_header() {
    let world = start(behind_a_proxy()).await;
    for header in [V1, &v2(7), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        assert!(say(&world, &[header, GET]).await.ends_with("hello"));
    }
    for header in [
        b"".as_slice(),
        V2_UDP,
        b"PROXY TCP4 x\r\n",
        b"PROXY UDP4 \r\n",
    ] {
        assert_eq!(say(&world, &[header, GET]).await, "");
    }
    world.end().await;
}

#[tokio::test]
async fn a_header_from_another_address_is_refused_and_never_read() {
    let limits = Limits {
        proxies: Proxies::new(vec!["192.0.2.0/24".parse().unwrap()]),
        ..Limits::default()
    };
    for limits in [limits, Limits::default()] {
        let world = start(limits).await;
        for header in [V1, &v2(7)] {
            let said = say(&world, &[header, GET]).await;
            assert!(!said.contains("hello"), "{said}");
        }
        world.honest().await;
        world.end().await;
    }
}

#[tokio::test]
async fn half_a_header_ends_within_the_deadline() {
    let limits = Limits {
        first_byte: Duration::from_millis(200),
        ..behind_a_proxy()
    };
    let world = start(limits).await;
    for cut in [0, 1, 12, 20] {
        let header = v2(7);
        assert_eq!(say(&world, &[&header[..cut]]).await, "");
    }
    // On a slow machine, the deadline may end an honest caller, too.
    for attempt in 1.. {
        let said = say(&world, &[V1, GET]).await;
        if said.ends_with("hello") {
            break;
        }
        assert!(attempt < 10, "{said}");
    }
    world.end().await;
}

#[tokio::test]
async fn the_caps_are_of_the_callers_and_not_of_the_load_balancer() {
    let limits = Limits {
        connections_per_address: 1,
        ..behind_a_proxy()
    };
    let world = start(limits).await;
    let open = async |last: u8| {
        let mut stream = world.connect().await;
        stream.write_all(&v2(last)).await.unwrap();
        let get = GET.to_vec();
        let keep = String::from_utf8(get)
            .unwrap()
            .replace("close", "keep-alive");
        stream.write_all(keep.as_bytes()).await.unwrap();
        let mut answer = [0; 16];
        within(stream.read_exact(&mut answer)).await.unwrap();
        stream
    };
    let mut first = open(1).await;
    let mut second = open(2).await;
    let _again = open(1).await;
    closed(&mut first).await;
    let keep = String::from_utf8(GET.to_vec()).unwrap();
    second.write_all(keep.as_bytes()).await.unwrap();
    let said = closed(&mut second).await;
    assert!(String::from_utf8_lossy(&said).contains("200 OK"));
    world.end().await;
}

async fn through(
    program: Program,
    (from, to): (&str, &str),
    limits: Limits,
) -> Result<String, reqwest::Error> {
    let folder = TempDir::new().unwrap();
    let root = write_certificate(folder.path());
    let tls: Tls = load(&folder);
    let world = start_with(limits, Some(tls)).await;
    let change = |text: String| text.replace(from, to);
    let balancer = Balancer::start(program, world.address, change).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_der(&root).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/hello", balancer.port);
    let answer = within(client.get(url).send()).await?;
    assert_eq!(answer.version(), http::Version::HTTP_2);
    let text = answer.text().await;
    drop(client);
    world.end().await;
    text
}

const AS_IN_THE_MANUAL: (&str, &str) = ("", "");

#[tokio::test]
async fn haproxy_and_nginx_pass_tls_through_with_either_version_of_the_header() {
    for (program, change) in [
        (Program::HaProxy, AS_IN_THE_MANUAL),
        (Program::HaProxy, ("send-proxy-v2", "send-proxy")),
        (
            Program::HaProxy,
            (
                "send-proxy-v2",
                "send-proxy-v2 proxy-v2-options unique-id,crc32c",
            ),
        ),
        (Program::Nginx, AS_IN_THE_MANUAL),
    ] {
        let said = through(program, change, behind_a_proxy()).await;
        assert_eq!(said.unwrap(), "hello", "{program:?} {change:?}");
    }
}

#[tokio::test]
async fn a_load_balancer_that_sends_no_header_or_is_not_listed_is_refused() {
    let other = Limits {
        proxies: Proxies::new(vec!["192.0.2.0/24".parse().unwrap()]),
        ..Limits::default()
    };
    for (program, without_header) in [
        (Program::HaProxy, ("send-proxy-v2", "")),
        (
            Program::Nginx,
            ("proxy_protocol on;", "proxy_protocol off;"),
        ),
    ] {
        for (change, limits) in [
            (without_header, behind_a_proxy()),
            (AS_IN_THE_MANUAL, Limits::default()),
            (AS_IN_THE_MANUAL, other.clone()),
        ] {
            let said = through(program, change, limits).await;
            assert!(said.is_err(), "{program:?} {change:?}");
        }
    }
}
