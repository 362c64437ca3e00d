//! The state of the two flows: which client asked for what, and which person has signed in. No HTTP
//! here.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use url::Url;

use super::{
    parameters::Parameters, profile::Profile, renewals::Renewals, signed_in::SignedIn,
    wanted::Wanted,
};
use crate::dev::random_text;

/// The one client that is registered, and the audience of its tokens.
pub const CLIENT_ID: &str = "daypass";

/// Deadline for the person's sign-in at either flow.
pub(super) const SIGN_IN_LIFETIME: Duration = Duration::from_secs(600);

/// Least time between two questions of a device (RFC 8628, 3.2). It is short because only tests and
/// demos use this issuer.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// The sign-ins that are under way.
#[derive(Default)]
pub(super) struct Flows {
    waiting: HashMap<String, Authorization>,
    codes: HashMap<String, (Authorization, &'static str)>,
    /// Age of every person's session.
    session_age: Duration,
    devices: HashMap<String, Device>,
    pub(super) renewals: Renewals,
}

/// A valid authorization request (RFC 6749 4.1.1, RFC 7636).
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    pub(super) redirect: Url,
    pub(super) state: String,
    pub(super) nonce: Option<String>,
    pub(super) wanted: Wanted,
    /// Whether the sign-in gets a refresh token.
    pub(super) refreshes: bool,
    challenge: String,
    expires: OffsetDateTime,
}

struct Device {
    wanted: Wanted,
    refreshes: bool,
    user_code: String,
    person: Option<&'static str>,
    expires: OffsetDateTime,
}

/// An authorization request that is refused.
pub(super) enum InvalidAuthorization {
    /// Shown to the person alone, because the redirect cannot be trusted.
    Page(&'static str),
    /// Told to the client by a redirect (RFC 6749, 4.1.2.1).
    Redirect(Url),
}

impl Authorization {
    /// Checks the request's parameters.
    pub(super) fn parse(
        parameters: &Parameters,
        profile: &Profile,
        now: OffsetDateTime,
    ) -> Result<Self, InvalidAuthorization> {
        let value = |name: &str| parameters.text(name);
        if value("client_id") != CLIENT_ID {
            return Err(InvalidAuthorization::Page("unknown client_id"));
        }
        let redirect = loopback_redirect(value("redirect_uri")).ok_or(
            InvalidAuthorization::Page("redirect_uri must be on loopback"),
        )?;
        if !profile.knows_redirect(value("redirect_uri")) {
            return Err(InvalidAuthorization::Page("redirect_uri is not registered"));
        }
        let refuse = |code: &str, description: &str| {
            let mut url = redirect.clone();
            url.query_pairs_mut()
                .append_pair("error", code)
                .append_pair("error_description", description)
                .append_pair("state", value("state"));
            Err(InvalidAuthorization::Redirect(url))
        };
        if value("response_type") != "code" {
            return refuse("unsupported_response_type", "only code is supported");
        }
        if !value("scope").split(' ').any(|scope| scope == "openid") {
            return refuse("invalid_scope", "scope must have openid");
        }
        if value("code_challenge_method") != "S256" || value("code_challenge").len() != 43 {
            return refuse("invalid_request", "PKCE with S256 is required");
        }
        Ok(Self {
            state: value("state").to_owned(),
            nonce: parameters.get("nonce").map(str::to_owned),
            wanted: Wanted::of(parameters),
            refreshes: profile.refreshes(parameters),
            challenge: value("code_challenge").to_owned(),
            expires: now + SIGN_IN_LIFETIME,
            redirect,
        })
    }
}

impl Flows {
    /// Sets how long ago the session of every person began.
    pub(super) fn age_sessions(&mut self, age: Duration) {
        self.session_age = age;
    }

    /// Keeps a request while its person fills in the form. Returns the request's name.
    pub(super) fn wait(&mut self, authorization: Authorization) -> String {
        let id = random_text();
        self.waiting.insert(id.clone(), authorization);
        id
    }

