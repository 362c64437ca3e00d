//! `[[emergency_identity]]`: registered keys for the time when the issuer is down. Pure.
//!
//! Such an identity is the person's own `(issuer, subject)` and label (the verified e-mail of their
//! tokens, otherwise the subject), so locks, and the rule that no person reviews an emergency of
//! their own, hold for both. It can use a role's `emergency` and nothing else. `require` does not
//! apply to it, because there was no sign-in.

use std::sync::Arc;

use serde_json::{Map, Value};
use ssh_key::PublicKey;
use toml::Spanned;

use super::{Error, file, text::Text};
use crate::{
    identity::emergency::{MAX_SIGNATURES, Registered, Registry},
    ssh,
};

/// Largest subject, issuer or label, in bytes.
const MAX_TEXT: usize = 256;

/// The issuer of a registered person, with its line.
#[derive(Clone, Debug)]
pub(super) struct NamedIssuer {
    pub(super) issuer: String,
    pub(super) line: usize,
}

/// The issuers in `[[emergency_identity]]` and `[[presence_identity]]` tables.
pub(super) fn issuers(text: Text<'_>, file: &file::File) -> Vec<NamedIssuer> {
    let named = |issuer: &Spanned<String>| NamedIssuer {
        issuer: issuer.get_ref().clone(),
        line: text.line(&issuer.span()),
    };
    let emergency = file.emergency_identities.iter().map(|raw| &raw.issuer);
    let presence = file.presence_identities.iter().map(|raw| &raw.issuer);
    emergency.chain(presence).map(named).collect()
}

/// Loads the `[[emergency_identity]]` tables.
pub(super) fn load(text: Text<'_>, file: &file::File) -> Result<Registry, Error> {
    let mut registry = Registry::default();
    for raw in &file.emergency_identities {
        let person = Arc::new(person(text, raw)?);
        if raw.keys.get_ref().is_empty() {
            return Err(text.error(
                raw.keys.span(),
                "`keys` is empty; write the person's public keys, as in a .pub file",
            ));
        }
        for line in raw.keys.get_ref() {
            let key = text.parse(line, |line| key(line))?;
            if !registry.add(&key, &person) {
                return Err(text.error(
                    line.span(),
                    "this key is already registered; register each key once, for one person",
                ));
            }
        }
    }
    Ok(registry)
}

fn person(text: Text<'_>, raw: &file::EmergencyIdentity) -> Result<Registered, Error> {
    let (issuer, subject) = named(text, &raw.issuer, &raw.subject)?;
    let mut claims: Map<String, Value> = raw.claims.clone();
    claims.insert("sub".to_owned(), Value::String(subject.clone()));
    Ok(Registered {
        issuer,
        label: field(text, &raw.label, "label")?,
        subject,
        claims,
    })
}

/// Reads issuer and subject of a person.
pub(super) fn named(
    text: Text<'_>,
    issuer: &Spanned<String>,
    subject: &Spanned<String>,
) -> Result<(String, String), Error> {
    Ok((
        field(text, issuer, "issuer")?,
        field(text, subject, "subject")?,
    ))
}

fn field(text: Text<'_>, value: &Spanned<String>, name: &str) -> Result<String, Error> {
    text.parse(value, |value| {
        let is_good =
            (1..=MAX_TEXT).contains(&value.len()) && !value.chars().any(char::is_control);
        is_good.then(|| value.clone()).ok_or_else(|| {
            format!("`{name}` is one line of 1 to {MAX_TEXT} bytes; write it as the person's ID token has it")
        })
    })
}

/// Reads a registered key by the CA's own rules, so that none is refused on the day it is needed.
fn key(line: &str) -> Result<PublicKey, String> {
    ssh::key::parse(line.trim())
        .map_err(|error| format!("invalid emergency key: {error}; write one line of a .pub file"))
}

/// Parses `keys` of a role's `emergency`: the number of registered people who must sign.
pub(super) fn quorum(count: i64) -> Result<u32, String> {
    match u32::try_from(count) {
        Ok(count) if count >= 1 && usize::try_from(count).is_ok_and(|it| it <= MAX_SIGNATURES) => {
            Ok(count)
        }
        _ => Err(format!(
            "`keys` is {count}; demand 1 to {MAX_SIGNATURES} people's registered keys"
        )),
    }
}
