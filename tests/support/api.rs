//! The gRPC API as a hostile or honest caller uses it: every part of an issue request can be made
//! by hand.
//!
//! An [`Attempt`] starts honest; a test changes one thing in it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass::{
    identity::proof::{commitment, possession_message},
    ledger::order::{AdminOrder, Target, Verb},
    operations::Authority,
    proto::{
        ask::ask_bytes,
        status::Details,
        v1::{
            Ask, IssueRequest, KeyProof, ListRequest, admin_client::AdminClient,
            ledger_client::LedgerClient, passes_client::PassesClient,
            requests_client::RequestsClient,
        },
    },
    ssh::sshsig::Namespace,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, rand_core::OsRng};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::issued::Issued;

/// A connection to a daemon, and the name that possession proofs for it are made for.
#[derive(Clone)]
pub struct Api {
    channel: Channel,
    server_name: String,
    /// The daemon's state, if it runs in this process. It may end before its connections do.
    authority: Weak<Authority>,
}

/// A caller's key pair, and the secret behind its commitment.
#[derive(Clone)]
pub struct Caller {
    pub key: PrivateKey,
    pub secret: Vec<u8>,
}

/// One issue request in parts.
#[derive(Clone)]
pub struct Attempt {
    pub token: String,
    pub public_key: String,
    pub secret: Vec<u8>,
    pub possession: String,
    pub ask: Ask,
}

/// The server's refusal.
#[derive(Debug)]
pub struct Refusal {
    pub code: Code,
    pub reason: String,
    pub message: String,
    pub retry_after: Option<Duration>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = Details::of(&status).unwrap_or_default();
        Self {
            code: status.code(),
            reason: details.reason,
            message: status.message().to_owned(),
            retry_after: details.retry_after,
        }
    }
}

impl Caller {
    /// A fresh Ed25519 key and a fresh secret.
    pub fn new() -> Self {
        Self::with_key(PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap())
    }

    /// The same over a key of the test's choice.
    pub fn with_key(key: PrivateKey) -> Self {
        let mut secret = vec![0; 32];
        ssh_key::rand_core::RngCore::fill_bytes(&mut OsRng, &mut secret);
        Self { key, secret }
    }

    /// The nonce that binds a token to this caller's key.
    pub fn commitment(&self) -> String {
        commitment(self.key.public_key(), &self.secret).unwrap()
    }

    /// Good claims of a token bound to this key by its nonce.
    pub fn claims(&self, issuer: &str, subject: &str, groups: &[&str], now: i64) -> Value {
        json!({
            "iss": issuer,
            "sub": subject,
            "aud": "daypass",
            "iat": now,
            "exp": now + 600,
            "nonce": self.commitment(),
            "email": format!("{subject}@example.com"),
            "email_verified": true,
            "groups": groups,
        })
    }

    /// An honest attempt with this key.
    pub fn attempt(&self, server_name: &str, token: &str, ask: Ask) -> Attempt {
        let mut attempt = Attempt {
            token: token.to_owned(),
            public_key: self.key.public_key().to_openssh().unwrap(),
            secret: self.secret.clone(),
            possession: String::new(),
            ask,
        };
        attempt.sign(&self.key, server_name);
        attempt
    }

    /// An order's public key, binding secret and signature, for the identity that the token names.
    pub fn prove(
        &self,
        server_name: &str,
        token: &str,
        (verb, target, reason, after): (Verb, &Target, &str, u64),
    ) -> (String, Vec<u8>, String) {
        let claims = token.split('.').nth(1).unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let message = AdminOrder {
            server: server_name,
            issuer: claims["iss"].as_str().unwrap(),
            subject: claims["sub"].as_str().unwrap(),
            token: &Sha256::digest(token.as_bytes()).into(),
            verb,
            target,
            reason,
            after,
        }
        .message();
        let signature = self
            .key
            .sign(Namespace::Admin.as_str(), HashAlg::Sha512, &message);
        (
            self.key.public_key().to_openssh().unwrap(),
            self.secret.clone(),
            signature.unwrap().to_pem(LineEnding::LF).unwrap(),
        )
    }
}

impl Attempt {
    /// The attempt as the wire has it; its token goes into a header.
    pub fn message(&self) -> IssueRequest {
        IssueRequest {
            ask: Some(self.ask.clone()),
            proof: Some(KeyProof {
                public_key: self.public_key.clone(),
                binding_secret: self.secret.clone(),
                signature: self.possession.clone(),
            }),
            emergency: None,
        }
    }

