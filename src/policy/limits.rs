//! Limits over every role.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Error, Restriction,
    file::{self, Text},
    source,
};
use crate::ssh::{options::Extension, principal};

/// Longest lifetime that a policy may name.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Lifetime if neither the role nor `[limits]` names one.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// `[limits]`: bounds that no role can exceed.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    ttl: Duration,
    logins: Option<BTreeSet<String>>,
    restriction: Restriction,
}

impl Limits {
    pub(super) fn load(text: Text<'_>, raw: &file::Limits) -> Result<Self, Error> {
        let ttl = match &raw.ttl {
            None => DEFAULT_TTL,
            Some(ttl) => text.parse(ttl, |ttl| lifetime(ttl))?,
        };
        let logins = match &raw.principals {
            None => None,
            Some(logins) => Some(text.parse_all(logins, |name| login(name))?),
        };
        let extensions = match &raw.extensions {
            None => None,
            Some(extensions) => Some(text.parse_all(extensions, |word| extension(word))?),
        };
        let source = match &raw.source {
            None => None,
            Some(networks) => Some(text.parse_all(networks, |network| source::parse(network))?),
        };
        Ok(Self {
            ttl,
            logins,
            restriction: Restriction {
                ttl: Some(ttl),
                extensions,
                source,
                ..Restriction::default()
            },
        })
    }

    /// The longest lifetime of a pass.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether a pass may have this login.
    pub(crate) fn allows_login(&self, login: &str) -> bool {
        self.logins
            .as_ref()
            .is_none_or(|logins| logins.contains(login))
    }

    /// Whether the file lists the allowed logins.
    pub(crate) fn names_logins(&self) -> bool {
        self.logins.is_some()
    }

    /// The restriction that narrows every grant.
    pub(crate) fn restriction(&self) -> &Restriction {
        &self.restriction
    }
}

/// Parses a lifetime such as `30m`.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).map_err(|error| {
        format!("{text:?} is not a lifetime ({error}); write one such as \"30m\" or \"8h\"")
    })?;
    if ttl.as_secs() == 0 || ttl.subsec_nanos() != 0 {
        return Err(format!(
            "{text:?} is not a lifetime; write whole seconds, at least \"1s\""
        ));
    }
    if ttl > MAX_TTL {
        return Err(format!(
            "{text:?} is too long for a pass; write at most \"7d\""
        ));
    }
    Ok(ttl)
}

/// Parses the name of an extension.
pub(super) fn extension(word: &str) -> Result<Extension, String> {
    Extension::ALL
        .into_iter()
        .find(|extension| extension.as_str() == word)
        .ok_or_else(|| {
            let known: Vec<_> = Extension::ALL
                .iter()
                .map(|extension| extension.as_str())
                .collect();
            format!(
                "{word:?} is not an extension; known are {}",
                known.join(", ")
            )
        })
}

fn login(name: &str) -> Result<String, String> {
    if principal::is_login(name) {
        return Ok(name.to_owned());
    }
    Err(format!("{name:?} is not a login name; {LOGIN_HELP}"))
}

/// The grammar of login names, for errors.
pub(super) const LOGIN_HELP: &str =
    "use at most 64 letters, digits, `.`, `_`, `+` and `-`, opening with a letter, a digit or `_`";
