//! Turns `[[issuer]]` into [`Settings`]. `identity` checks the values; the file's line is added
//! here.

use std::ops::Range;

use toml::Spanned;

use super::{error::Problem, files::ca_certificates, raw, surroundings::Surroundings};
use crate::identity::{Settings, SettingsError, check_settings};

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
    let settings = issuers.iter().map(|issuer| one(issuer, around));
    let settings = settings.collect::<Result<Vec<_>, _>>()?;
    match check_settings(&settings) {
        Ok(()) => Ok(settings),
        Err(error) => Err(located(issuers, error)),
    }
}

fn one(raw: &raw::Issuer, around: &Surroundings) -> Result<Settings, Problem> {
    let client_id = raw.client_id.get_ref();
    let audiences = raw.audiences.as_ref().map(Spanned::get_ref);
    let scopes = raw.scopes.as_ref().map(Spanned::get_ref);
    let ca_file = raw.ca_file.as_ref();
    let ca_certificates = ca_file.map(|file| ca_certificates(file, around));
    Ok(Settings {
        name: raw.name.get_ref().clone(),
        url: raw.url.get_ref().clone(),
        client_id: client_id.clone(),
        audiences: audiences.map_or_else(|| vec![client_id.clone()], Vec::clone),
        scopes: scopes.map_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec(), Vec::clone),
        algorithms: raw.algorithms.get_ref().clone(),
        binding: *raw.binding.get_ref(),
        device_flow: raw.device_flow,
        interactive: raw.interactive,
        ca_certificates: ca_certificates.transpose()?,
    })
}

/// The fault with its place in the file.
fn located(issuers: &[raw::Issuer], error: SettingsError) -> Problem {
    match error {
        SettingsError::Invalid {
            index,
            key,
            problem,
            ..
        } => {
            let at = issuers.get(index).map(|issuer| span(issuer, key));
            Problem::new(at.unwrap_or_default(), problem)
        }
        SettingsError::Certificates { .. } => Problem::new(0..0, error.to_string()),
    }
}

/// The place of an issuer's key in the file. The name's place if the file does not have the key.
fn span(raw: &raw::Issuer, key: &str) -> Range<usize> {
    let span = match key {
        "url" => Some(raw.url.span()),
        "client_id" => Some(raw.client_id.span()),
        "audiences" => raw.audiences.as_ref().map(Spanned::span),
        "scopes" => raw.scopes.as_ref().map(Spanned::span),
        "algorithms" => Some(raw.algorithms.span()),
        "binding" => Some(raw.binding.span()),
        _ => None,
    };
    span.unwrap_or_else(|| raw.name.span())
}
