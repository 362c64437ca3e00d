//! Failures of an identity provider, in words that say whose they are and what helps. Pure.

use std::error::Error as StdError;

use http::StatusCode;
use openidconnect::{
    DiscoveryError, ErrorResponse, RequestTokenError, StandardErrorResponse,
    core::CoreErrorResponseType,
};

use super::outside::quoted;
use crate::{
    client::{Error, server_info::Issuer},
    outbound::{CertificateFault, certificate_fault, proxy_between},
    reason,
};

/// Bytes of an issuer's answer at most; its documents are a few KiB.
pub(super) const LARGEST: usize = 1024 * 1024;

/// A request to the issuer failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    #[error("{0}")]
    Answer(#[from] http::Error),
    #[error("the answer is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("{url:?} {problem}")]
    Url { url: String, problem: &'static str },
}

/// The error for failed discovery.
pub(super) fn discovery(issuer: &Issuer, error: &DiscoveryError<Failed>) -> Error {
    match error {
        DiscoveryError::Request(failed) => transport(issuer, failed),
        DiscoveryError::Response(status, body, text) => answer(issuer, Some(*status), body, text),
        DiscoveryError::Validation(text) => Error::Untrusted(format!(
            "the identity provider {} calls itself otherwise: {}",
            named(issuer),
            quoted(text)
        )),
        error => down(
            issuer,
            &format!(
                "its discovery document is invalid: {}",
                quoted(&error.to_string())
            ),
        ),
    }
}

/// The error for a failed request to the token endpoint. `refusal` explains a refusal by the
/// protocol.
pub(super) fn request<T: ErrorResponse>(
    issuer: &Issuer,
    error: &RequestTokenError<Failed, T>,
    refusal: impl FnOnce(&T) -> Error,
) -> Error {
    match error {
        RequestTokenError::ServerResponse(response) => refusal(response),
        RequestTokenError::Request(failed) => transport(issuer, failed),
        RequestTokenError::Parse(error, body) => answer(issuer, None, body, &error.to_string()),
        RequestTokenError::Other(text) => answer(issuer, None, &[], text),
    }
}

/// The error for a refusal by the token endpoint (RFC 6749 section 5.2).
pub(super) fn refusal(
    issuer: &Issuer,
    response: &StandardErrorResponse<CoreErrorResponseType>,
) -> Error {
    if is_passing(response.error()) {
        return down(issuer, &said(response));
    }
    let advice = match response.error() {
        CoreErrorResponseType::InvalidGrant => {
            "the sign-in took too long or was used already, try again with: daypass login"
        }
        CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
            "the server's operators can compare client_id and client_secret_file of this issuer with what is \
             registered at the provider"
        }
        CoreErrorResponseType::InvalidScope
        | CoreErrorResponseType::InvalidRequest
        | CoreErrorResponseType::UnsupportedGrantType => {
            "the server's operators can compare `scopes` and the redirect URI with what is registered at the provider"
        }
        _ => "tell the server's operators",
    };
    Error::login_refused(format!(
        "the identity provider {} refused the sign-in: {}; {advice}",
        named(issuer),
        said(response),
    ))
}

/// The error for the refusal of a refresh token: the user must sign in again.
///
/// # Errors
/// Returns [`Error::Unreachable`] if the provider only cannot answer now.
pub(super) fn ended(
    issuer: &Issuer,
    response: &StandardErrorResponse<CoreErrorResponseType>,
) -> Result<Error, Error> {
    let said = said(response);
    if is_passing(response.error()) {
        return Err(down(issuer, &said));
    }
    let why = match response.error() {
        CoreErrorResponseType::InvalidClient
        | CoreErrorResponseType::UnauthorizedClient
        | CoreErrorResponseType::UnsupportedGrantType => "does not renew it for this client",
        CoreErrorResponseType::InvalidGrant
        | CoreErrorResponseType::InvalidRequest
        | CoreErrorResponseType::InvalidScope
        | CoreErrorResponseType::Extension(_) => "has ended it",
    };
    Ok(Error::sign_in(&format!(
        "your sign-in has expired, and the identity provider {} {why} ({said})",
        issuer.name
    )))
}

/// Whether the error passes (RFC 6749, section 4.1.2.1; some providers use its codes at the token
/// endpoint).
fn is_passing(error: &CoreErrorResponseType) -> bool {
    match error {
        CoreErrorResponseType::Extension(code) => {
            matches!(
                code.as_str(),
                "server_error" | "temporarily_unavailable" | "slow_down"
            )
        }
        CoreErrorResponseType::InvalidClient
        | CoreErrorResponseType::InvalidGrant
        | CoreErrorResponseType::InvalidRequest
        | CoreErrorResponseType::InvalidScope
        | CoreErrorResponseType::UnauthorizedClient
        | CoreErrorResponseType::UnsupportedGrantType => false,
    }
}

