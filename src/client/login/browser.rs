//! The authorization code flow with PKCE (RFC 7636, S256), through a browser on this machine.
//!
//! The nonce is the commitment to the key, if the issuer binds by nonce.

use openidconnect::{
    AuthenticationFlow, AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, RedirectUrl,
    TokenResponse, core::CoreResponseType,
};
use zeroize::Zeroizing;

use super::{
    callback::Callback,
    issuers::check_interactive,
    oidc::{self, Http},
    request::{PATIENCE, Visit},
};
use crate::client::{
    Client, Error,
    server_info::{Binding, Issuer},
    step_up::StepUp,
};

/// Gets an ID token whose nonce is `commitment`.
///
/// # Errors
/// Returns [`Error::Denied`] if the issuer or the user refuses, [`Error::TimedOut`] if the user
/// does not sign in in time, and [`Error::Unreachable`] or [`Error::Untrusted`] if the issuer does
/// not answer as one.
pub(super) async fn token(
    client: &Client,
    issuer: &Issuer,
    commitment: &str,
    step_up: &StepUp,
    visit: &Visit,
) -> Result<Zeroizing<String>, Error> {
    check_interactive(issuer)?;
    let http = Http::new(issuer)?;
    let metadata = oidc::discover(&http, issuer).await?;
    let callback = Callback::open().await?;
    let redirect = RedirectUrl::new(callback.redirect_url())
        .map_err(|error| Error::other(error.to_string()))?;
    let oidc = oidc::client(issuer, metadata).set_redirect_uri(redirect);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let nonce = match issuer.binding {
        Binding::Nonce => Nonce::new(commitment.to_owned()),
        Binding::Audience | Binding::None => Nonce::new_random(),
    };
    let mut request = oidc
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            || nonce,
        )
        .add_scopes(oidc::scopes(issuer))
        .set_pkce_challenge(challenge);
    for (name, value) in step_up.parameters() {
        request = request.add_extra_param(name, value);
    }
    let (url, state, nonce) = request.url();
    let url = http.page(issuer, url.as_str())?;
    client.say(&format!(
        "Sign in with your browser. If it does not open, go to:\n{url}"
    ));
    let code = code(callback, state.secret(), &issuer.url, visit(url)).await?;
    let answer = oidc
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| Error::Untrusted(error.to_string()))?
        .set_pkce_verifier(verifier)
        .request_async(&http)
        .await
        .map_err(|error| oidc::unreachable(issuer, &error))?;
    oidc::verified(oidc.id_token_verifier(), answer.id_token(), &nonce)
}

/// Waits for the redirect while `visit` opens the browser. `visit` decides what is an error: a
/// browser that cannot be opened is none, because the user can still open the URL by hand.
async fn code(
    callback: Callback,
    state: &str,
    issuer: &str,
    visit: impl Future<Output = Result<(), String>>,
) -> Result<String, Error> {
    let hit = tokio::time::timeout(PATIENCE, callback.wait(state, issuer));
    tokio::pin!(hit);
    tokio::select! {
        biased;
        hit = &mut hit => return timely(hit),
        visited = visit => visited.map_err(Error::login_refused)?,
    }
    timely(hit.await)
}

fn timely(
    hit: Result<Result<String, Error>, tokio::time::error::Elapsed>,
) -> Result<String, Error> {
    hit.map_err(|_| {
        Error::TimedOut(format!(
            "you did not sign in within {} minutes; try again with: daypass login",
            PATIENCE.as_secs() / 60
        ))
    })?
}
