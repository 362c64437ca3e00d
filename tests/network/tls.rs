//! TLS: versions, half hellos, and a certificate that is replaced while serving.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use daypass::server::{Limits, Tls};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::aws_lc_rs,
    pki_types::ServerName, version,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::{World, closed, start_with, within};

/// A certificate of its own making for `localhost`, written where the server reads it; its DER.
pub fn write_certificate(folder: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.pem"), made.cert.pem()).unwrap();
    let key = folder.join("tls.key");
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    made.cert.der().to_vec()
}

pub fn load(folder: &TempDir) -> Tls {
    Tls::load(
        &folder.path().join("tls.pem"),
        &folder.path().join("tls.key"),
    )
    .unwrap()
}

async fn handshake(
    world: &World,
    root: &[u8],
    protocol: &'static SupportedProtocolVersion,
    alpn: &[u8],
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.to_vec().into()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[protocol])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, world.connect().await)).await
}

#[tokio::test]
async fn only_tls_1_3_is_spoken_with_either_http() {
    let folder = TempDir::new().unwrap();
    let root = write_certificate(folder.path());
    let world = start_with(Limits::default(), Some(load(&folder))).await;
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        let stream = handshake(&world, &root, &version::TLS13, alpn)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
        assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
    }
    assert!(
        handshake(&world, &root, &version::TLS12, b"h2")
            .await
            .is_err()
    );
    assert!(
        handshake(&world, &root, &version::TLS13, b"h3")
            .await
            .is_err()
    );
    let mut stream = handshake(&world, &root, &version::TLS13, b"http/1.1")
        .await
        .unwrap();
    let request = b"GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut said = String::new();
    within(tokio::io::AsyncReadExt::read_to_string(
        &mut stream,
        &mut said,
    ))
    .await
    .unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("hello"));
    world.end().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_finish_is_closed_at_its_deadline() {
    let cases: [(&str, &[u8]); 4] = [
        ("nothing", b""),
        (
            "half a hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half",
        ),
        ("plain HTTP", b"GET /hello HTTP/1.1\r\n\r\n"),
        (
            "a record of 16 KiB that never comes",
            b"\x16\x03\x01\x40\x00",
        ),
    ];
    let folder = TempDir::new().unwrap();
    let root = write_certificate(folder.path());
    let limits = Limits {
        handshake: Duration::from_millis(200),
        ..Limits::default()
    };
    let world = start_with(limits, Some(load(&folder))).await;
    for (case, bytes) in cases {
        let mut stream = world.connect().await;
        stream.write_all(bytes).await.unwrap();
        assert!(closed(&mut stream).await.len() < 16, "{case}");
        // On a slow machine, the deadline may end an honest one, too.
        for attempt in 1.. {
            let honest = handshake(&world, &root, &version::TLS13, b"h2").await;
            if honest.is_ok() {
                break;
            }
            assert!(attempt < 10, "{case}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_a_broken_one_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let old = write_certificate(folder.path());
    let tls = load(&folder);
    let world = start_with(Limits::default(), Some(tls.clone())).await;
    assert!(!tls.reload().unwrap());
    let new = write_certificate(folder.path());
    assert!(
        handshake(&world, &old, &version::TLS13, b"h2")
            .await
            .is_ok()
    );
    assert!(tls.reload().unwrap());
    assert!(
        handshake(&world, &old, &version::TLS13, b"h2")
            .await
            .is_err()
    );
    assert!(
        handshake(&world, &new, &version::TLS13, b"h2")
            .await
            .is_ok()
    );

    let key = std::fs::read(folder.path().join("tls.key")).unwrap();
    let broken: [(&str, &str, Vec<u8>); 4] = [
        ("an empty certificate", "tls.pem", Vec::new()),
        ("a certificate that is none", "tls.pem", key),
        ("an empty key", "tls.key", Vec::new()),
        ("another certificate's key", "tls.key", other_key()),
    ];
    for (case, file, bytes) in broken {
        let path = folder.path().join(file);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains(file), "{case}: {error}");
        std::fs::write(&path, good).unwrap();
        assert!(
            handshake(&world, &new, &version::TLS13, b"h2")
                .await
                .is_ok(),
            "{case}"
        );
    }
    world.end().await;
}

fn other_key() -> Vec<u8> {
    rcgen::KeyPair::generate()
        .unwrap()
        .serialize_pem()
        .into_bytes()
}
