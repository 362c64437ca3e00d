//! A real OpenID Connect issuer on loopback: discovery, keys, the authorization code flow with
//! PKCE, and the device flow.
//!
//! It serves `daypass dev` and every test that needs tokens. It can misbehave ([`Behaviour`]) and
//! signs any claims for any caller in this process ([`Issuer::sign_raw`]), so it must never listen
//! on anything but loopback.

mod behaviour;
mod flows;
mod keys;
mod members;
mod pages;
mod parameters;
mod people;
mod profile;
mod renewals;
mod routes;
mod signed_in;
mod state;
mod wanted;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;

pub use behaviour::Behaviour;
pub use flows::CLIENT_ID;
pub(crate) use people::PEOPLE;
pub use profile::Profile;

use super::{Error, http::Server};
use crate::identity::issuer::Algorithm;
use state::State;

/// A running issuer. Dropping it closes its port and its connections.
pub struct Issuer {
    state: Arc<State>,
    /// None while it is stopped.
    server: Mutex<Option<Server>>,
}

impl Issuer {
    /// Starts an issuer on a free loopback port that takes any password.
    ///
    /// # Errors
    /// Returns an error if no port is free.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| Error::System("open a port", error))?;
        Self::start_on(listener, None).await
    }

    /// Starts an issuer on `listener`, which must be bound to loopback. With a `password`, a
    /// sign-in needs that password.
    ///
    /// # Errors
    /// Returns an error if the listener is unusable or not on loopback.
    pub(crate) async fn start_on(
        listener: TcpListener,
        password: Option<String>,
    ) -> Result<Self, Error> {
        let system = |error| Error::System("listen for the issuer", error);
        listener.set_nonblocking(true).map_err(system)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(system)?;
        let address = listener.local_addr().map_err(system)?;
        if !address.ip().is_loopback() {
            return Err(system(std::io::ErrorKind::AddrNotAvailable.into()));
        }
        let state = Arc::new(State::new(format!("http://{address}"), password)?);
        let server = Server::start(listener, routes::router(Arc::clone(&state)));
        Ok(Self {
            state,
            server: Mutex::new(Some(server)),
        })
    }

    /// Closes its port and every connection, as an outage does; [`Issuer::resume`] ends it.
    pub async fn stop(&self) {
        let server = self.server.lock().take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// Answers again at the same address, with the keys and sessions that it had. Returns false if
    /// it was not stopped.
    ///
    /// # Errors
    /// Returns an error if another process has taken the port meanwhile.
    pub async fn resume(&self) -> Result<bool, Error> {
        let system = |error| Error::System("open the issuer's port again", error);
        let Some(address) = self.address().filter(|_| self.server.lock().is_none()) else {
            return Ok(false);
        };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(system)?;
        let server = Server::start(listener, routes::router(Arc::clone(&self.state)));
        *self.server.lock() = Some(server);
        Ok(true)
    }

    /// The issuer identifier: `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.url().trim_start_matches("http://").parse().ok()
    }

    /// Sets the algorithm that both flows sign ID tokens with from now on (ES256 at the start).
    #[cfg(test)]
    pub(crate) fn use_algorithm(&self, algorithm: Algorithm) {
        *self.state.algorithm.lock() = algorithm;
    }

    /// Replaces every key: tokens signed before no longer verify with what `/jwks` answers.
    ///
    /// # Errors
    /// Returns an error if a key cannot be made.
    pub fn rotate(&self) -> Result<(), Error> {
        let mut keys = self.state.keys.lock();
        *keys = keys.next()?;
        Ok(())
    }

    /// Sets when everyone's session here began: `age` ago. That is the `auth_time` of their tokens,
    /// unless a request asks for a newer sign-in (`max_age`, `prompt=login`) or a stronger one
    /// (`acr_values`).
    pub fn age_sessions(&self, age: Duration) {
        self.state.flows.lock().age_sessions(age);
    }

    /// Takes on the habits of a provider.
    pub fn imitate(&self, profile: Profile) {
        *self.state.profile.lock() = profile;
    }

    /// The issuer identifier as its tokens say it.
    pub fn identifier(&self) -> String {
        self.state.profile.lock().issuer(self.url())
    }

    /// Withdraws every refresh token.
    pub fn end_refresh(&self) {
        self.state.flows.lock().renewals.end();
    }

    /// Changes how discovery and the key set answer.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.behaviour.send_replace(behaviour);
    }

    /// Number of requests for a path (`/jwks`, `/.well-known/openid-configuration`, ...).
    pub fn hits(&self, path: &str) -> usize {
        self.state.hits.lock().get(path).copied().unwrap_or(0)
    }

    /// The number of all requests.
    pub fn all_hits(&self) -> usize {
        self.state.hits.lock().values().sum()
    }

    /// Valid claims of an ID token that is issued now, without a nonce, for a test to change one
    /// thing in. A name that is not one of [`PEOPLE`] is a stranger in no group.
    pub fn claims(&self, name: &str) -> Value {
        self.state.claims(name, None)
    }

    /// The claims of [`Issuer::claims`] with that nonce, signed with the flows' algorithm.
    pub fn id_token(&self, name: &str, nonce: Option<&str>) -> String {
        let claims = self.state.claims(name, nonce);
        self.state.sign_as_usual(&claims)
    }

    /// Signs claims under a proper header.
    pub fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        self.state.sign(algorithm, claims)
    }

    /// Signs any payload under any header, with the key that the header's `alg` names. The
    /// signature is empty if the issuer has no key for that `alg`.
    pub fn sign_raw(&self, header: &Value, payload: &[u8]) -> String {
        self.state.sign_raw(header, payload)
    }

    /// The `kid` of the present key.
    pub fn key_id(&self, algorithm: Algorithm) -> String {
        self.state.keys.lock().id(algorithm)
    }

    /// The present public key as SubjectPublicKeyInfo DER. Attackers have tricked verifiers into
    /// using it as an HMAC secret.
    pub fn public_der(&self, algorithm: Algorithm) -> Vec<u8> {
        self.state.keys.lock().public_der(algorithm)
    }
}

#[cfg(test)]
mod tests;