    /// Records that the person has signed in. Returns the URL that the browser goes to next, with
    /// the code, or none if the request is unknown or too old. `issuer` is RFC 9207's parameter.
    pub(super) fn approve(
        &mut self,
        id: &str,
        name: &'static str,
        issuer: &str,
        now: OffsetDateTime,
    ) -> Option<Url> {
        let authorization = self.waiting.remove(id).filter(|it| it.expires > now)?;
        let code = random_text();
        let mut url = authorization.redirect.clone();
        url.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &authorization.state)
            .append_pair("iss", issuer);
        self.codes.insert(code, (authorization, name));
        Some(url)
    }

    /// Trades a code, once. A wrong verifier or redirect spends it too (RFC 6749 4.1.3, RFC 7636
    /// 4.6).
    pub(super) fn redeem_code(
        &mut self,
        parameters: &Parameters,
        now: OffsetDateTime,
    ) -> Option<SignedIn> {
        let (authorization, name) = self.codes.remove(parameters.get("code")?)?;
        let verifier = parameters.get("code_verifier")?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let redirect = Url::parse(parameters.get("redirect_uri")?).ok()?;
        let good = authorization.expires > now
            && challenge == authorization.challenge
            && redirect == authorization.redirect;
        good.then(|| SignedIn {
            name,
            how: authorization.wanted.authenticate(now, self.session_age),
            nonce: authorization.nonce,
            redirect: parameters.get("redirect_uri").map(str::to_owned),
            refreshes: authorization.refreshes,
            is_renewed: false,
        })
    }

    /// Begins a device authorization. Returns its device code and its user code.
    pub(super) fn begin_device(
        &mut self,
        wanted: Wanted,
        refreshes: bool,
        now: OffsetDateTime,
    ) -> (String, String) {
        let (device_code, user_code) = (random_text(), user_code());
        let device = Device {
            wanted,
            refreshes,
            user_code: user_code.clone(),
            person: None,
            expires: now + SIGN_IN_LIFETIME,
        };
        self.devices.insert(device_code.clone(), device);
        (device_code, user_code)
    }

    /// Records that a person has typed the code and signed in. Returns false if no device waits for
    /// it.
    pub(super) fn approve_device(
        &mut self,
        user_code: &str,
        name: &'static str,
        now: OffsetDateTime,
    ) -> bool {
        let typed = user_code.trim().to_ascii_uppercase();
        let waiting = self
            .devices
            .values_mut()
            .find(|device| device.user_code == typed && device.expires > now);
        waiting.map(|device| device.person = Some(name)).is_some()
    }

    /// Answers a device that asks for its token. The error is RFC 8628's (3.5).
    pub(super) fn poll_device(
        &mut self,
        device_code: &str,
        now: OffsetDateTime,
    ) -> Result<SignedIn, &'static str> {
        let device = self.devices.get(device_code).ok_or("invalid_grant")?;
        if device.expires <= now {
            return Err("expired_token");
        }
        let name = device.person.ok_or("authorization_pending")?;
        let how = device.wanted.authenticate(now, self.session_age);
        let refreshes = device.refreshes;
        self.devices.remove(device_code);
        Ok(SignedIn {
            name,
            nonce: None,
            redirect: None,
            how,
            refreshes,
            is_renewed: false,
        })
    }
}

/// A redirect that stays on this machine, on any port (RFC 8252, 7.3).
fn loopback_redirect(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let is_web = matches!(url.scheme(), "http" | "https");
    (is_web && loopback && url.fragment().is_none()).then_some(url)
}

/// Eight letters without vowels (RFC 8628, 6.1): `BCDF-GHJK`.
fn user_code() -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let letters: String = random_text()
        .bytes()
        .take(8)
        .filter_map(|byte| LETTERS.get(usize::from(byte) % LETTERS.len()))
        .map(|letter| char::from(*letter))
        .collect();
    let (left, right) = letters.split_at(4);
    format!("{left}-{right}")
}
