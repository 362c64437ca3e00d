//! The habits of one provider, for tests that imitate it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{
    members::set,
    parameters::Parameters,
    renewals::{Renewals, Renewed, Rotation},
    signed_in::SignedIn,
};
use crate::identity::issuer::Algorithm;

/// The habits of a provider. The default has none: it does what the specifications say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Address of a TLS proxy in front of the issuer: `https://localhost:PORT`. Empty: none.
    origin: String,
    /// Path of the issuer identifier behind the address, such as `/realms/corp` or `/`.
    path: String,
    /// Members of the discovery document that differ.
    discovery: Map<String, Value>,
    /// Algorithm of the ID tokens.
    algorithm: Option<Algorithm>,
    /// The published keys. Empty: one for each algorithm.
    keys: Vec<Algorithm>,
    /// Members that the published keys lack, such as `alg`.
    keys_lack: Vec<String>,
    /// Whether the header of an ID token lacks `kid`.
    token_lacks_kid: bool,
    /// Claims of an ID token that differ.
    claims: Map<String, Value>,
    /// Claims that an ID token lacks.
    lacks: Vec<String>,
    /// Seconds that an ID token lives. 0: an hour.
    lifetime: u64,
    /// The secret that the token endpoint demands.
    client_secret: String,
    /// The registered redirect URIs, compared as they are. Empty: any on loopback.
    redirects: Vec<String>,
    /// The host of the redirect, with any port. Empty: any on loopback.
    redirect_host: String,
    /// The condition for a refresh token. Absent: it gives none.
    refresh: Option<Refresh>,
}

/// The habits of a provider's refresh tokens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Refresh {
    /// The scope that the sign-in must ask for. Empty: none.
    scope: String,
    /// The parameters, `name=value`, that the sign-in must have.
    parameters: Vec<String>,
    /// The refresh token in the answer to a refresh.
    rotation: Rotation,
    /// Seconds for which a spent refresh token is taken again.
    reuse_seconds: u64,
    /// Whether a refresh must repeat the redirect URI of the sign-in.
    repeats_redirect: bool,
    /// Whether the answer to a refresh has no ID token.
    lacks_id_token: bool,
    /// The refusal of a refresh token that is not, or no longer, valid.
    refusal: Refusal,
    /// Whether a renewed ID token repeats the nonce of the sign-in.
    repeats_nonce: bool,
    /// Claims that a renewed ID token lacks.
    lacks: Vec<String>,
}

/// An error of the token endpoint (RFC 6749, section 5.2).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: String,
    pub(super) description: String,
}

impl Default for Refusal {
    fn default() -> Self {
        Self {
            status: 400,
            error: "invalid_grant".to_owned(),
            description: String::new(),
        }
    }
}

impl Profile {
    /// The issuer identifier at this address.
    pub(super) fn issuer(&self, url: &str) -> String {
        format!("{}{}", self.origin(url), self.path)
    }

    /// The address that clients know; `url` is the issuer's own.
    pub(super) fn origin<'a>(&'a self, url: &'a str) -> &'a str {
        match self.origin.as_str() {
            "" => url,
            origin => origin,
        }
    }

    /// Whether a request's path is that of the discovery document.
    pub(super) fn is_discovery(&self, path: &str) -> bool {
        let base = self.path.trim_end_matches('/');
        path.strip_prefix(base) == Some("/.well-known/openid-configuration")
    }

    /// The discovery document with the differences.
    pub(super) fn discovery(&self, mut document: Value, url: &str) -> Value {
        set(&mut document, "issuer", json!(self.issuer(url)));
        for (name, value) in &self.discovery {
            set(&mut document, name, value.clone());
        }
        document
    }

    /// The key set with the differences.
    pub(super) fn keys(&self, keys: Vec<Value>) -> Vec<Value> {
        let is_published = |key: &Value| {
            let published = self.keys.iter().map(|algorithm| json!(algorithm.name()));
            self.keys.is_empty()
                || published
                    .into_iter()
                    .any(|name| key.get("alg") == Some(&name))
        };
        let mut keys: Vec<Value> = keys.into_iter().filter(is_published).collect();
        for key in keys.iter_mut().filter_map(Value::as_object_mut) {
            key.retain(|name, _| !self.keys_lack.contains(name));
        }
        keys
    }

