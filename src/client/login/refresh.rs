//! Renewal of the ID token by a refresh token (OpenID Connect Core section 12), so that a working
//! day needs one sign-in.
//!
//! The original ID token stays: its nonce binds the key, and its age bounds the session. Refresh
//! tokens may rotate, so one command at a time uses them, and the new one is written before
//! anything else. They are kept in a 0600 file, never shown, and revoked by `logout`.

use std::time::Duration;

use openidconnect::{
    AsyncHttpClient, Nonce, RefreshToken, RequestTokenError, core::CoreErrorResponseType,
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    claims::Claims,
    oidc::{self, Endpoints, Http, Tokens},
    provider,
};
use crate::client::{
    Client, Error,
    clock::now,
    server_info::{Issuer, ServerInfo},
    session::{Login, Session},
    state::{Lock, State},
};

const FILE: &str = "refresh.json";

/// The lock on the login and its refresh token. Commands that also lock the state folder take this
/// one second.
const LOCK: &str = "refresh.lock";

/// Seconds before its end at which a token is renewed, so that it does not end on its way.
const MARGIN: u64 = 30;

/// Time for the revocation of a token at `logout`.
const PATIENCE: Duration = Duration::from_secs(5);

/// A refresh token, as `refresh.json` keeps it. Not `Debug`: it is a secret.
#[derive(Serialize, Deserialize)]
struct Kept {
    issuer: String,
    token: String,
}

/// Waits until no other command changes the login.
///
/// # Errors
/// Returns [`Error::File`] if the lock file cannot be made.
pub(super) async fn lock(state: &State) -> Result<Lock, Error> {
    state.lock_on(LOCK).await
}

/// Keeps the refresh token of a new login, or removes an older one.
///
/// # Errors
/// Returns [`Error::File`] if the file cannot be written.
pub(super) fn keep(state: &State, issuer: &str, token: Option<&str>) -> Result<(), Error> {
    let Some(token) = token else {
        return state.remove(FILE);
    };
    let kept = Kept {
        issuer: issuer.to_owned(),
        token: token.to_owned(),
    };
    let text = serde_json::to_vec(&kept).map(Zeroizing::new);
    let text = text.map_err(|error| Error::other(error.to_string()))?;
    state.write(FILE, &text)
}

/// The refresh token of logins at `issuer`.
fn kept(state: &State, issuer: &str) -> Result<Option<Zeroizing<String>>, Error> {
    let text = state.read(FILE)?.map(Zeroizing::new);
    let kept: Option<Kept> = text.and_then(|text| serde_json::from_str(&text).ok());
    let kept = kept.filter(|kept| kept.issuer == issuer);
    Ok(kept.map(|kept| Zeroizing::new(kept.token)))
}

