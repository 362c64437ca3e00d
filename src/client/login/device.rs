//! The device flow (RFC 8628): a code to type into a browser anywhere. Its tokens carry no nonce, so they are not bound to
//! the key, and the server says whether it takes them.

use openidconnect::{
    DeviceCodeErrorResponseType, EmptyExtraDeviceAuthorizationFields, Nonce, RequestTokenError,
    TokenResponse, core::CoreDeviceAuthorizationResponse,
};
use zeroize::Zeroizing;

use super::{
    super::{Client, Error, trust::Issuer},
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
    let http = Http::new()?;
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
    tell(client, &details);
    let polling = oidc
        .exchange_device_access_token(&details)
        .map_err(|error| Error::Untrusted(error.to_string()))?
        .request_async(&http, tokio::time::sleep, Some(PATIENCE));
    let visiting = async {
        match (visit, details.verification_uri_complete()) {
            (Some(visit), Some(url)) => visit(url.secret().clone()).await,
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

fn tell(client: &Client, details: &CoreDeviceAuthorizationResponse) {
    client.say(&format!(
        "To sign in, open this page in a browser on any device:\n  {}\nand enter the code:\n  {}",
        details.verification_uri().as_str(),
        details.user_code().secret()
    ));
    if let Some(url) = details.verification_uri_complete() {
        client.say(&format!(
            "or open, with the code in it:\n  {}",
            url.secret()
        ));
    }
}

type Refusal = RequestTokenError<Failed, openidconnect::DeviceCodeErrorResponse>;

fn failed(issuer: &Issuer, error: &Refusal) -> Error {
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
