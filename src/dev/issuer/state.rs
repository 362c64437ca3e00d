//! State that the issuer's connections share: keys, sessions, behaviour, and the tokens made from
//! them. No HTTP here.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    behaviour::Behaviour,
    flows::{CLIENT_ID, Flows},
    keys::Keys,
    members::set,
    people::{self, Account},
    profile::Profile,
    signed_in::SignedIn,
};
use crate::{
    dev::{Error, now},
    identity::issuer::Algorithm,
    unix_seconds::UnixSeconds,
};

/// Lifetime of the tokens of both flows.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// State that the connections share.
pub(super) struct State {
    pub(super) url: String,
    /// Password of every person. If there is none, any password is right.
    pub(super) password: Option<String>,
    pub(super) algorithm: Mutex<Algorithm>,
    pub(super) keys: Mutex<Keys>,
    pub(super) behaviour: watch::Sender<Behaviour>,
    /// Number of requests for each path.
    pub(super) hits: Mutex<BTreeMap<String, usize>>,
    pub(super) flows: Mutex<Flows>,
    pub(super) profile: Mutex<Profile>,
}

impl State {
    pub(super) fn new(url: String, password: Option<String>) -> Result<Self, Error> {
        Ok(Self {
            url,
            password,
            algorithm: Mutex::new(Algorithm::ES256),
            keys: Mutex::new(Keys::generate(1)?),
            behaviour: watch::Sender::new(Behaviour::Normal),
            hits: Mutex::default(),
            flows: Mutex::default(),
            profile: Mutex::default(),
        })
    }

    /// Valid claims of a token that is issued now.
    pub(super) fn claims(&self, name: &str, nonce: Option<&str>) -> Value {
        let issued_at = UnixSeconds::from(now()).get();
        let mut claims = people::find(name).map_or_else(|| json!({"sub": name}), Account::claims);
        set(&mut claims, "iss", json!(self.url));
        set(&mut claims, "aud", json!(CLIENT_ID));
        set(&mut claims, "iat", json!(issued_at));
        set(&mut claims, "auth_time", json!(issued_at));
        let expires = issued_at.saturating_add(TOKEN_LIFETIME.as_secs());
        set(&mut claims, "exp", json!(expires));
        if let Some(nonce) = nonce {
            set(&mut claims, "nonce", json!(nonce));
        }
        claims
    }

    /// The ID token that either flow answers.
    pub(super) fn id_token(&self, signed_in: &SignedIn) -> String {
        let mut claims = self.claims(signed_in.name, signed_in.nonce.as_deref());
        let how = signed_in.how;
        let auth_time = UnixSeconds::from(how.at);
        set(&mut claims, "auth_time", json!(auth_time));
        set(&mut claims, "acr", json!(how.level));
        set(&mut claims, "amr", json!(how.methods));
        let profile = self.profile.lock().clone();
        let claims = profile.claims(claims, &self.url);
        let claims = match signed_in.is_renewed {
            true => profile.renewed(claims),
            false => claims,
        };
        let algorithm = profile.algorithm().unwrap_or(*self.algorithm.lock());
        let kid = self.keys.lock().id(algorithm);
        let header = profile.header(algorithm, &kid);
        self.sign_raw(&header, claims.to_string().as_bytes())
    }

    /// Signs with the algorithm of the flows.
    pub(super) fn sign_as_usual(&self, claims: &Value) -> String {
        let algorithm = *self.algorithm.lock();
        self.sign(algorithm, claims)
    }

    /// Signs claims under a proper header.
    pub(super) fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let kid = self.keys.lock().id(algorithm);
        let header = json!({"alg": format!("{algorithm:?}"), "kid": kid, "typ": "JWT"});
        self.sign_raw(&header, claims.to_string().as_bytes())
    }

    /// Signs any payload with the key that the header's `alg` names; leaves the signature empty if
    /// it names none.
    pub(super) fn sign_raw(&self, header: &Value, payload: &[u8]) -> String {
        let header_text = URL_SAFE_NO_PAD.encode(header.to_string());
        let input = format!("{header_text}.{}", URL_SAFE_NO_PAD.encode(payload));
        let name = header.get("alg").and_then(Value::as_str);
        let algorithm = name.and_then(Algorithm::from_name);
        let signature = algorithm
            .map(|algorithm| self.keys.lock().sign(algorithm, input.as_bytes()))
            .unwrap_or_default();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(&signature))
    }
}
