//! A real OpenID Connect issuer on loopback: discovery, keys, the authorization code flow with PKCE, and the device flow.
//!
//! It serves `daypass dev` and every test that needs tokens. It can be told to misbehave as issuers do ([`Behaviour`]) and
//! signs whatever a test wants ([`Issuer::sign_raw`]), so it must never listen on anything but loopback.

mod flows;
mod keys;
mod pages;
mod people;
mod routes;
mod wanted;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

pub use people::{Account, PEOPLE};

use super::Error;
use crate::identity::issuer::Algorithm;
use flows::{Flows, SignedIn};
use keys::Keys;

/// The one client that is registered, and the audience of its tokens.
pub const CLIENT_ID: &str = "daypass";

/// How long the tokens of both flows are valid.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// How discovery and the key set answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As the specifications say.
    Normal,
    /// 500 to both.
    Status500,
    /// No answer until the behaviour changes, 60 s at most.
    Slow,
    /// A web page instead of JSON.
    Html,
    /// A key set without keys.
    Empty,
    /// 50 MB of JSON.
    Huge,
    /// Two keys of the same `kid`.
    DuplicateKid,
    /// Discovery names another issuer.
    OtherIssuer,
    /// Discovery names a key set by plain HTTP on another host.
    PlainKeys,
    /// A redirect to `/elsewhere/...`, where the right answer is.
    Redirect,
    /// Discovery, or the answer to a device, holds this text under this name.
    Names(&'static str, &'static str),
}

/// A running issuer. Dropping it closes its port and every connection.
pub struct Issuer {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the connections share.
struct Shared {
    url: String,
    password: Option<String>,
    algorithm: Mutex<Algorithm>,
    keys: Mutex<Keys>,
    behaviour: watch::Sender<Behaviour>,
    hits: Mutex<BTreeMap<String, usize>>,
    flows: Mutex<Flows>,
}

impl Issuer {
    /// Starts an issuer on a free loopback port that takes any password.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| Error::System("open a port", error))?;
        Self::start_on(listener, None).await
    }

