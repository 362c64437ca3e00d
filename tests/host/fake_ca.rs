//! A CA's HTTPS side on loopback that answers what a test tells it to, the truth included.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use daypass::outbound::CertificateFingerprint;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tower::ServiceExt;

use super::{ca::Ca, fake_hosts::FakeHosts};

/// What is served at one path.
#[derive(Clone)]
pub(crate) enum Answer {
    /// 200 with this body and signature.
    Good(Vec<u8>, Option<String>),
    /// Another status.
    Status(u16),
    /// 302 to the same server's good answer.
    Redirect,
    /// Nothing, ever.
    Hang,
    /// Half of the bytes that were announced.
    Cut(Vec<u8>, String),
    /// This many bytes, without saying so before.
    Endless(usize),
    /// This many bytes, as announced.
    Announced(usize),
    /// One byte now and then, for ever.
    Drip,
    /// A page for people.
    Html,
}

/// The server.
pub(crate) struct FakeCa {
    /// `https://localhost:PORT`
    pub(crate) url: String,
    /// The PEM roots for its TLS.
    pub(crate) roots: String,
    certificate: Arc<Mutex<Certificate>>,
    answers: Arc<Mutex<Answers>>,
    /// The gRPC side.
    pub(crate) hosts: FakeHosts,
    task: JoinHandle<()>,
}

/// A self-signed TLS certificate.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) fingerprint: String,
    acceptor: TlsAcceptor,
}

impl Certificate {
    /// One for `localhost`, with a difference.
    pub(crate) fn new(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Self {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        Self {
            pem: made.pem(),
            fingerprint: CertificateFingerprint::of(made.der()).to_string(),
            acceptor: acceptor(&made.pem(), &key.serialize_pem()),
        }
    }
}

#[derive(Clone)]
struct Answers {
    keys: Answer,
    krl: Answer,
    recovery: Answer,
}

impl FakeCa {
    /// Tells the truth about `ca` and an empty list of version 1.
    pub(crate) async fn start(ca: &Ca) -> Self {
        let answers = Arc::new(Mutex::new(Answers {
            keys: keys_signed(&[ca], ca),
            krl: krl_signed(ca, 1, &[]),
            recovery: Answer::Status(404),
        }));
        let certificate = Arc::new(Mutex::new(Certificate::new(|_| {})));
        let roots = certificate.lock().pem.clone();
        let hosts = FakeHosts::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let task = tokio::spawn(serve(
            listener,
            certificate.clone(),
            answers.clone(),
            hosts.routes(),
        ));
        Self {
            url,
            roots,
            certificate,
            answers,
            hosts,
            task,
        }
    }

    pub(crate) fn keys(&self, answer: Answer) {
        self.answers.lock().keys = answer;
    }

    /// Replaces the TLS certificate for new connections.
    pub(crate) fn certificate(&self, certificate: &Certificate) {
        *self.certificate.lock() = certificate.clone();
    }

    /// The fingerprint of the TLS certificate.
    pub(crate) fn fingerprint(&self) -> String {
        self.certificate.lock().fingerprint.clone()
    }

    pub(crate) fn krl(&self, answer: Answer) {
        self.answers.lock().krl = answer;
    }

