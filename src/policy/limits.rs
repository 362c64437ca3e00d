//! Limits over every role.

use std::{collections::BTreeSet, time::Duration};

use super::{Error, Restriction, file, source, text::Text};
use crate::ssh::{options::Extension, principal};

/// Longest lifetime that a policy may name.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Lifetime if neither the role nor `[limits]` names one.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// `[limits]`: bounds that no role can exceed.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    ttl: Duration,
    logins: Option<Logins>,
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
            Some(logins) => Some(Logins(text.parse_all(logins, |name| Login::parse(name))?)),
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
        let logins = self.logins.as_ref();
        logins.is_none_or(|logins| logins.allows(login))
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
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
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
pub(crate) fn extension(word: &str) -> Result<Extension, String> {
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

/// `principals` of `[limits]`.
#[derive(Clone, Debug)]
pub(crate) struct Logins(BTreeSet<Login>);

impl Logins {
    /// Parses the entries of a list that is not in a policy.
    ///
    /// # Errors
    /// Returns a sentence for the file's author.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, String> {
        let entries = entries.iter().map(|entry| Login::parse(entry));
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// Whether one of the entries allows this login.
    pub(crate) fn allows(&self, login: &str) -> bool {
        self.0.iter().any(|entry| entry.allows(login))
    }
}

/// One entry of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Login {
    /// This login.
    Name(String),
    /// Every login that begins and ends so, with at least one character between, except root.
    Pattern { prefix: String, suffix: String },
}

impl Login {
    /// # Errors
    /// Returns a sentence for the policy's author.
    fn parse(text: &str) -> Result<Self, String> {
        let Some((prefix, suffix)) = text.split_once('*') else {
            return match principal::is_login(text) {
                true => Ok(Self::Name(text.to_owned())),
                false => Err(format!("{text:?} is not a login name; {LOGIN_HELP}")),
            };
        };
        // What stands for the star may be one letter.
        if prefix.len() + suffix.len() == 0 || !principal::is_login(&text.replacen('*', "x", 1)) {
            return Err(format!(
                "{text:?} is not a pattern of login names; write one `*` and what stands before or \
                 after it, such as \"u-*\""
            ));
        }
        Ok(Self::Pattern {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        })
    }

    fn allows(&self, login: &str) -> bool {
        match self {
            Self::Name(name) => name == login,
            Self::Pattern { prefix, suffix } => {
                let between = login.strip_prefix(prefix.as_str());
                let between = between.and_then(|rest| rest.strip_suffix(suffix.as_str()));
                between.is_some_and(|between| !between.is_empty()) && login != "root"
            }
        }
    }
}

/// The grammar of login names, for errors.
pub(super) const LOGIN_HELP: &str =
    "use at most 64 letters, digits, `.`, `_`, `+` and `-`, opening with a letter, a digit or `_`";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_pattern_allows_what_it_spells_and_never_root() {
        for (pattern, login, allowed) in [
            ("u-*", "u-alice", true),
            ("u-*", "u-", false),
            ("u-*", "xu-alice", false),
            ("u-*", "alice", false),
            ("*-adm", "alice-adm", true),
            ("*-adm", "-adm", false),
            ("a*a", "aa", false),
            ("a*a", "a", false),
            ("a*a", "aba", true),
            ("r*", "root", false),
            ("*t", "root", false),
            ("ro*t", "root", false),
            ("r*", "rooty", true),
            ("root", "root", true),
            ("root", "rooty", false),
        ] {
            let parsed = Login::parse(pattern).unwrap();
            assert_eq!(parsed.allows(login), allowed, "{pattern} {login}");
        }
    }

    #[test]
    fn odd_patterns_do_not_load() {
        for text in [
            "*",
            "**",
            "u-**",
            "u-*-*",
            "-*",
            ".*",
            "u *",
            "u,*",
            "u-?",
            "@*",
            "caf\u{e9}*",
            "",
        ] {
            assert!(Login::parse(text).is_err(), "{text}");
        }
        assert!(Login::parse(&format!("{}*", "a".repeat(64))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_allows_root(text in "[a-z]{0,3}\\*[a-z]{0,3}") {
            if let Ok(pattern) = Login::parse(&text) {
                proptest::prop_assert!(!pattern.allows("root"));
            }
        }

        #[test]
        fn a_pattern_allows_only_what_begins_and_ends_as_it_says(
            text in "[a-z.*-]{1,8}",
            login in "[a-z.-]{0,8}",
        ) {
            let Ok(parsed) = Login::parse(&text) else { return Ok(()) };
            let expected = match text.split_once('*') {
                None => text == login,
                Some((prefix, suffix)) => {
                    login != "root"
                        && login.len() > prefix.len() + suffix.len()
                        && login.starts_with(prefix)
                        && login.ends_with(suffix)
                }
            };
            proptest::prop_assert_eq!(parsed.allows(&login), expected);
        }
    }
}
