//! `[[ca.key]]` and `[[hosts.key]]`: the keys that sign certificates. Pure.

use std::{collections::HashSet, ops::Range, path::PathBuf};

use toml::Spanned;

use super::{
    error::Problem,
    files::{credential, path},
    raw,
    settings::{CaKey, Keeper},
    signer_address,
    surroundings::Surroundings,
};
use crate::ca::KeyState;

pub(super) fn ca_keys(ca: &Spanned<raw::Ca>, around: &Surroundings) -> Result<Vec<CaKey>, Problem> {
    let raw_keys = &ca.get_ref().key;
    if raw_keys.is_empty() {
        return Err(Problem::new(
            ca.span(),
            "there is no CA key: add a [[ca.key]] with file and state = \"active\"",
        ));
    }
    key_list(raw_keys, around)
}

/// The keys of one CA: none is there twice, and exactly one is active.
pub(super) fn key_list(
    raw_keys: &[raw::CaKey],
    around: &Surroundings,
) -> Result<Vec<CaKey>, Problem> {
    let mut files = HashSet::new();
    let mut keys = Vec::with_capacity(raw_keys.len());
    for raw in raw_keys {
        let key = ca_key(raw, around)?;
        if !files.insert(key.file.clone()) {
            let message = format!("CA key {} is listed twice: remove one", key.file.display());
            return Err(Problem::new(raw.file.span(), message));
        }
        keys.push(key);
    }
    one_is_active(raw_keys)?;
    Ok(keys)
}

fn one_is_active(keys: &[raw::CaKey]) -> Result<(), Problem> {
    let mut active = keys
        .iter()
        .filter(|key| *key.state.get_ref() == KeyState::Active);
    match (active.next(), active.next(), keys.first()) {
        (Some(_), Some(second), _) => Err(Problem::new(
            second.state.span(),
            "a second CA key is active: exactly one signs new passes, make the others \"staged\" or \"retired\"",
        )),
        (None, _, Some(first)) => Err(Problem::new(
            first.state.span(),
            "no CA key is active: exactly one signs new passes, make one state = \"active\"",
        )),
        _ => Ok(()),
    }
}

pub(super) fn ca_key(raw: &raw::CaKey, around: &Surroundings) -> Result<CaKey, Problem> {
    let passphrase = secret(
        ("passphrase_file", &raw.passphrase_file),
        ("passphrase_credential", &raw.passphrase_credential),
        around,
    )?;
    let keeper = keeper(raw, around)?;
    if let Some((_, span)) = passphrase.as_ref().filter(|_| keeper.is_some()) {
        return Err(Problem::new(
            span.clone(),
            "with agent, pkcs11 or signer, file is a public key, which takes no passphrase: remove it",
        ));
    }
    Ok(CaKey {
        file: path(&raw.file, around)?,
        keeper,
        passphrase: passphrase.map(|(file, _)| file),
        state: *raw.state.get_ref(),
    })
}

/// The program that keeps the private half.
fn keeper(raw: &raw::CaKey, around: &Surroundings) -> Result<Option<Keeper>, Problem> {
    let pin = secret(
        ("pin_file", &raw.pin_file),
        ("pin_credential", &raw.pin_credential),
        around,
    )?;
    one_keeper(raw)?;
    let token = raw.token.as_ref();
    let Some(module) = &raw.pkcs11 else {
        let span = token.map(Spanned::span);
        if let Some(span) = span.or(pin.map(|(_, span)| span)) {
            let message = "token and PIN are for pkcs11: add pkcs11 = MODULE, or remove them";
            return Err(Problem::new(span, message));
        }
        let agent = raw.agent.as_ref().map(|socket| path(socket, around));
        let agent = agent.transpose()?.map(|socket| Keeper::Agent { socket });
        let signer = signer_address::address(raw, around)?.map(Keeper::Signer);
        return Ok(agent.or(signer));
    };
    let Some(token) = token.filter(|token| !token.get_ref().is_empty()) else {
        let message = "pkcs11 has no token: add token = LABEL, so that no other token gets the PIN";
        return Err(Problem::new(module.span(), message));
    };
    Ok(Some(Keeper::Pkcs11 {
        module: path(module, around)?,
        token: token.get_ref().clone(),
        pin: pin.map(|(file, _)| file),
    }))
}

fn one_keeper(raw: &raw::CaKey) -> Result<(), Problem> {
    let keepers = [
        ("agent", raw.agent.as_ref().map(Spanned::span)),
        ("pkcs11", raw.pkcs11.as_ref().map(Spanned::span)),
        ("signer", raw.signer.as_ref().map(Spanned::span)),
    ];
    let mut set = keepers
        .into_iter()
        .filter_map(|(name, span)| Some((name, span?)));
    match (set.next(), set.next()) {
        (Some((one, at)), Some((other, _))) => {
            let message = format!("{one} and {other} are both set: keep one");
            Err(Problem::new(at, message))
        }
        _ => Ok(()),
    }
}

/// The file of a secret, given as a path or as a credential, and its place in the configuration.
fn secret(
    (file_key, file): (&str, &Option<Spanned<PathBuf>>),
    (credential_key, name): (&str, &Option<Spanned<String>>),
    around: &Surroundings,
) -> Result<Option<(PathBuf, Range<usize>)>, Problem> {
    match (file, name) {
        (Some(_), Some(name)) => Err(Problem::new(
            name.span(),
            format!("{file_key} and {credential_key} are both set: keep one"),
        )),
        (Some(file), None) => Ok(Some((path(file, around)?, file.span()))),
        (None, Some(name)) => Ok(Some((credential(name, file_key, around)?, name.span()))),
        (None, None) => Ok(None),
    }
}