    /// The algorithm of ID tokens, if it differs.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The header of ID tokens.
    pub(super) fn header(&self, algorithm: Algorithm, kid: &str) -> Value {
        match self.token_lacks_kid {
            true => json!({"alg": algorithm.name()}),
            false => json!({"alg": algorithm.name(), "kid": kid, "typ": "JWT"}),
        }
    }

    /// The claims with the differences.
    pub(super) fn claims(&self, mut claims: Value, url: &str) -> Value {
        set(&mut claims, "iss", json!(self.issuer(url)));
        for (name, value) in &self.claims {
            set(&mut claims, name, value.clone());
        }
        if self.lifetime > 0 {
            let issued = claims
                .get("iat")
                .and_then(Value::as_u64)
                .unwrap_or_default();
            set(&mut claims, "exp", json!(issued + self.lifetime));
        }
        without(claims, &self.lacks)
    }

    /// The claims of a renewed ID token.
    pub(super) fn renewed(&self, claims: Value) -> Value {
        let refresh = self.refresh.clone().unwrap_or_default();
        let claims = without(claims, &refresh.lacks);
        match refresh.repeats_nonce {
            true => claims,
            false => without(claims, &["nonce".to_owned()]),
        }
    }

    /// Whether the redirect URI is registered.
    pub(super) fn knows_redirect(&self, text: &str) -> bool {
        let is_listed = self.redirects.is_empty() || self.redirects.iter().any(|it| it == text);
        let host = format!("http://{}:", self.redirect_host);
        is_listed && (self.redirect_host.is_empty() || text.starts_with(&host))
    }

    /// Checks the client at the token endpoint; `basic` is the secret of the header. Returns the
    /// error's description.
    pub(super) fn check_client(
        &self,
        form: &Parameters,
        basic: Option<&str>,
    ) -> Result<(), &'static str> {
        match form.get("client_secret").or(basic) {
            _ if self.client_secret.is_empty() => Ok(()),
            None => Err("client_secret is missing."),
            Some(secret) if secret == self.client_secret => Ok(()),
            Some(_) => Err("The provided client secret is invalid."),
        }
    }

    /// Whether a sign-in with these parameters gets a refresh token.
    pub(super) fn refreshes(&self, parameters: &Parameters) -> bool {
        let Some(refresh) = &self.refresh else {
            return false;
        };
        let has_scope = |scope: &str| {
            let mut scopes = parameters.text("scope").split(' ');
            scope.is_empty() || scopes.any(|one| one == scope)
        };
        let has_parameter = |wanted: &String| match wanted.split_once('=') {
            None => true,
            Some((name, value)) => parameters.get(name) == Some(value),
        };
        has_scope(&refresh.scope) && refresh.parameters.iter().all(has_parameter)
    }

    /// Answers a request with a refresh token.
    pub(super) fn renew(
        &self,
        renewals: &mut Renewals,
        form: &Parameters,
        now: OffsetDateTime,
    ) -> Result<Renewed, Refusal> {
        let refresh = self.refresh.clone().unwrap_or_default();
        let reuse = Duration::from_secs(refresh.reuse_seconds);
        let token = form.text("refresh_token");
        let renewed = renewals.renew(token, refresh.rotation, reuse, now);
        let is_repeated = |signed_in: &SignedIn| {
            !refresh.repeats_redirect || signed_in.redirect.as_deref() == form.get("redirect_uri")
        };
        renewed
            .filter(|renewed| is_repeated(&renewed.signed_in))
            .ok_or(refresh.refusal)
    }

    /// Whether the answer for this sign-in has an ID token.
    pub(super) fn has_id_token(&self, signed_in: &SignedIn) -> bool {
        let lacks = self.refresh.as_ref().is_some_and(|it| it.lacks_id_token);
        !(signed_in.is_renewed && lacks)
    }

    /// The lifetime of its ID tokens, if it differs.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        (self.lifetime > 0).then(|| Duration::from_secs(self.lifetime))
    }
}

fn without(mut claims: Value, names: &[String]) -> Value {
    if let Some(members) = claims.as_object_mut() {
        members.retain(|name, _| !names.contains(name));
    }
    claims
}