    /// Starts an issuer on `listener`, which must be bound to loopback. With a `password`, nobody signs in without it.
    pub async fn start_on(listener: TcpListener, password: Option<String>) -> Result<Self, Error> {
        let system = |error| Error::System("listen for the issuer", error);
        listener.set_nonblocking(true).map_err(system)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(system)?;
        let address = listener.local_addr().map_err(system)?;
        if !address.ip().is_loopback() {
            return Err(system(std::io::ErrorKind::AddrNotAvailable.into()));
        }
        let shared = Arc::new(Shared {
            url: format!("http://{address}"),
            password,
            algorithm: Mutex::new(Algorithm::ES256),
            keys: Mutex::new(Keys::generate(1)?),
            behaviour: watch::Sender::new(Behaviour::Normal),
            hits: Mutex::default(),
            flows: Mutex::default(),
        });
        let task = tokio::spawn(routes::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            task: Mutex::new(Some(task)),
        })
    }

    /// Closes its port and every connection, as an outage does; [`Issuer::resume`] ends it.
    pub async fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // Cancelled is what it should be; the port is closed when it is.
            let _ = task.await;
        }
    }

    /// Answers again at the same address, with the keys and sessions that it had; says whether it was stopped.
    ///
    /// # Errors
    /// Where the port is somebody else's by now.
    pub async fn resume(&self) -> Result<bool, Error> {
        let system = |error| Error::System("open the issuer's port again", error);
        let Some(address) = self.address().filter(|_| self.task.lock().is_none()) else {
            return Ok(false);
        };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(system)?;
        let task = tokio::spawn(routes::serve(listener, Arc::clone(&self.shared)));
        *self.task.lock() = Some(task);
        Ok(true)
    }

    /// The issuer identifier: `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.url().trim_start_matches("http://").parse().ok()
    }

    /// The algorithm that both flows sign ID tokens with from now on (ES256 at the start).
    pub fn use_algorithm(&self, algorithm: Algorithm) {
        *self.shared.algorithm.lock() = algorithm;
    }

    /// Replaces every key: tokens signed before are no longer verifiable with what `/jwks` answers.
    pub fn rotate(&self) -> Result<(), Error> {
        let mut keys = self.shared.keys.lock();
        *keys = keys.next()?;
        Ok(())
    }

    /// Lets everybody have a session here that began `age` ago: that is their tokens' `auth_time`, unless a request asks for
    /// a newer sign-in (`max_age`, `prompt=login`) or a stronger one (`acr_values`).
    pub fn age_sessions(&self, age: Duration) {
        self.shared.flows.lock().age_sessions(age);
    }

    /// Changes how discovery and the key set answer.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.behaviour.send_replace(behaviour);
    }

    /// How often a path (`/jwks`, `/.well-known/openid-configuration`, ...) was asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.shared.hits.lock().get(path).copied().unwrap_or(0)
    }

    /// How many requests came in all.
    pub fn all_hits(&self) -> usize {
        self.shared.hits.lock().values().sum()
    }

    /// Valid claims of an ID token for one of [`PEOPLE`] (or a stranger in no group), issued now, without a nonce:
    /// what a test changes one thing in.
    pub fn claims(&self, name: &str) -> Value {
        self.shared.claims(name, None)
    }

    /// The claims of [`Issuer::claims`] with that nonce, signed with the flows' algorithm.
    pub fn id_token(&self, name: &str, nonce: Option<&str>) -> String {
        let claims = self.shared.claims(name, nonce);
        self.shared.sign_as_usual(&claims)
    }

    /// Signs claims with a proper header.
    pub fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        self.shared.sign(algorithm, claims)
    }

    /// Signs any payload under any header, with the key that the header's `alg` names. With an `alg` that is not one of
    /// ours the signature is empty.
    pub fn sign_raw(&self, header: &Value, payload: &[u8]) -> String {
        self.shared.sign_raw(header, payload)
    }

    /// The bare signature over any bytes, for tokens put together by hand.
    pub fn signature(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        self.shared.keys.lock().sign(algorithm, input)
    }

    /// The `kid` of the present key.
    pub fn key_id(&self, algorithm: Algorithm) -> String {
        self.shared.keys.lock().id(algorithm)
    }

    /// The present public key as SubjectPublicKeyInfo DER (some verifiers were tricked into using it as an HMAC secret).
    pub fn public_der(&self, algorithm: Algorithm) -> Vec<u8> {
        self.shared.keys.lock().public_der(algorithm)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Shared {
    fn claims(&self, name: &str, nonce: Option<&str>) -> Value {
        let now = super::now().unix_timestamp();
        let expires = now.saturating_add_unsigned(TOKEN_LIFETIME.as_secs());
        let mut claims = people::find(name).map_or_else(|| json!({"sub": name}), Account::claims);
        set(&mut claims, "iss", json!(self.url));
        set(&mut claims, "aud", json!(CLIENT_ID));
        set(&mut claims, "iat", json!(now));
        set(&mut claims, "auth_time", json!(now));
        set(&mut claims, "exp", json!(expires));
        if let Some(nonce) = nonce {
            set(&mut claims, "nonce", json!(nonce));
        }
        claims
    }

    /// What either flow answers.
    fn id_token(&self, signed_in: &SignedIn) -> String {
        let mut claims = self.claims(signed_in.name, signed_in.nonce.as_deref());
        let how = signed_in.how;
        set(&mut claims, "auth_time", json!(how.at.unix_timestamp()));
        set(&mut claims, "acr", json!(how.level));
        set(&mut claims, "amr", json!(how.methods));
        self.sign_as_usual(&claims)
    }

    fn sign_as_usual(&self, claims: &Value) -> String {
        let algorithm = *self.algorithm.lock();
        self.sign(algorithm, claims)
    }

    fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let kid = self.keys.lock().id(algorithm);
        let header = json!({"alg": format!("{algorithm:?}"), "kid": kid, "typ": "JWT"});
        self.sign_raw(&header, claims.to_string().as_bytes())
    }

    fn sign_raw(&self, header: &Value, payload: &[u8]) -> String {
        let header_text = URL_SAFE_NO_PAD.encode(header.to_string().as_bytes());
        let input = format!("{header_text}.{}", URL_SAFE_NO_PAD.encode(payload));
        let algorithm = match header.get("alg").and_then(Value::as_str) {
            Some("RS256") => Some(Algorithm::RS256),
            Some("ES256") => Some(Algorithm::ES256),
            Some("EdDSA") => Some(Algorithm::EdDSA),
            _ => None,
        };
        let signature = algorithm
            .map(|algorithm| self.keys.lock().sign(algorithm, input.as_bytes()))
            .unwrap_or_default();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(&signature))
    }
}

/// Sets one member of a JSON object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
