//! A CA's HTTPS side on loopback that says what a test tells it to, the truth included.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
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

use super::ca::Ca;

/// What is served at one path.
#[derive(Clone)]
pub(crate) enum Say {
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
pub(crate) struct Liar {
    /// `https://localhost:PORT`
    pub(crate) url: String,
    /// The PEM roots for its TLS.
    pub(crate) roots: String,
    says: Arc<Mutex<Says>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Says {
    keys: Say,
    krl: Say,
}

impl Liar {
    /// Tells the truth about `ca` and an empty list of version 1.
    pub(crate) async fn start(ca: &Ca) -> Self {
        let says = Arc::new(Mutex::new(Says {
            keys: keys_signed(&[ca], ca),
            krl: krl_signed(ca, 1, &[]),
        }));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let acceptor = acceptor(&made.cert.pem(), &made.signing_key.serialize_pem());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let task = tokio::spawn(serve(listener, acceptor, says.clone()));
        Self {
            url,
            roots: made.cert.pem(),
            says,
            task,
        }
    }

    pub(crate) fn keys(&self, say: Say) {
        self.says.lock().keys = say;
    }

    pub(crate) fn krl(&self, say: Say) {
        self.says.lock().krl = say;
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `/ca.pub` with these keys, signed by one.
pub(crate) fn keys_signed(keys: &[&Ca], by: &Ca) -> Say {
    let body: String = keys.iter().map(|ca| ca.line()).collect();
    let signature = by.sign("daypass-ca@v1", body.as_bytes());
    Say::Good(body.into_bytes(), Some(signature))
}

/// `/krl` of this version.
pub(crate) fn krl_signed(ca: &Ca, version: u64, serials: &[u64]) -> Say {
    signed(ca, ca.krl(version, serials))
}

/// `/krl` with any bytes and a good signature.
pub(crate) fn signed(ca: &Ca, body: Vec<u8>) -> Say {
    let signature = ca.sign("daypass-krl@v1", &body);
    Say::Good(body, Some(signature))
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

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, says: Arc<Mutex<Says>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, says) = (acceptor.clone(), says.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = hyper::service::service_fn(move |request| {
                let says = says.lock().clone();
                async move { Ok::<_, Infallible>(answer(&request, says).await) }
            });
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer<B>(request: &Request<B>, says: Says) -> Response<Body> {
    let say = match request.uri().path() {
        "/ca.pub" => says.keys,
        "/krl" | "/elsewhere" => says.krl,
        _ => Say::Status(404),
    };
    match say {
        Say::Good(body, signature) => {
            let mut response = Response::new(Body::from(body));
            sign(response.headers_mut(), signature);
            response
        }
        Say::Status(status) => status_of(StatusCode::from_u16(status).unwrap()),
        Say::Redirect => {
            let mut response = status_of(StatusCode::FOUND);
            let target = HeaderValue::from_static("/elsewhere");
            response.headers_mut().insert("location", target);
            response
        }
        Say::Hang => std::future::pending().await,
        Say::Cut(body, signature) => {
            let half = Bytes::from(body[..body.len() / 2].to_vec());
            let broken = [Ok(half), Err(std::io::Error::other("gone"))];
            let mut response = Response::new(Body::from_stream(tokio_stream::iter(broken)));
            sign(response.headers_mut(), Some(signature));
            let length = HeaderValue::from(body.len());
            response.headers_mut().insert("content-length", length);
            response
        }
        Say::Endless(length) => {
            let chunk = Bytes::from(vec![0; 64 * 1024]);
            let chunks =
                (0..length.div_ceil(chunk.len())).map(move |_| Ok::<_, Infallible>(chunk.clone()));
            Response::new(Body::from_stream(tokio_stream::iter(chunks)))
        }
        Say::Announced(length) => Response::new(Body::from(vec![0; length])),
        Say::Drip => {
            let drops = tokio_stream::iter(std::iter::repeat(()));
            let drops = drops.throttle(Duration::from_millis(100));
            let drops = drops.map(|()| Ok::<_, Infallible>(Bytes::from_static(b"S")));
            Response::new(Body::from_stream(drops))
        }
        Say::Html => {
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
