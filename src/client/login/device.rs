//! The device flow (RFC 8628): a code to type into a browser anywhere. Its tokens carry no nonce, so they are not bound to
//! the key, and the server says whether it takes them.

use openidconnect::{
    DeviceCodeErrorResponseType, EmptyExtraDeviceAuthorizationFields, Nonce, RequestTokenError,
    TokenResponse, core::CoreDeviceAuthorizationResponse,
};
use zeroize::Zeroizing;

use super::{
    super::{Client, Error, server_info::Issuer},
    PATIENCE, StepUp, Visit,
    browser::{refused, scopes},
    check_interactive_binding,
    oidc::{self, Failed, Http},
};

/// An ID token, unbound.
pub(super) async fn token(
    client: &Client,
    issuer: &Issuer,
    step_up: &StepUp,
    visit: Option<&Visit>,
) -> Result<Zeroizing<String>, Error> {
    check_interactive_binding(issuer)?;
    let http = Http::new(issuer)?;
    let metadata = oidc::discover(&http, issuer).await?;
    let endpoint = metadata
        .additional_metadata()
        .device_authorization_endpoint
        .clone();
    let endpoint = endpoint
        .ok_or_else(|| Error::Usage(format!("{} has no device flow; use --browser", issuer.url)))?;
    let oidc = oidc::client(issuer, metadata).set_device_authorization_url(endpoint);
    let mut request = oidc.exchange_device_code().add_scopes(scopes(issuer));
    for (name, value) in step_up.parameters() {
        request = request.add_extra_param(name, value);
    }
    let details: CoreDeviceAuthorizationResponse = request
        .request_async::<_, EmptyExtraDeviceAuthorizationFields>(&http)
        .await
        .map_err(|error| oidc::unreachable(issuer, &error))?;
    let pages = Pages::check(&http, issuer, &details)?;
    pages.tell(client);
    let polling = oidc
        .exchange_device_access_token(&details)
        .map_err(|error| Error::Untrusted(error.to_string()))?
        .request_async(&http, tokio::time::sleep, Some(PATIENCE));
    let visiting = async {
        match (visit, &pages.complete) {
            (Some(visit), Some(url)) => visit(url.clone()).await,
            (Some(_), None) => Err("the issuer gives no complete URL".to_owned()),
            (None, _) => Ok(()),
        }
    };
    let (visited, answer) = tokio::join!(visiting, polling);
    visited.map_err(refused)?;
    let answer = answer.map_err(|error| failed(issuer, &error))?;
    oidc::verified(
        oidc.id_token_verifier(),
        answer.id_token(),
        |_: Option<&Nonce>| Ok(()),
    )
}

/// What a person is shown: the page to open, and the code to enter there.
struct Pages {
    page: String,
    complete: Option<String>,
    code: String,
}

impl Pages {
    /// Takes pages that may be opened, and a code that can be typed.
    ///
    /// # Errors
    /// [`Error::Untrusted`] otherwise.
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
            client.say(&format!("or open, with the code in it:\n  {url}"));
        }
    }
}

/// Characters of a code at most. Issuers send eight or nine.
const LONGEST_CODE: usize = 64;

type DeviceError = RequestTokenError<Failed, openidconnect::DeviceCodeErrorResponse>;

fn failed(issuer: &Issuer, error: &DeviceError) -> Error {
    use openidconnect::core::CoreErrorResponseType;
    let RequestTokenError::ServerResponse(response) = error else {
        return oidc::unreachable(issuer, error);
    };
    match response.error() {
        DeviceCodeErrorResponseType::ExpiredToken => Error::TimedOut(
            "nobody entered the code in time; try again with: daypass login --device".to_owned(),
        ),
        DeviceCodeErrorResponseType::AccessDenied => {
            refused("the login was refused in the browser".to_owned())
        }
        DeviceCodeErrorResponseType::Basic(CoreErrorResponseType::UnauthorizedClient) => {
            refused("the issuer does not let this client use device codes".to_owned())
        }
        other => refused(format!("the issuer refused the login: {other}")),
    }
}
