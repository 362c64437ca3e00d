//! A signer on another machine: mutual TLS, and callers without the certificate.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::{ceilings, expect_pass, new_key};
use crate::{
    ca_keys::{files, story, until, user},
    support::{
        command::{DAYPASS, run},
        files::{edit, write_secret},
        interrupted::again,
        ports,
        server::ServerFiles,
        signer::{SignerFiles, verifier},
    },
};

/// A self-signed certificate for `localhost` in `NAME.pem`, with its key in `NAME.key`.
fn certificate(folder: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_pem();
    write_secret(&folder.join(format!("{name}.key")), &key);
}

/// A server and a signer that knows it by its certificate, and the signer's port.
async fn site() -> (ServerFiles, SignerFiles, String, u16) {
    let files = files().await;
    let signer = SignerFiles::prepare(
        files.folder(),
        &verifier(&files),
        "file = \"ca_key\"",
        &ceilings(),
    );
    let public = new_key(&signer, &["-t", "ed25519"]);
    let port = ports::free_port();
    for name in ["server", "signer", "thief"] {
        certificate(&signer.path(""), name);
    }
    let configuration = signer.path("signer.toml");
    let tls =
        "[tls]\ncertificate = \"signer.pem\"\nkey = \"signer.key\"\nroots = \"server.pem\"\n[key]";
    edit(&configuration, "[key]", tls);
    let listen = format!("listen = \"127.0.0.1:{port}\"\nledger");
    edit(&configuration, "ledger", &listen);
    files.replace_ca_key(&behind(port, "server"));
    signer.must(&["accept", "--new"]);
    (files, signer, public, port)
}

fn behind(port: u16, certificate: &str) -> String {
    format!(
        "file = \"signer/ca_key.pub\"\nsigner = \"tls://localhost:{port}\"\n\
         signer_certificate = \"signer/{certificate}.pem\"\nsigner_key = \"signer/{certificate}.key\"\n\
         signer_roots = \"signer/signer.pem\""
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_key_behind_a_signer_on_another_machine_signs_what_sshd_takes() {
    let (files, signer, public, _) = site().await;
    let running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    story(&files, &mut process, &public, "ssh-ed25519").await;
    process.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_the_certificate_that_counts_gets_no_answer() {
    let (files, signer, _, port) = site().await;
    let running = signer.spawn(&[]);
    for (case, certificate, is_answered) in [
        ("the server's", Some("server"), true),
        ("a thief's", Some("thief"), false),
        ("the signer's own", Some("signer"), false),
        ("none", None, false),
    ] {
        let answer = status(&signer, port, certificate);
        assert_eq!(answer.is_some(), is_answered, "{case}: {answer:?}");
    }
    // Half a handshake keeps a place for seconds only.
    let mut silent = connected(port);
    silent
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(again(|| silent.read(&mut [0; 1])).unwrap(), 0);
    for line in ["without a certificate that counts", "a slow handshake"] {
        until(async || signer.log().contains(line)).await;
    }

    // A server with the thief's certificate is told that the signer does not answer.
    edit(
        &files.configuration(),
        "signer/server.pem",
        "signer/thief.pem",
    );
    edit(
        &files.configuration(),
        "signer/server.key",
        "signer/thief.key",
    );
    let configuration = files.configuration();
    let configuration = configuration.to_str().unwrap();
    let check = ["serve", "--check", "--offline", "--config", configuration];
    let (is_good, said) = run(DAYPASS, &check, &[]);
    assert!(!is_good && said.contains("tls://localhost:"), "{said}");
    edit(
        &files.configuration(),
        "signer/thief.pem",
        "signer/server.pem",
    );
    edit(
        &files.configuration(),
        "signer/thief.key",
        "signer/server.key",
    );
    // So is one that trusts another signer.
    edit(
        &files.configuration(),
        "signer/signer.pem",
        "signer/thief.pem",
    );
    let (is_good, said) = run(DAYPASS, &check, &[]);
    assert!(!is_good && said.contains("tls://localhost:"), "{said}");
    edit(
        &files.configuration(),
        "signer/thief.pem",
        "signer/signer.pem",
    );
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    expect_pass(&user(&files, &api, "alice")).await;
    process.stop().await;
    running.stop().await;
}

/// Callers of the network who said nothing took every place, those of the socket too.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_silent_callers_keeps_no_user_of_the_socket_out() {
    let (_files, signer, _, port) = site().await;
    let running = signer.spawn(&[]);
    let mut certified = tls(&signer, port, Some("server"));
    assert!(answer(&mut certified).is_some());
    let crowd: Vec<_> = (0..80).map(|_| connected(port)).collect();
    until(async || signer.log().contains("too many connections")).await;
    // Within the deadline of a handshake.
    let mut socket = UnixStream::connect(signer.socket()).unwrap();
    assert!(answer(&mut socket).is_some(), "{}", signer.log());
    assert!(answer(&mut certified).is_some(), "one that was there stays");
    until(async || status(&signer, port, Some("server")).is_some()).await;
    drop(crowd);
    running.stop().await;
}

/// The first byte of the answer to the question for its state.
fn status(signer: &SignerFiles, port: u16, certificate: Option<&str>) -> Option<u8> {
    answer(&mut tls(signer, port, certificate))
}

/// As [`status`], over a connection that is there.
fn answer(stream: &mut (impl Read + Write)) -> Option<u8> {
    stream.write_all(&[0, 0, 0, 1, 1]).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).ok()?;
    answer.first().copied()
}

/// A connection with this certificate.
/// A connection to the signer's port, which it opens a moment after its socket.
fn connected(port: u16) -> TcpStream {
    for _ in 0..1000 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            return stream;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nothing listens at port {port}");
}

fn tls(
    signer: &SignerFiles,
    port: u16,
    certificate: Option<&str>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let read = |name: &str| fs::read(signer.path(name)).unwrap();
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(&read(&format!("{name}.pem")))
            .map(Result::unwrap)
            .collect()
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificates("signer").remove(0)).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_slice(&read(&format!("{name}.key"))).unwrap();
            config
                .with_client_auth_cert(certificates(name), key)
                .unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let stream = connected(port);
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    StreamOwned::new(session, stream)
}
