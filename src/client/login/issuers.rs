//! Choice of the issuer for a login. Pure.

use super::{
    claims::Claims,
    outside::quoted,
    request::{Method, Request},
};
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

/// Chooses the issuer for a token that will be made elsewhere: the named one, or the only one, or
/// one that binds by audience if all of these take the same audience.
///
/// # Errors
/// Returns [`Error::Usage`] if there is none, or it is not clear which.
pub(super) fn choose_for_token<'a>(
    server_info: &'a ServerInfo,
    name: Option<&str>,
) -> Result<&'a Issuer, Error> {
    let fits = |issuer: &&Issuer| match name {
        Some(name) => issuer.name == name,
        None => issuer.binding == Binding::Audience || server_info.issuers.len() == 1,
    };
    let mut fitting = server_info.issuers.iter().filter(fits);
    let first = fitting.next();
    let first = first.filter(|first| fitting.all(|other| other.audience == first.audience));
    first.ok_or_else(|| {
        Error::Usage(format!(
            "choose with --issuer NAME from: {}",
            names(server_info)
        ))
    })
}

/// The issuer whose audience a command is asked for first: the named one, or the first that binds
/// by audience, or the first.
///
/// # Errors
/// Returns [`Error::Usage`] if there is none.
pub(super) fn first_for_token<'a>(
    server_info: &'a ServerInfo,
    name: Option<&str>,
) -> Result<&'a Issuer, Error> {
    let issuers = &server_info.issuers;
    let found = match name {
        Some(name) => issuers.iter().find(|issuer| issuer.name == name),
        None => {
            let mut all = issuers.iter();
            let bound = all.find(|issuer| issuer.binding == Binding::Audience);
            bound.or(issuers.first())
        }
    };
    found.ok_or_else(|| {
        Error::Usage(format!(
            "choose with --issuer NAME from: {}",
            names(server_info)
        ))
    })
}

/// The issuer of a token: the one with exactly its `iss`.
///
/// # Errors
/// Returns [`Error::Usage`] if the server does not list it, or the user named another one.
pub(super) fn of_token<'a>(
    server_info: &'a ServerInfo,
    claims: &Claims,
    name: Option<&str>,
) -> Result<&'a Issuer, Error> {
    let mut issuers = server_info.issuers.iter();
    let found = issuers.find(|issuer| issuer.url == claims.issuer);
    match (found, name) {
        (Some(issuer), None) => Ok(issuer),
        (Some(issuer), Some(name)) if issuer.name == name => Ok(issuer),
        (Some(issuer), Some(name)) => Err(Error::Usage(format!(
            "the token is from {}, not from {name}: leave --issuer out, or get another token",
            issuer.name
        ))),
        (None, _) => {
            let known = server_info.issuers.iter();
            let known = known.map(|issuer| format!("\n  {} ({})", issuer.name, issuer.url));
            Err(Error::Usage(format!(
                "the token is from {}, which is not an issuer of this server; its issuers are:{}",
                quoted(&claims.issuer),
                known.collect::<String>()
            )))
        }
    }
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

    fn server_info() -> ServerInfo {
        ServerInfo {
            host_ca_keys: Vec::new(),
            known_host_names: Vec::new(),
            host_revocations_version: 0,
            server_name: "ca".to_owned(),
            issuers: vec![issuer(Binding::Nonce, false)],
            ca_keys: Vec::new(),
            ledger_verifier_key: String::new(),
            ledger_handovers: Vec::new(),
            host_patterns: Vec::new(),
            behind_bastions: Vec::new(),
            bastions: Vec::new(),
            page_url: None,
        }
    }

    #[test]
    fn a_token_chooses_its_issuer_by_its_exact_iss() {
        let named = |name: &str, url: &str, binding| Issuer {
            name: name.to_owned(),
            url: url.to_owned(),
            ..issuer(binding, false)
        };
        let server_info = ServerInfo {
            issuers: vec![
                named("corp", "https://id", Binding::Nonce),
                named("gitlab", "https://gitlab.com", Binding::Audience),
                named(
                    "github",
                    "https://token.actions.githubusercontent.com",
                    Binding::Audience,
                ),
            ],
            ..server_info()
        };
        let by = |iss: &str, name: Option<&str>| {
            let claims = Claims::of_issuer(iss);
            let found = of_token(&server_info, &claims, name);
            found
                .map(|issuer| issuer.name.clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(by("https://gitlab.com", None).unwrap(), "gitlab");
        assert_eq!(
            by("https://token.actions.githubusercontent.com", None).unwrap(),
            "github"
        );
        assert_eq!(by("https://id", None).unwrap(), "corp");
        for near in [
            "https://gitlab.com/",
            "https://GITLAB.com",
            "http://gitlab.com",
            "evil",
        ] {
            let error = by(near, None).unwrap_err();
            assert!(error.contains("gitlab (https://gitlab.com)"), "{error}");
        }
        assert!(
            by("https://gitlab.com", Some("github"))
                .unwrap_err()
                .contains("from gitlab")
        );
        // Both take one audience, so a token for either can be prepared.
        assert!(choose_for_token(&server_info, None).is_ok());
    }

    #[test]
    fn device_codes_that_the_server_forbids_name_the_other_way() {
        let server_info = server_info();
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