impl Client {
    /// The login, renewed if its token has expired, or is about to, and the provider gave a refresh
    /// token.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if the user must sign in, and [`Error::Unreachable`] if the
    /// provider is down.
    pub(crate) async fn current_login(&self) -> Result<Login, Error> {
        if self.is_fresh()? || !self.is_renewable()? {
            return self.login();
        }
        let _lock = lock(&self.state).await?;
        // Another command may have renewed it while this one waited.
        if self.is_fresh()? || !self.is_renewable()? {
            return self.login();
        }
        match (self.renew().await, self.login()) {
            (Ok(login), _) | (Err(_), Ok(login)) => Ok(login),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Whether the user is signed in: the token has not expired, or can be renewed. No network.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.login().is_ok() || self.is_renewable().unwrap_or(false)
    }

    fn is_fresh(&self) -> Result<bool, Error> {
        match self.login() {
            Ok(login) => Ok(login.expires > now().saturating_add(MARGIN)),
            Err(Error::SignIn { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_renewable(&self) -> Result<bool, Error> {
        let Some(login) = self.renewable_login()? else {
            return Ok(false);
        };
        Ok(kept(&self.state, &login.issuer)?.is_some())
    }

    /// The login for this server whose session is not over.
    fn renewable_login(&self) -> Result<Option<Login>, Error> {
        let Some(login) = Session::load(&self.state)?.login else {
            return Ok(None);
        };
        let address = self.address()?;
        let is_open = login.ends.is_some_and(|end| end > now());
        Ok(Some(login).filter(|login| login.server == address.as_str() && is_open))
    }

    /// Gets a new ID token. The caller has the lock.
    async fn renew(&self) -> Result<Login, Error> {
        let over = || Error::sign_in("your sign-in has expired");
        let login = self.renewable_login()?.ok_or_else(over)?;
        let token = kept(&self.state, &login.issuer)?.ok_or_else(over)?;
        let issuer = self.issuer_of(&login).await?;
        if !issuer.refresh {
            return Err(over());
        }
        let tokens = match refreshed(&issuer, &token).await? {
            Some(tokens) => tokens,
            None => {
                keep(&self.state, &issuer.url, None)?;
                return Err(Error::sign_in("the provider has ended your sign-in"));
            }
        };
        let rotated = tokens.refresh.as_ref().unwrap_or(&token);
        keep(&self.state, &issuer.url, Some(rotated))?;
        let claims = Claims::read(&tokens.id)?;
        if (&claims.issuer, &claims.subject) != (&login.issuer, &login.subject) {
            return Err(Error::Untrusted(format!(
                "its issuer {} renewed the sign-in of another person",
                issuer.name
            )));
        }
        let renewed = Login {
            original: Some(login.original.unwrap_or(login.token)),
            token: tokens.id.to_string(),
            expires: claims.expires,
            ..login
        };
        let session = Session::load(&self.state)?;
        let session = Session {
            login: Some(renewed.clone()),
            ..session
        };
        session.save(&self.state)?;
        Ok(renewed)
    }

    /// The settings of the login's issuer: those that are remembered, else the server's.
    async fn issuer_of(&self, login: &Login) -> Result<Issuer, Error> {
        let known = ServerInfo::cached(&self.state, &self.address()?)?;
        let server_info = match known {
            Some(known) => known,
            None => self.connect().await?.1,
        };
        let mut issuers = server_info.issuers.into_iter();
        let issuer = issuers.find(|issuer| issuer.url == login.issuer);
        issuer.ok_or_else(|| Error::sign_in("the server no longer knows your identity provider"))
    }

    /// Revokes the refresh token at its provider (RFC 7009), if there are both, and removes it.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be removed. A provider that does not answer is
    /// only said.
    pub(super) async fn forget_refresh_token(&self, login: Option<&Login>) -> Result<(), Error> {
        let token = match login {
            Some(login) => kept(&self.state, &login.issuer)?,
            None => None,
        };
        self.state.remove(FILE)?;
        let (Some(token), Some(login)) = (token, login) else {
            return Ok(());
        };
        let revoked = async {
            let issuer = self.issuer_of(login).await?;
            revoke(&issuer, &token).await
        };
        match tokio::time::timeout(PATIENCE, revoked).await {
            Ok(Ok(())) => (),
            Ok(Err(_)) | Err(_) => self.say(
                "note: the refresh token is gone from this machine, but the provider did not confirm that it is revoked",
            ),
        }
        Ok(())
    }
}

/// New tokens; none if the provider no longer accepts the refresh token.
async fn refreshed(issuer: &Issuer, token: &str) -> Result<Option<Tokens>, Error> {
    let http = Http::new(issuer)?;
    let metadata = oidc::discover(&http, issuer).await?;
    let oidc = oidc::client(issuer, metadata);
    let token = RefreshToken::new(token.to_owned());
    let request = oidc.exchange_refresh_token(&token);
    let request = request.map_err(|error| Error::Untrusted(error.to_string()))?;
    let answer = match request.request_async(&http).await {
        Ok(answer) => answer,
        Err(RequestTokenError::ServerResponse(response))
            if *response.error() == CoreErrorResponseType::InvalidGrant =>
        {
            return Ok(None);
        }
        Err(error) => {
            let refusal = |it: &_| provider::refusal(issuer, it);
            return Err(provider::request(issuer, &error, refusal));
        }
    };
    // A renewed token usually has no nonce. The server judges it beside the original.
    let any = |_: Option<&Nonce>| Ok(());
    Tokens::of(issuer, oidc.id_token_verifier(), &answer, any).map(Some)
}

async fn revoke(issuer: &Issuer, token: &str) -> Result<(), Error> {
    let http = Http::new(issuer)?;
    let metadata = oidc::discover(&http, issuer).await?;
    let Endpoints {
        revocation_endpoint,
        ..
    } = metadata.additional_metadata();
    let Some(url) = revocation_endpoint else {
        return Ok(());
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token)
        .append_pair("token_type_hint", "refresh_token")
        .append_pair("client_id", &issuer.client_id);
    if let Some(secret) = &issuer.client_secret {
        form.append_pair("client_secret", secret);
    }
    let request = http::Request::post(url.as_str())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish().into_bytes())
        .map_err(|error| Error::other(error.to_string()))?;
    let answer = http.call(request).await;
    let answer = answer.map_err(|failed| provider::transport(issuer, &failed))?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(Error::other("the provider refused the revocation")),
    }
}
