//! Signing keys and an issuer on loopback that misbehaves on request.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::identity::{Algorithm, Binding, Issuers, Settings, SignIn, jwks::Rules};

pub(super) const NOW: i64 = 1_800_000_000;

pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of an issuer.
pub(super) enum Signer {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let rsa = |encoding| Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), encoding);
        let ecdsa = |curve, name| Self::Ecdsa(EcdsaKeyPair::generate(curve).unwrap(), name);
        match algorithm {
            Algorithm::RS256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&RSA_PSS_SHA512),
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::EdDSA => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
        }
    }

    /// One of each, made once.
    pub(super) fn shared(algorithm: Algorithm) -> &'static Self {
        static ALL: OnceLock<[Signer; 9]> = OnceLock::new();
        let all = ALL.get_or_init(|| Algorithm::ALL.map(Self::new));
        let index = Algorithm::ALL.iter().position(|other| *other == algorithm);
        &all[index.unwrap()]
    }

    /// The same RSA key, with the padding and hash of another algorithm.
    pub(super) fn as_algorithm(&self, algorithm: Algorithm) -> Self {
        match (self, Self::new(algorithm)) {
            (Self::Rsa(pair, _), Self::Rsa(_, encoding)) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                Self::Rsa(RsaKeyPair::from_pkcs8(der.as_ref()).unwrap(), encoding)
            }
            _ => panic!("not RSA"),
        }
    }

    /// The modulus of a 2048-bit key: its PKCS#1 form is two fixed headers around it.
    pub(super) fn modulus(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair, _) => pair.public_key().as_ref()[9..265].to_vec(),
            _ => panic!("not RSA"),
        }
    }

    /// With this `kid`, and neither `use` nor `alg`.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(..) => {
                json!({"kty": "RSA", "kid": kid, "n": base64url(self.modulus()), "e": "AQAB"})
            }
            Self::Ecdsa(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": kid, "x": base64url(x), "y": base64url(y)})
            }
            Self::Ed25519(pair) => {
                let x = base64url(pair.public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
            }
        }
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Any header, any payload.
    pub(super) fn compact(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(payload));
        let signature = base64url(self.signature(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// ES256 by the key `es`.
pub(super) fn sign(claims: &Value) -> String {
    sign_with(&json!({"alg": "ES256", "kid": "es", "typ": "JWT"}), claims)
}

/// The header is free, the key is `es`.
pub(super) fn sign_with(header: &Value, claims: &Value) -> String {
    Signer::shared(Algorithm::ES256).compact(&header.to_string(), &claims.to_string())
}

/// `base` with one member set, or removed by null.
pub(super) fn with(base: &Value, name: &str, value: Value) -> Value {
    let mut changed = base.clone();
    let members = changed.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
    changed
}

/// The issuer's answer to one path.
#[derive(Clone)]
pub(super) enum Answer {
    Body(u16, String),
    Redirect(String),
    /// Never.
    Hang,
}

/// An issuer on loopback.
pub(super) struct TestIssuer {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    hits: HashMap<String, usize>,
}

pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(super) const KEYS: &str = "/keys";

impl TestIssuer {
    /// With the three shared keys as `rs`, `es` and `ed`.
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Behind TLS, and the root to trust for it (PEM).
    pub(super) async fn start_tls() -> (Self, Vec<u8>) {
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.der().clone()], key.into())
            .unwrap();
        let issuer = Self::start_with(Some(Arc::new(config).into())).await;
        (issuer, pair.cert.pem().into_bytes())
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        tokio::spawn(serve(listener, tls, Arc::clone(&state)));
        let issuer = Self { url, state };
        let keys = format!("{}{KEYS}", issuer.url);
        issuer.answer_json(DISCOVERY, &json!({"issuer": issuer.url, "jwks_uri": keys}));
        issuer.answer_json(KEYS, &shared_key_set());
        issuer
    }

    pub(super) fn answer(&self, path: &str, answer: Answer) {
        let mut state = self.state.lock();
        state.answers.insert(path.to_owned(), answer);
    }

    pub(super) fn answer_json(&self, path: &str, value: &Value) {
        self.answer(path, Answer::Body(200, value.to_string()));
    }

    pub(super) fn hits(&self, path: &str) -> usize {
        let state = self.state.lock();
        state.hits.get(path).copied().unwrap_or_default()
    }

    pub(super) fn all_hits(&self) -> usize {
        self.state.lock().hits.values().sum()
    }

    pub(super) fn settings(&self) -> Settings {
        settings(&self.url)
    }

    pub(super) fn issuers(&self) -> Issuers {
        issuers(vec![self.settings()])
    }

    /// The base token's claims.
    pub(super) fn claims(&self) -> Value {
        json!({
            "iss": self.url, "sub": "alice-1", "aud": "daypass", "azp": "daypass",
            "iat": NOW - 10, "exp": NOW + 600, "auth_time": NOW - 20, "nonce": "n-marker",
            "email": "alice@example.com", "email_verified": true, "groups": ["sre", "oncall"],
        })
    }
}

pub(super) fn shared_key_set() -> Value {
    let jwk = |algorithm, kid| Signer::shared(algorithm).jwk(kid);
    json!({"keys": [
        jwk(Algorithm::RS256, "rs"), jwk(Algorithm::ES256, "es"), jwk(Algorithm::EdDSA, "ed"),
    ]})
}

/// Nonce-bound, all algorithms.
pub(super) fn settings(url: &str) -> Settings {
    Settings {
        name: "corp".to_owned(),
        url: url.to_owned(),
        client_id: "daypass".to_owned(),
        audiences: vec!["daypass".to_owned()],
        scopes: vec!["openid".to_owned()],
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        key_without_id: false,
        binding: Binding::Nonce,
        device_flow: false,
        interactive: true,
        ca_certificates: None,
        label: None,
        string_booleans: false,
        sign_in: SignIn::default(),
    }
}

/// The daemon's rules, but for a short wait on issuers that hang.
pub(super) fn issuers(settings: Vec<Settings>) -> Issuers {
    let rules = Rules {
        patience: Duration::from_millis(50),
        ..Rules::DEFAULT
    };
    Issuers::with_rules(settings, rules, Duration::from_millis(1500)).unwrap()
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        match &tls {
            None => drop(tokio::spawn(converse(stream, Arc::clone(&state)))),
            Some(tls) => {
                let (handshake, state) = (tls.accept(stream), Arc::clone(&state));
                tokio::spawn(async move {
                    if let Ok(stream) = handshake.await {
                        converse(stream, state).await;
                    }
                });
            }
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<Mutex<State>>,
) {
    let service = service_fn(move |request| respond(Arc::clone(&state), request));
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that goes away ends its connection, and no test.
    let _ = connection
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = {
        let mut state = state.lock();
        let path = request.uri().path().to_owned();
        *state.hits.entry(path.clone()).or_default() += 1;
        state.answers.get(&path).cloned()
    };
    let response = Response::builder();
    let response = match answer {
        Some(Answer::Body(status, body)) => response.status(status).body(Full::from(body)),
        Some(Answer::Redirect(to)) => response
            .status(302)
            .header("location", to)
            .body(Full::default()),
        Some(Answer::Hang) => std::future::pending().await,
        None => response.status(404).body(Full::default()),
    };
    Ok(response.unwrap())
}
