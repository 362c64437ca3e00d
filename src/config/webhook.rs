//! Turns `[[webhook]]` into [`notify::Settings`](crate::notify::Settings). Secrets are read here,
//! so that a file without a secret is refused with its line. No error holds a secret.

use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;
use zeroize::Zeroizing;

use super::{error::Problem, files, limits, names, raw, surroundings::Surroundings};
use crate::notify::{
    NotificationKind, Settings,
    settings::{DEFAULT_TIMEOUT, Endpoint, Format, MOST},
    signature::Secret,
};

pub(super) fn settings(
    webhooks: &[raw::Webhook],
    around: &Surroundings,
) -> Result<Vec<Settings>, Problem> {
    names::unique("webhook", "name", webhooks.iter().map(|raw| &raw.name))?;
    if let Some(raw) = webhooks.get(MOST) {
        let message = format!("there are more than {MOST} webhooks: let one pass on to others");
        return Err(Problem::new(raw.name.span(), message));
    }
    webhooks.iter().map(|raw| one(raw, around)).collect()
}

fn one(raw: &raw::Webhook, around: &Surroundings) -> Result<Settings, Problem> {
    Ok(Settings {
        name: name(&raw.name)?,
        endpoint: endpoint(raw, around)?,
        secrets: secrets(raw, around)?,
        events: events(raw)?.into_iter().collect(),
        format: raw.format,
        networks: raw.networks.iter().map(network).collect::<Result<_, _>>()?,
        timeout: timeout(raw)?,
        ca_certificates: raw
            .ca_file
            .as_ref()
            .map(|file| files::ca_certificates(file, around))
            .transpose()?,
    })
}

/// The name. It is a label in metrics and a word on the command line.
fn name(name: &Spanned<String>) -> Result<String, Problem> {
    let value = name.get_ref();
    let first = |first: char| first.is_ascii_alphanumeric();
    if names::is_plain(value) && value.starts_with(first) {
        return Ok(value.clone());
    }
    Err(Problem::new(
        name.span(),
        format!(
            "webhook name {value:?} is refused: use 1 to 64 letters, digits, '-', '_' or '.', a letter or digit first"
        ),
    ))
}

fn endpoint(raw: &raw::Webhook, around: &Surroundings) -> Result<Endpoint, Problem> {
    let parse = |at, text: &str| {
        Endpoint::parse(text).map_err(|problem| Problem::new(at, format!("webhook url {problem}")))
    };
    match (&raw.url, &raw.url_file, &raw.url_credential) {
        (Some(url), None, None) => parse(url.span(), url.get_ref()),
        (None, Some(file), None) => {
            let text = files::private_file(file, "url_file", around);
            let text = unread_as(URL, text, around)?;
            parse(file.span(), text.trim())
        }
        (None, None, Some(name)) => {
            let text = files::private_credential(name, "url_file", around);
            let text = unread_as(URL, text, around)?;
            parse(name.span(), text.trim())
        }
        _ => Err(Problem::new(
            raw.name.span(),
            format!(
                "webhook {:?} needs exactly one of url, url_file and url_credential",
                raw.name.get_ref()
            ),
        )),
    }
}

fn secrets(raw: &raw::Webhook, around: &Surroundings) -> Result<Vec<Secret>, Problem> {
    let (at, key, text) = match (&raw.secret_file, &raw.secret_credential) {
        (Some(_), Some(credential)) => {
            return Err(Problem::new(
                credential.span(),
                "secret_file and secret_credential are both set: keep one",
            ));
        }
        (Some(file), None) => {
            let text = files::private_file(file, "secret_file", around);
            let text = unread_as(SECRET, text, around)?;
            (file.span(), "secret_file", text)
        }
        (None, Some(name)) => {
            let text = files::private_credential(name, "secret_file", around);
            let text = unread_as(SECRET, text, around)?;
            (name.span(), "secret_credential", text)
        }
        (None, None) if raw.format == Format::Chat => return Ok(Vec::new()),
        (None, None) => {
            let message = format!(
                "webhook {:?} has no secret: add secret_file with a line made by `echo whsec_$(openssl rand -base64 32)`, \
                 or use format = \"chat\"",
                raw.name.get_ref()
            );
            return Err(Problem::new(raw.name.span(), message));
        }
    };
    Secret::parse_lines(&text).map_err(|problem| Problem::new(at, format!("{key} {problem}")))
}

fn events(raw: &raw::Webhook) -> Result<Vec<NotificationKind>, Problem> {
    match &raw.events {
        None => Ok(NotificationKind::ALL.to_vec()),
        Some(events) if events.get_ref().is_empty() => Err(Problem::new(
            events.span(),
            "events is empty: name what this webhook is told, or remove the key for all of it",
        )),
        Some(events) => Ok(events.get_ref().clone()),
    }
}

fn network(text: &Spanned<String>) -> Result<IpNet, Problem> {
    let value = text.get_ref();
    let refuse = |why: &str| {
        let message = format!("network {value:?} {why}");
        Err(Problem::new(text.span(), message))
    };
    match value.parse::<IpNet>() {
        Ok(network) if network.prefix_len() == 0 => {
            refuse("is every address: name those that the receiver may have")
        }
        Ok(network) if network.trunc() != network => {
            refuse(&format!("has host bits: write {}", network.trunc()))
        }
        Ok(network) => Ok(network),
        Err(_) => refuse("is invalid: write one such as \"10.1.2.3/32\""),
    }
}

fn timeout(raw: &raw::Webhook) -> Result<Duration, Problem> {
    limits::duration("timeout", &raw.timeout, DEFAULT_TIMEOUT, 1..=30)
}

/// Text in the place of an address that a reload cannot read, and does not use.
const URL: &str = "https://unread.invalid/";

/// Text in the place of a secret that a reload cannot read, and does not use.
const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The text, or `stand_in` for a file that a reload cannot read.
fn unread_as(
    stand_in: &str,
    text: Result<Zeroizing<String>, Problem>,
    around: &Surroundings,
) -> Result<Zeroizing<String>, Problem> {
    around.or_stand_in(text, || stand_in.to_owned().into())
}