    /// At first there is none, as with an older server.
    pub(crate) fn recovery(&self, answer: Answer) {
        self.answers.lock().recovery = answer;
    }
}

impl Drop for FakeCa {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `/ca.pub` with these keys, signed by one.
pub(crate) fn keys_signed(keys: &[&Ca], by: &Ca) -> Answer {
    let body: String = keys.iter().map(|ca| ca.line()).collect();
    let signature = by.sign("daypass-ca@v1", body.as_bytes());
    Answer::Good(body.into_bytes(), Some(signature))
}

/// `/krl` of this version.
pub(crate) fn krl_signed(ca: &Ca, version: u64, serials: &[u64]) -> Answer {
    signed(ca, ca.krl(version, serials))
}

/// `/recovery` that names these administrators' keys.
pub(crate) fn recovery_signed(ca: &Ca, version: u64, keys: &[&str]) -> Answer {
    let document = serde_json::json!({
        "format": "daypass recovery v1", "server": "localhost", "version": version, "administrators": keys,
    });
    let body = document.to_string();
    let signature = ca.sign("daypass-recovery@v1", body.as_bytes());
    Answer::Good(body.into_bytes(), Some(signature))
}

/// `/krl` with any bytes and a good signature.
pub(crate) fn signed(ca: &Ca, body: Vec<u8>) -> Answer {
    let signature = ca.sign("daypass-krl@v1", &body);
    Answer::Good(body, Some(signature))
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    // Another test of this process may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    TlsAcceptor::from(Arc::new(
        config.with_single_cert(vec![certificate], key).unwrap(),
    ))
}

async fn serve(
    listener: TcpListener,
    certificate: Arc<Mutex<Certificate>>,
    answers: Arc<Mutex<Answers>>,
    routes: Routes,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, answers) = (certificate.lock().acceptor.clone(), answers.clone());
        let routes = routes.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let (answers, routes) = (answers.lock().clone(), routes.clone());
                async move {
                    let is_call = request.uri().path().starts_with("/daypass.v1.");
                    Ok::<_, Infallible>(match is_call {
                        true => routes.oneshot(request).await.unwrap().map(Body::new),
                        false => respond(&request, answers).await,
                    })
                }
            });
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond<B>(request: &Request<B>, answers: Answers) -> Response<Body> {
    let answer = match request.uri().path() {
        "/ca.pub" => answers.keys,
        "/krl" | "/elsewhere" => answers.krl,
        "/recovery" => answers.recovery,
        _ => Answer::Status(404),
    };
    match answer {
        Answer::Good(body, signature) => {
            let mut response = Response::new(Body::from(body));
            sign(response.headers_mut(), signature);
            response
        }
        Answer::Status(status) => status_of(StatusCode::from_u16(status).unwrap()),
        Answer::Redirect => {
            let mut response = status_of(StatusCode::FOUND);
            let target = HeaderValue::from_static("/elsewhere");
            response.headers_mut().insert("location", target);
            response
        }
        Answer::Hang => std::future::pending().await,
        Answer::Cut(body, signature) => {
            let half = Bytes::from(body[..body.len() / 2].to_vec());
            let broken = [Ok(half), Err(std::io::Error::other("gone"))];
            let mut response = Response::new(Body::from_stream(tokio_stream::iter(broken)));
            sign(response.headers_mut(), Some(signature));
            let length = HeaderValue::from(body.len());
            response.headers_mut().insert("content-length", length);
            response
        }
        Answer::Endless(length) => {
            let chunk = Bytes::from(vec![0; 64 * 1024]);
            let chunks =
                (0..length.div_ceil(chunk.len())).map(move |_| Ok::<_, Infallible>(chunk.clone()));
            Response::new(Body::from_stream(tokio_stream::iter(chunks)))
        }
        Answer::Announced(length) => Response::new(Body::from(vec![0; length])),
        Answer::Drip => {
            let drops = tokio_stream::iter(std::iter::repeat(()));
            let drops = drops.throttle(Duration::from_millis(100));
            let drops = drops.map(|()| Ok::<_, Infallible>(Bytes::from_static(b"S")));
            Response::new(Body::from_stream(drops))
        }
        Answer::Html => {
            let page = "<!DOCTYPE html><html><body>Please sign in to the Wi-Fi</body></html>";
            let mut response = Response::new(Body::from(page));
            let kind = HeaderValue::from_static("text/html");
            response.headers_mut().insert("content-type", kind);
            response
        }
    }
}

fn status_of(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn sign(headers: &mut HeaderMap, signature: Option<String>) {
    if let Some(signature) = signature {
        let value = HeaderValue::from_str(&signature).unwrap();
        headers.insert("daypass-signature", value);
    }
}
