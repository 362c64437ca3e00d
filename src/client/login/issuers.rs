//! Choice of the issuer for a login. Pure.

use super::request::{Method, Request};
use crate::{
    client::{
        Error,
        server_info::{Binding, Issuer, ServerInfo},
    },
    identity::web_url,
};

/// Chooses the issuer that the request names, or the only one that supports its method.
///
/// # Errors
/// Returns [`Error::Usage`] if there is none, or more than one, or the named issuer does not
/// support the method.
pub(super) fn choose<'a>(
    server_info: &'a ServerInfo,
    request: &Request,
) -> Result<&'a Issuer, Error> {
    let supports = |issuer: &&Issuer| match &request.method {
        Method::Browser(_) | Method::Desktop(_) | Method::Either | Method::Paste => {
            issuer.interactive
        }
        Method::Device(_) => issuer.interactive && issuer.device_flow,
        Method::Token(_) => true,
    };
    let issuer = match &request.issuer {
        Some(name) => server_info
            .issuers
            .iter()
            .find(|issuer| issuer.name == *name),
        None => only(server_info.issuers.iter().filter(supports)),
    };
    let issuer = issuer.ok_or_else(|| no_issuer(server_info, request))?;
    if !supports(&issuer) {
        return Err(unsupported(issuer, &request.method));
    }
    if request.loopback_only && !is_loopback(issuer) {
        return Err(Error::Usage(format!(
            "--as works in a dev world only, and {} is not on this machine",
            issuer.url
        )));
    }
    Ok(issuer)
}

/// The other ways to sign in without a browser on this machine.
const NO_DEVICE: &str = "the server takes no sign-in by device codes (device_flow is off); instead, sign in with a \
    browser on any machine and paste the address where it ends: daypass login --paste";

fn unsupported(issuer: &Issuer, method: &Method) -> Error {
    match method {
        Method::Device(_) if issuer.interactive => Error::Usage(NO_DEVICE.to_owned()),
        Method::Device(_)
        | Method::Browser(_)
        | Method::Desktop(_)
        | Method::Either
        | Method::Paste
        | Method::Token(_) => Error::Usage(format!(
            "{} is for machines: use --token-file or --token-command",
            issuer.name
        )),
    }
}

/// Chooses the issuer for a token that is made elsewhere: the named one, or the only one that binds
/// by audience, or the only one.
///
/// # Errors
/// Returns [`Error::Usage`] if there is none, or more than one.
pub(super) fn choose_for_token<'a>(
    server_info: &'a ServerInfo,
    name: Option<&str>,
) -> Result<&'a Issuer, Error> {
    let fits = |issuer: &&Issuer| match name {
        Some(name) => issuer.name == name,
        None => issuer.binding == Binding::Audience || server_info.issuers.len() == 1,
    };
    only(server_info.issuers.iter().filter(fits)).ok_or_else(|| {
        Error::Usage(format!(
            "choose with --issuer NAME from: {}",
            names(server_info)
        ))
    })
}

/// Checks that users can sign in at `issuer` with a browser at all.
///
/// # Errors
/// Returns [`Error::Usage`] if its tokens are bound by audience, which only a machine's token can
/// be.
pub(super) fn check_interactive(issuer: &Issuer) -> Result<(), Error> {
    match issuer.binding {
        Binding::Nonce | Binding::None => Ok(()),
        Binding::Audience => Err(Error::Usage(format!(
            "{} is for machines: use --token-file or --token-command",
            issuer.name
        ))),
    }
}

/// Whether the issuer is on this machine: only then may its URL be plain http.
fn is_loopback(issuer: &Issuer) -> bool {
    web_url::check_endpoint(&issuer.url, true).is_ok_and(|url| url.scheme() == "http")
}

fn only<'a>(mut issuers: impl Iterator<Item = &'a Issuer>) -> Option<&'a Issuer> {
    issuers.next().filter(|_| issuers.next().is_none())
}

fn no_issuer(server_info: &ServerInfo, request: &Request) -> Error {
    let problem = match (&request.issuer, &request.method) {
        (Some(name), _) => format!("the server has no issuer {name:?}"),
        (None, Method::Device(_)) if !server_info.issuers.iter().any(|it| it.device_flow) => {
            return Error::Usage(NO_DEVICE.to_owned());
        }
        (None, _) => "it is not clear which issuer is meant".to_owned(),
    };
    Error::Usage(format!(
        "{problem}; choose with --issuer NAME from: {}",
        names(server_info)
    ))
}

fn names(server_info: &ServerInfo) -> String {
    let names: Vec<&str> = server_info
        .issuers
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    names.join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::login::claims::issuer;

    #[test]
    fn device_codes_that_the_server_forbids_name_the_other_way() {
        let server_info = ServerInfo {
            server_name: "ca".to_owned(),
            issuers: vec![issuer(Binding::Nonce, false)],
            ca_keys: Vec::new(),
            ledger_verifier_key: String::new(),
            host_patterns: Vec::new(),
            behind_bastions: Vec::new(),
        };
        for name in [None, Some("corp".to_owned())] {
            let request = Request {
                method: Method::Device(None),
                key: None,
                issuer: name,
                into_agent: false,
                loopback_only: false,
                step_up: Default::default(),
            };
            let error = choose(&server_info, &request).unwrap_err().to_string();
            assert!(error.contains("daypass login --paste"), "{error}");
        }
    }
}