/// The code and the description of a refusal.
fn said(response: &StandardErrorResponse<CoreErrorResponseType>) -> String {
    let description = response.error_description();
    let description = description
        .map(|text| format!(": {}", quoted(text)))
        .unwrap_or_default();
    let code = response.error().to_string();
    let code = code.split(':').next().unwrap_or_default();
    format!("{}{description}", quoted(code).trim_matches('"'))
}

/// The error for a request that got no answer.
pub(super) fn transport(issuer: &Issuer, failed: &Failed) -> Error {
    match failed {
        Failed::Url { url, problem } => refused(issuer, url, problem),
        Failed::Request(error) => match proxy_between(&issuer.url) {
            Some(proxy) => down(issuer, &format!("{proxy}: {}", cause(error))),
            None => down(issuer, &cause(error)),
        },
        Failed::Answer(_) | Failed::TooLarge => down(issuer, &failed.to_string()),
    }
}

/// The error for a URL that may not be opened.
pub(super) fn refused(issuer: &Issuer, url: &str, problem: &str) -> Error {
    Error::Untrusted(format!(
        "its issuer {} names {url:?}, which {problem}; it was not opened: tell the operators of that issuer",
        issuer.url
    ))
}

fn answer(issuer: &Issuer, status: Option<StatusCode>, body: &[u8], text: &str) -> Error {
    let is_page = body.trim_ascii_start().starts_with(b"<") || text.contains("text/html");
    let status = status
        .map(|status| format!(" (HTTP {})", status.as_u16()))
        .unwrap_or_default();
    match is_page {
        true => down(
            issuer,
            &format!(
                "it answers with a web page{status}: it has a problem, or a proxy or sign-in page is in between"
            ),
        ),
        false => down(
            issuer,
            &format!("its answer is invalid{status}: {}", quoted(text)),
        ),
    }
}

fn down(issuer: &Issuer, cause: &str) -> Error {
    Error::Unreachable {
        reason: Some(reason::ISSUER_UNAVAILABLE.to_owned()),
        message: format!(
            "failed to reach the identity provider {}: {cause}",
            named(issuer)
        ),
    }
}

fn named(issuer: &Issuer) -> String {
    format!("{} ({})", issuer.name, issuer.url)
}

/// The cause: that of a refused certificate, or the innermost. The outer ones only say that a
/// request failed.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    if let Some(fault) = certificate_fault(error) {
        return refused_certificate(&fault);
    }
    let mut innermost: &(dyn StdError + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn refused_certificate(fault: &CertificateFault) -> String {
    match fault {
        CertificateFault::Issuer => {
            "its TLS certificate is not trusted; the CA of a private one belongs into `ca_file` of the issuer in the \
             server's configuration, or for this machine alone into the file of SSL_CERT_FILE"
                .to_owned()
        }
        CertificateFault::Name(fault) => {
            format!("its TLS certificate is for another name ({fault}): tell the provider's operators")
        }
        CertificateFault::Time(fault) => format!(
            "its TLS certificate {fault}: check this machine's clock (date), else tell the provider's operators"
        ),
        CertificateFault::Other(fault) => format!("its TLS certificate is refused ({fault})"),
        CertificateFault::NoTls => "its port does not speak TLS".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::{login::claims::issuer, server_info::Binding};

    fn response(
        error: &str,
        description: Option<&str>,
    ) -> StandardErrorResponse<CoreErrorResponseType> {
        let document = serde_json::json!({"error": error, "error_description": description});
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_refused_refresh_token_asks_for_a_sign_in_unless_the_refusal_passes() {
        let issuer = issuer(Binding::Nonce, false);
        for (error, code, says) in [
            ("invalid_grant", 4, "has ended it (invalid_grant: \"x y\")"),
            ("invalid_request", 4, "has ended it (invalid_request"),
            ("interaction_required", 4, "has ended it"),
            ("login_required", 4, "has ended it"),
            ("invalid_client", 4, "does not renew it for this client"),
            ("unauthorized_client", 4, "does not renew it"),
            ("unsupported_grant_type", 4, "does not renew it"),
            ("temporarily_unavailable", 6, "failed to reach"),
            ("server_error", 6, "failed to reach"),
        ] {
            let ended = ended(&issuer, &response(error, Some("x\ny")));
            let (Ok(refusal) | Err(refusal)) = ended;
            assert_eq!(refusal.exit_code(), code, "{error}");
            assert!(refusal.to_string().contains(says), "{error}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn any_refusal_is_one_bounded_line(error: String, description: Option<String>) {
            let issuer = issuer(Binding::Nonce, false);
            let response = response(&error, description.as_deref());
            let (Ok(ended) | Err(ended)) = ended(&issuer, &response);
            for text in [ended.to_string(), refusal(&issuer, &response).to_string()] {
                prop_assert!(!text.chars().any(char::is_control), "{text:?}");
                prop_assert!(text.len() < 9000, "{}", text.len());
            }
        }
    }
}
