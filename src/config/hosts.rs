//! `[hosts]`: known hosts. Pure.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use toml::Spanned;

use super::{
    ca_keys::key_list,
    error::Problem,
    limits::duration,
    raw,
    settings::{CaKey, Hosts},
    surroundings::Surroundings,
};
use crate::ssh::host_name;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// The most patterns of names.
const MOST_NAMES: usize = 64;

pub(super) fn hosts(
    hosts: Option<&Spanned<raw::Hosts>>,
    ca_keys: &[CaKey],
    (ledger_key, next_ledger_key): (&PathBuf, Option<&PathBuf>),
    around: &Surroundings,
) -> Result<Option<Hosts>, Problem> {
    let Some(section) = hosts else {
        return Ok(None);
    };
    let hosts = section.get_ref();
    if hosts.key.is_empty() {
        return Err(Problem::new(
            section.span(),
            "there is no key for host certificates: add a [[hosts.key]] with file and state = \"active\"",
        ));
    }
    let keys = key_list(&hosts.key, around)?;
    let others: HashSet<&PathBuf> = ca_keys
        .iter()
        .map(|key| &key.file)
        .chain([ledger_key])
        .chain(next_ledger_key)
        .collect();
    for (key, raw) in keys.iter().zip(&hosts.key) {
        if others.contains(&key.file) {
            return Err(Problem::new(
                raw.file.span(),
                "the host CA's key is also a CA key or the ledger's: give hosts a key of their own \
                 (`ssh-keygen -t ed25519 -N ''`)",
            ));
        }
    }
    let default_behind = Duration::from_secs(60 * MINUTE);
    Ok(Some(Hosts {
        keys,
        names: hosts.names.as_ref().map(names).transpose()?,
        lifetime: lifetime(&hosts.lifetime)?,
        behind_after: duration(
            "behind_after",
            &hosts.behind_after,
            default_behind,
            5 * MINUTE..=7 * DAY,
        )?,
    }))
}

/// How long a host certificate is valid.
pub(super) fn lifetime(text: &Option<Spanned<String>>) -> Result<Duration, Problem> {
    let default = Duration::from_secs(14 * DAY);
    duration("lifetime", text, default, DAY..=90 * DAY)
}

/// Each pattern is one of known_hosts: no blank, comma or negation, which would end it there.
pub(super) fn names(names: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Problem> {
    let list = names.get_ref();
    if list.is_empty() || list.len() > MOST_NAMES {
        return Err(Problem::new(
            names.span(),
            format!("names has 1 to {MOST_NAMES} patterns, such as \"*.example.com\""),
        ));
    }
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.:*?".contains(&byte);
    let pattern = |it: &Spanned<String>| match it.get_ref() {
        text if (1..=253).contains(&text.len())
            && text.bytes().all(is_plain)
            && host_name::is_of_some_names(text) =>
        {
            Ok(text.clone())
        }
        text => Err(Problem::new(
            it.span(),
            format!(
                "{text:?} is no pattern of host names: write one in lower case, with a letter or digit, such as \"web-*\""
            ),
        )),
    };
    list.iter().map(pattern).collect()
}
