//! The provider's part of a renewal: what its token endpoint answers to a refresh token, and the
//! revocation of that token.
//!
//! Providers refuse in many ways. Dex and Zitadel call a refresh token that has ended an
//! `invalid_request`, Auth0 answers 403, and a provider may renew the access token alone. All of
//! them mean the same for the user: sign in again.

use openidconnect::{
    AsyncHttpClient, Nonce, RefreshToken, RequestTokenError, TokenResponse as _,
    core::CoreTokenResponse,
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    oidc::{self, Endpoints, Http, Oidc},
    provider,
};
use crate::client::{Error, server_info::Issuer};

/// A refresh token, as `refresh.json` keeps it. Not `Debug`: it is a secret.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) issuer: String,
    pub(super) token: String,
    /// The redirect URI of the sign-in. GitLab asks for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) redirect: Option<String>,
}

/// A provider whose discovery document is known.
pub(super) struct Provider<'a> {
    issuer: &'a Issuer,
    http: Http,
    oidc: Oidc,
}

/// Tokens that were not checked yet.
pub(super) struct Answer(CoreTokenResponse);

impl Answer {
    /// The next refresh token; none if the old one stays.
    pub(super) fn refresh_token(&self) -> Option<Zeroizing<String>> {
        oidc::refresh_token(&self.0)
    }
}

impl<'a> Provider<'a> {
    /// Fetches the discovery document.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if the provider does not answer.
    pub(super) async fn discover(issuer: &'a Issuer) -> Result<Self, Error> {
        let http = Http::new(issuer)?;
        let metadata = oidc::discover(&http, issuer).await?;
        let oidc = oidc::client(issuer, metadata);
        Ok(Self { issuer, http, oidc })
    }

    /// Uses the refresh token. The inner error is a refusal: the user must sign in again.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if the provider does not answer.
    pub(super) async fn renew(&self, kept: &Kept) -> Result<Result<Answer, Error>, Error> {
        let token = RefreshToken::new(kept.token.clone());
        let request = self.oidc.exchange_refresh_token(&token);
        let mut request = request.map_err(|error| Error::Untrusted(error.to_string()))?;
        if let Some(redirect) = &kept.redirect {
            request = request.add_extra_param("redirect_uri", redirect);
        }
        match request.request_async(&self.http).await {
            Ok(answer) => Ok(Ok(Answer(answer))),
            Err(RequestTokenError::ServerResponse(response)) => {
                provider::ended(self.issuer, &response).map(Err)
            }
            Err(error) => {
                let refusal = |it: &_| provider::refusal(self.issuer, it);
                Err(provider::request(self.issuer, &error, refusal))
            }
        }
    }

    /// The ID token of the answer. A renewed one usually has no nonce; the server judges it beside
    /// the original.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if there is none, and [`Error::Untrusted`] if it is invalid.
    pub(super) fn id_token(&self, answer: &Answer) -> Result<Zeroizing<String>, Error> {
        let Some(token) = answer.0.id_token() else {
            return Err(Error::sign_in(&format!(
                "your sign-in has expired, and the identity provider {} renews no ID token",
                self.issuer.name
            )));
        };
        let any = |_: Option<&Nonce>| Ok(());
        oidc::verified(self.issuer, self.oidc.id_token_verifier(), Some(token), any)
    }
}

/// Revokes a refresh token (RFC 7009), if the provider has an endpoint for that.
///
/// # Errors
/// Returns the error if the provider does not confirm it.
pub(super) async fn revoke(issuer: &Issuer, token: &str) -> Result<(), Error> {
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
