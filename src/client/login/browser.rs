//! The authorization code flow with PKCE (RFC 7636, S256), through a browser here or elsewhere.
//!
//! The nonce is the commitment to the key, if the issuer binds by nonce.

use std::{collections::BTreeMap, future::pending};

use openidconnect::{
    AuthenticationFlow, AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, RedirectUrl,
    core::CoreResponseType,
};

use super::{
    callback::Callback,
    issuers::check_interactive,
    oidc::{self, Http, Tokens},
    paste, provider,
    redirect::Expected,
    request::{PATIENCE, Visit},
};
use crate::client::{
    Client, Error,
    server_info::{Binding, Issuer},
    step_up::StepUp,
};

/// How the browser comes back, and who opens it.
pub(super) enum Way<'a> {
    /// The visitor opens it, or the sign-in fails.
    Visitor(&'a Visit),
    /// The visitor opens it, or else the user, elsewhere.
    Desktop(&'a Visit),
    /// The user opens it elsewhere, and may paste the address where it ends.
    Elsewhere,
    /// The user wants to paste that address.
    Paste,
}

/// Gets an ID token whose nonce is `commitment`.
///
/// # Errors
/// Returns [`Error::Denied`] if the issuer or the user refuses, [`Error::TimedOut`] if the user
/// does not sign in in time, and [`Error::Unreachable`] or [`Error::Untrusted`] if the issuer does
/// not answer as one.
pub(super) async fn tokens(
    client: &Client,
    issuer: &Issuer,
    commitment: &str,
    step_up: &StepUp,
    way: Way<'_>,
) -> Result<Tokens, Error> {
    check_interactive(issuer)?;
    let http = Http::new(issuer)?;
    let metadata = oidc::discover(&http, issuer).await?;
    let callback = match way {
        Way::Visitor(_) | Way::Desktop(_) => Callback::open(issuer).await?,
        Way::Elsewhere | Way::Paste => Callback::open_or_paste(issuer).await?,
    };
    let redirect = RedirectUrl::new(callback.redirect_url())
        .map_err(|error| Error::other(error.to_string()))?;
    let scopes = oidc::scopes(issuer, &metadata);
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
        .add_scopes(scopes)
        .set_pkce_challenge(challenge);
    for (name, value) in parameters(issuer, step_up) {
        request = request.add_extra_param(name, value);
    }
    let (url, state, nonce) = request.url();
    let expected = Expected {
        url: callback.redirect_url(),
        state: state.secret().clone(),
        issuer: issuer.url.clone(),
    };
    let browsing = Browsing {
        client,
        url: http.page(issuer, url.as_str())?,
        expected: &expected,
    };
    let code = browsing.code(callback, way).await?;
    let answer = oidc
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| Error::Untrusted(error.to_string()))?
        .set_pkce_verifier(verifier)
        .request_async(&http)
        .await
        .map_err(|error| provider::request(issuer, &error, |it| provider::refusal(issuer, it)))?;
    let tokens = Tokens::of(issuer, oidc.id_token_verifier(), &answer, &nonce)?;
    Ok(Tokens {
        redirect: Some(expected.url),
        ..tokens
    })
}

/// The extra parameters of the authorization request. Those of this login replace the configured
/// ones: `prompt=login` for an administrator's `prompt=consent`.
fn parameters(issuer: &Issuer, step_up: &StepUp) -> BTreeMap<String, String> {
    let mut all = issuer.authorization_parameters.clone();
    let wanted = step_up.parameters().into_iter();
    all.extend(wanted.map(|(name, value)| (name.to_owned(), value)));
    all
}

/// A browser that is somewhere on its way.
struct Browsing<'a> {
    client: &'a Client,
    /// The page of the provider.
    url: String,
    expected: &'a Expected,
}

impl Browsing<'_> {
    /// The code that the browser brings, or that the user pastes.
    async fn code(&self, callback: Callback, way: Way<'_>) -> Result<String, Error> {
        let port = callback.port().to_owned();
        let other = self.other(&port, way);
        let code = async {
            tokio::select! {
                biased;
                code = callback.wait(self.expected) => code,
                code = other => code,
            }
        };
        let code = tokio::time::timeout(PATIENCE, code).await;
        code.map_err(|_| {
            Error::TimedOut(format!(
                "you did not sign in within {} minutes; try again with: daypass login",
                PATIENCE.as_secs() / 60
            ))
        })?
    }

    /// What happens beside the wait for the redirect: a browser is opened, or the user is told what
    /// to do and pastes.
    async fn other(&self, port: &str, way: Way<'_>) -> Result<String, Error> {
        match way {
            Way::Visitor(visit) => {
                self.tell_of_browser();
                visit(self.url.clone())
                    .await
                    .map_err(Error::login_refused)?;
                pending().await
            }
            Way::Desktop(visit) => {
                self.tell_of_browser();
                let Err(why) = visit(self.url.clone()).await else {
                    return pending().await;
                };
                self.client.say(&format!("daypass: {why}"));
                self.tell_of_paste(port, paste::is_possible());
                paste::code(self.client, self.expected, false).await
            }
            Way::Elsewhere => {
                self.tell_of_address();
                self.tell_of_paste(port, paste::is_possible());
                paste::code(self.client, self.expected, false).await
            }
            Way::Paste => {
                self.tell_of_address();
                self.tell_of_paste(port, true);
                paste::code(self.client, self.expected, true).await
            }
        }
    }

    fn tell_of_browser(&self) {
        self.client.say(&format!(
            "Sign in with your browser. If it does not open, go to:\n{}",
            self.url
        ));
    }

    fn tell_of_address(&self) {
        self.client.say(&format!(
            "To sign in, open this address in a browser on any machine:\n{}",
            self.url
        ));
    }

    /// The two ways back from a browser on another machine.
    fn tell_of_paste(&self, port: &str, is_possible: bool) {
        let begin = &self.expected.url;
        if is_possible {
            self.client.say(&format!(
                "\nIt ends at a page that does not load, {begin}?... Copy that address, paste it here, and press Enter."
            ));
        }
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        self.client.say(&format!(
            "{}on the machine with the browser, run this first:\n  ssh -L {port}:127.0.0.1:{port} {host}",
            if is_possible { "Or, " } else { "To let the browser come back here, " }
        ));
    }
}
