//! A provider over HTTPS with a certificate of a private CA, as the client sees it.

use std::{fs, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use daypass::dev::{issuer::Issuer, person::Visitor};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncBufReadExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{command::Terminal, env::TestEnv, policy};

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// An issuer behind a TLS proxy, and the daemon that knows it.
struct Private {
    issuer: Issuer,
    /// `https://localhost:PORT`
    url: String,
    /// The private root.
    root: String,
    env: TestEnv,
}

impl Private {
    /// `trusted`: the server's configuration names the root.
    async fn start(trusted: bool) -> Self {
        let issuer = Issuer::start().await.unwrap();
        let behind: SocketAddr = issuer.url()["http://".len()..].parse().unwrap();
        let (root, acceptor) = certificate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(acceptor.clone(), stream, behind));
            }
        });
        issuer.imitate(toml::from_str(&format!("origin = \"{url}\"\nrefresh = {{}}")).unwrap());
        let env = TestEnv::new().policy(policy::SHELL);
        fs::write(env.folder().join("id-ca.pem"), &root).unwrap();
        let ca_file = match trusted {
            true => "ca_file = \"../id-ca.pem\"\n",
            false => "",
        };
        let configuration = format!(
            "[[issuer]]\nname = \"private\"\nurl = \"{url}\"\nclient_id = \"daypass\"\n\
             algorithms = [\"ES256\"]\nbinding = \"nonce\"\nrefresh = true\n{ca_file}"
        );
        let env = env.configuration(configuration).start().await;
        Self {
            issuer,
            url,
            root,
            env,
        }
    }

    /// Signs alice in: the person's browser is not this client, and goes behind the proxy.
    async fn sign_in(&self, terminal: &Terminal) {
        let words = ["login", "--paste", "--issuer", "private"];
        let mut command = terminal.command(&words);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let page = loop {
            let line = timeout(SOON, lines.next_line()).await.unwrap().unwrap();
            let line = line.unwrap_or_else(|| panic!("no address was printed: {said}"));
            said += &line;
            if let Some(path) = line.trim().strip_prefix(&self.url) {
                break format!("{}{path}", self.issuer.url());
            }
        };
        Visitor::new("alice", "any").browse(&page).await.unwrap();
        // Its end would say that nothing is pasted, while the redirect is still looked at.
        let _open = child.stdin.take();
        let done = timeout(SOON, child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, behind: SocketAddr) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut behind = TcpStream::connect(behind).await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut behind).await;
}

/// A private root, and what serves with a certificate of it.
fn certificate() -> (String, TlsAcceptor) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &root).unwrap();
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (root.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_private_root_of_the_provider_from_the_server() {
    let private = Private::start(true).await;
    let terminal = private.env.own_terminal();
    private.sign_in(&terminal).await;
    terminal.json(&["pass", "--role", "shell"]).await;
    // And with it for the renewal, at another time.
    let file = terminal.file("session.json");
    let mut session: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    session["login"]["expires"] = 1.into();
    fs::write(&file, session.to_string()).unwrap();
    terminal.json(&["pass", "--role", "shell"]).await;
    assert_eq!(private.issuer.hits("/token"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_names_the_setting_and_the_variable() {
    let private = Private::start(false).await;
    let terminal = private.env.own_terminal();
    let words = ["login", "--paste", "--issuer", "private"];
    let done = terminal.run(&words).await.exits("without the root", 6);
    let expected = format!(
        "daypass: failed to reach the identity provider private ({}): its TLS certificate is not trusted",
        private.url
    );
    let first = done.stderr.lines().next().unwrap();
    assert!(first.starts_with(&expected), "{first}");
    for part in ["`ca_file` of the issuer", "SSL_CERT_FILE"] {
        assert!(first.contains(part), "{first}");
    }
    // The roots of this machine count, too: the client comes to the page. Nothing is pasted.
    let root = private.env.folder().join("root.pem");
    fs::write(&root, &private.root).unwrap();
    let mut command = terminal.command(&words);
    command.env("SSL_CERT_FILE", &root);
    let done = crate::support::command::Done::of(command).await;
    assert!(
        done.stderr.contains(&format!("{}/authorize?", private.url)),
        "{done:?}"
    );
}
