//! The device flow (RFC 8628): a code to enter in a browser on any device.
//!
//! Its tokens carry no nonce, so they are not bound to the key. The server decides whether it
//! accepts them.

use openidconnect::{
    DeviceCodeErrorResponseType, EmptyExtraDeviceAuthorizationFields, Nonce, RequestTokenError,
    core::{CoreDeviceAuthorizationResponse, CoreErrorResponseType},
};

use super::{
    issuers::check_interactive,
    oidc::{self, Http, Tokens},
    outside::quoted,
    provider::{self, Failed},
    request::{PATIENCE, Visit},
};
use crate::client::{Client, Error, server_info::Issuer, step_up::StepUp};

/// Gets an ID token that is not bound to a key.
///
/// # Errors
/// As for the browser flow; also [`Error::Usage`] if the issuer has no device flow.
pub(super) async fn tokens(
    client: &Client,
    issuer: &Issuer,
    step_up: &StepUp,
    visit: Option<&Visit>,
) -> Result<Tokens, Error> {
    check_interactive(issuer)?;
    let http = Http::new(issuer)?;
    let metadata = oidc::discover(&http, issuer).await?;
    let endpoint = metadata
        .additional_metadata()
        .device_authorization_endpoint
        .clone();
    let endpoint = endpoint.ok_or_else(|| {
        let name = &issuer.name;
        Error::Usage(format!(
            "the provider {name} has no device codes; use --browser or --paste"
        ))
    })?;
    let scopes = oidc::scopes(issuer, &metadata);
    let oidc = oidc::client(issuer, metadata).set_device_authorization_url(endpoint);
    let mut request = oidc.exchange_device_code().add_scopes(scopes);
    for (name, value) in step_up.parameters() {
        request = request.add_extra_param(name, value);
    }
    let details: CoreDeviceAuthorizationResponse = request
        .request_async::<_, EmptyExtraDeviceAuthorizationFields>(&http)
        .await
        .map_err(|error| provider::request(issuer, &error, |it| provider::refusal(issuer, it)))?;
    let pages = Pages::check(&http, issuer, &details)?;
    pages.tell(client);
    let polling = oidc
        .exchange_device_access_token(&details)
        .map_err(|error| Error::Untrusted(error.to_string()))?
        .request_async(&http, tokio::time::sleep, Some(PATIENCE));
    let visiting = async {
        match (visit, &pages.complete) {
            (Some(visit), Some(url)) => visit(url.clone()).await,
            (Some(_), None) => Err("the issuer sends no URL that contains the code".to_owned()),
            (None, _) => Ok(()),
        }
    };
    let (visited, answer) = tokio::join!(visiting, polling);
    visited.map_err(Error::login_refused)?;
    let answer = answer.map_err(|error| failed(issuer, &error))?;
    Tokens::of(
        issuer,
        oidc.id_token_verifier(),
        &answer,
        |_: Option<&Nonce>| Ok(()),
    )
}

/// Text for the user: the page to open, and the code to enter there.
struct Pages {
    page: String,
    /// The page with the code already in its URL.
    complete: Option<String>,
    code: String,
}

impl Pages {
    /// Checks that the pages may be opened and the code can be typed.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if not.
    fn check(
        http: &Http,
        issuer: &Issuer,
        details: &CoreDeviceAuthorizationResponse,
    ) -> Result<Self, Error> {
        let complete = details.verification_uri_complete();
        let code = details.user_code().secret();
        let can_be_typed = |c: char| c == ' ' || c.is_ascii_graphic();
        if !(1..=LONGEST_CODE).contains(&code.len()) || !code.chars().all(can_be_typed) {
            return Err(Error::Untrusted(format!(
                "its issuer {} sent a device code that cannot be typed",
                issuer.url
            )));
        }
        Ok(Self {
            page: http.page(issuer, details.verification_uri().as_str())?,
            complete: complete
                .map(|url| http.page(issuer, url.secret()))
                .transpose()?,
            code: code.clone(),
        })
    }

    fn tell(&self, client: &Client) {
        client.say(&format!(
            "To sign in, open this page in a browser on any device:\n  {}\nand enter the code:\n  {}",
            self.page, self.code
        ));
        if let Some(url) = &self.complete {
            client.say(&format!(
                "or open this page, which has the code already:\n  {url}"
            ));
        }
    }
}

/// Characters of a user code at most; issuers send eight or nine.
const LONGEST_CODE: usize = 64;

type DeviceError = RequestTokenError<Failed, openidconnect::DeviceCodeErrorResponse>;

fn failed(issuer: &Issuer, error: &DeviceError) -> Error {
    provider::request(issuer, error, |response| refusal(issuer, response))
}

fn refusal(issuer: &Issuer, response: &openidconnect::DeviceCodeErrorResponse) -> Error {
    match response.error() {
        DeviceCodeErrorResponseType::ExpiredToken => Error::TimedOut(
            "the code was not entered in time; try again with: daypass login --device".to_owned(),
        ),
        DeviceCodeErrorResponseType::AccessDenied => {
            Error::login_refused("the login was refused in the browser")
        }
        DeviceCodeErrorResponseType::Basic(CoreErrorResponseType::UnauthorizedClient) => {
            Error::login_refused(
                "the provider does not allow this client to use device codes; use --browser or --paste",
            )
        }
        other => {
            let description = response.error_description();
            let description = description.map(|text| format!(": {}", quoted(text)));
            Error::login_refused(format!(
                "the identity provider {} refused the sign-in: {other}{}",
                issuer.name,
                description.unwrap_or_default()
            ))
        }
    }
}
