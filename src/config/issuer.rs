//! Turns `[[issuer]]` into [`Settings`].

use toml::Spanned;
use url::Url;

use super::{error::Problem, files::ca_certificates, names, raw, surroundings::Surroundings};
use crate::identity::{Binding, Settings, web_url};

/// The scopes of a person's sign-in if the file does not set them.
const DEFAULT_SCOPES: [&str; 2] = ["openid", "email"];

pub(super) fn settings(
    issuers: &[raw::Issuer],
    around: &Surroundings,
) -> Result<Vec<Settings>, Problem> {
    if issuers.is_empty() {
        return Err(Problem::new(
            0..0,
            "there is no [[issuer]]: add the OIDC provider whose people may sign in",
        ));
    }
    names::unique("issuer", "name", issuers.iter().map(|issuer| &issuer.name))?;
    names::unique("issuer", "url", issuers.iter().map(|issuer| &issuer.url))?;
    issuers.iter().map(|issuer| one(issuer, around)).collect()
}

fn one(raw: &raw::Issuer, around: &Surroundings) -> Result<Settings, Problem> {
    binding_fits(raw)?;
    Ok(Settings {
        name: name(&raw.name)?,
        url: url(&raw.url)?,
        client_id: client_id(&raw.client_id)?,
        audiences: audiences(raw)?,
        scopes: scopes(raw)?,
        algorithms: algorithms(raw)?,
        binding: *raw.binding.get_ref(),
        device_flow: raw.device_flow,
        interactive: raw.interactive,
        ca_certificates: raw
            .ca_file
            .as_ref()
            .map(|file| ca_certificates(file, around))
            .transpose()?,
    })
}

/// Checks that the binding fits the kind of caller: a person's sign-in carries the commitment in
/// the nonce, a machine's in the audience.
fn binding_fits(raw: &raw::Issuer) -> Result<(), Problem> {
    let message = match (raw.binding.get_ref(), raw.interactive) {
        (Binding::Audience, true) => {
            "binding = \"audience\" is for machines: set interactive = false, or use \"nonce\" for people"
        }
        (Binding::Nonce, false) => {
            "binding = \"nonce\" is for people who sign in: use \"audience\" for machines, or interactive = true"
        }
        _ if raw.device_flow && !raw.interactive => {
            "device_flow is a way for people to sign in: set interactive = true, or remove it"
        }
        _ => return Ok(()),
    };
    Err(Problem::new(raw.binding.span(), message))
}

fn name(name: &Spanned<String>) -> Result<String, Problem> {
    let value = name.get_ref();
    if names::is_plain(value) {
        return Ok(value.clone());
    }
    Err(Problem::new(
        name.span(),
        format!("issuer name {value:?} is refused: use 1 to 64 letters, digits, '-', '_' or '.'"),
    ))
}

/// The URL exactly as written, because tokens are compared with it.
fn url(url: &Spanned<String>) -> Result<String, Problem> {
    let value = url.get_ref();
    let refuse = |why: &str| Problem::new(url.span(), format!("issuer url {value:?} {why}"));
    let parsed = Url::parse(value)
        .map_err(|_| refuse("is not a URL: copy the provider's issuer exactly"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refuse("holds a user name: remove it"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(refuse("has a query or fragment: an issuer has neither"));
    }
    match parsed.scheme() {
        "https" => Ok(value.clone()),
        "http" if web_url::is_loopback(&parsed) => Ok(value.clone()),
        _ => Err(refuse(
            "is not https: only an issuer on loopback may use http",
        )),
    }
}

fn client_id(client_id: &Spanned<String>) -> Result<String, Problem> {
    if client_id.get_ref().is_empty() {
        return Err(Problem::new(
            client_id.span(),
            "client_id is empty: write the id that the provider gave this client",
        ));
    }
    Ok(client_id.get_ref().clone())
}

/// Refuses `#` in an audience: it opens the commitment in a bound audience.
fn audiences(raw: &raw::Issuer) -> Result<Vec<String>, Problem> {
    let Some(audiences) = &raw.audiences else {
        return Ok(vec![raw.client_id.get_ref().clone()]);
    };
    let values = audiences.get_ref();
    if values.is_empty() {
        return Err(Problem::new(
            audiences.span(),
            "audiences is empty: name at least one, or remove the key to use client_id",
        ));
    }
    if let Some(bad) = values
        .iter()
        .find(|value| value.is_empty() || value.contains('#'))
    {
        return Err(Problem::new(
            audiences.span(),
            format!("audience {bad:?} is refused: it may not be empty or hold '#'"),
        ));
    }
    Ok(values.clone())
}

fn scopes(raw: &raw::Issuer) -> Result<Vec<String>, Problem> {
    let Some(scopes) = &raw.scopes else {
        return Ok(DEFAULT_SCOPES.map(str::to_owned).to_vec());
    };
    let values = scopes.get_ref();
    if raw.interactive && !values.iter().any(|scope| scope == "openid") {
        return Err(Problem::new(
            scopes.span(),
            "scopes lack \"openid\": without it no provider gives an ID token",
        ));
    }
    Ok(values.clone())
}

fn algorithms(raw: &raw::Issuer) -> Result<Vec<crate::identity::issuer::Algorithm>, Problem> {
    let algorithms = raw.algorithms.get_ref();
    if algorithms.is_empty() {
        return Err(Problem::new(
            raw.algorithms.span(),
            "algorithms is empty: name those that the provider signs with, such as [\"ES256\"]",
        ));
    }
    Ok(algorithms.clone())
}