    /// Makes the possession proof anew, by `key`, over what the attempt holds now.
    pub fn sign(&mut self, key: &PrivateKey, server_name: &str) {
        let subject =
            PublicKey::from_openssh(&self.public_key).unwrap_or_else(|_| key.public_key().clone());
        let token_hash: [u8; 32] = Sha256::digest(self.token.as_bytes()).into();
        let message =
            possession_message(server_name, &token_hash, &subject, &ask_bytes(&self.ask)).unwrap();
        self.possession = key
            .sign(Namespace::Issue.as_str(), HashAlg::Sha512, &message)
            .unwrap()
            .to_pem(LineEnding::LF)
            .unwrap();
    }
}

impl Api {
    /// Opens a TLS channel to `url`, trusting `ca` (PEM) alone.
    pub async fn open(url: &str, ca: &[u8]) -> Self {
        Self::try_open(url, ca).await.expect("the server answers")
    }

    /// The same; none if the server does not answer.
    pub async fn try_open(url: &str, ca: &[u8]) -> Option<Self> {
        let server_name = url::Url::parse(url).unwrap().host_str().unwrap().to_owned();
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let channel = Endpoint::from_shared(url.to_owned())
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30))
            .connect()
            .await
            .ok()?;
        Some(Self {
            channel,
            server_name,
            authority: Weak::new(),
        })
    }

    /// Opens a TLS channel to `port` of the loopback address of the caller's family, from the
    /// caller's own address.
    pub async fn open_from(caller: IpAddr, port: u16, ca: &[u8]) -> Self {
        let server_name = "localhost".to_owned();
        let to: SocketAddr = match caller {
            IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, port).into(),
            IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, port).into(),
        };
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca))
            .domain_name(&server_name);
        let endpoint = Endpoint::from_shared(format!("https://{to}")).unwrap();
        let endpoint = endpoint.tls_config(tls).unwrap();
        let endpoint = endpoint.local_address(Some(caller));
        let endpoint = endpoint.timeout(Duration::from_secs(30));
        Self {
            channel: endpoint.connect().await.unwrap(),
            server_name,
            authority: Weak::new(),
        }
    }

    /// The connection, to a daemon in this process.
    pub fn with_authority(self, authority: &Arc<Authority>) -> Self {
        let authority = Arc::downgrade(authority);
        Self { authority, ..self }
    }

    /// The index that an order about the target has to name now, of a daemon in this process.
    pub fn after(&self, target: &Target) -> u64 {
        let authority = self.authority.upgrade();
        let authority = authority.expect("the daemon runs in this process");
        authority.store.state(|state| state.after(target))
    }

    /// A client of `Passes`; likewise the others.
    pub fn passes(&self) -> PassesClient<Channel> {
        PassesClient::new(self.channel())
    }

    pub fn requests(&self) -> RequestsClient<Channel> {
        RequestsClient::new(self.channel())
    }

    pub fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel())
    }

    /// The name possession proofs are made for.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The raw channel, for the other services.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Sends an attempt as it is.
    pub async fn issue(&self, attempt: &Attempt) -> Result<Issued, Refusal> {
        let request = with_token(attempt.message(), &attempt.token);
        Ok(self.passes().issue(request).await?.into_inner().into())
    }

    /// The ledger's size, as an auditor sees it.
    pub async fn ledger_size(&self, auditor: &str) -> u64 {
        self.list(auditor, 0).await.1
    }

    /// All events from `from` on (at most 1000), as an auditor sees them.
    pub async fn events(&self, auditor: &str, from: u64) -> Vec<Value> {
        self.list(auditor, from).await.0
    }

    async fn list(&self, auditor: &str, from: u64) -> (Vec<Value>, u64) {
        let request = ListRequest {
            from,
            limit: 1000,
            newest_first: false,
            filter: None,
        };
        let answer = LedgerClient::new(self.channel())
            .list(with_token(request, auditor))
            .await
            .unwrap()
            .into_inner();
        let parse = |event: Vec<u8>| serde_json::from_slice(&event);
        let events = answer.events.into_iter().map(parse);
        (events.collect::<Result<_, _>>().unwrap(), answer.size)
    }
}

/// A request with a bearer token; bytes that no header can hold become a request without one.
pub fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(value) = format!("Bearer {token}").parse() {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// An ask for a role and nothing else.
pub fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        ..Ask::default()
    }
}

/// The same ask with another lifetime, so that it opens a request of its own.
pub fn another(ask: Ask, number: u64) -> Ask {
    Ask {
        ttl_seconds: 600 + number,
        ..ask
    }
}
