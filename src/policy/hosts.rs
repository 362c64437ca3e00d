//! Host groups: the host names of each group in `[hosts]`.

use std::collections::BTreeMap;

use super::{Error, file::File, pattern::Pattern, text::Text};
use crate::ssh::principal;

/// Largest host name, in bytes.
const MAX_HOST: usize = 253;

/// The policy's groups with their host-name patterns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    groups: BTreeMap<String, Vec<HostPattern>>,
}

/// A host-name pattern: `*` for any characters, `?` for one. Compiled to a regular expression, so
/// matching is linear for any number of stars.
#[derive(Clone, Debug)]
pub(super) struct HostPattern {
    pub(super) source: String,
    pub(super) compiled: Pattern,
}

impl Hosts {
    pub(super) fn load(text: Text<'_>, file: &File) -> Result<Self, Error> {
        let mut groups = BTreeMap::new();
        for (name, patterns) in &file.hosts {
            let group = text.parse(name, |name| group(name))?;
            if patterns.is_empty() {
                return Err(text.error(
                    name.span(),
                    format!("host group {group:?} has no patterns; write one such as \"web-*\""),
                ));
            }
            groups.insert(group, text.parse_all(patterns, |text| pattern(text))?);
        }
        Ok(Self { groups })
    }

    /// Whether the group exists.
    pub(crate) fn has(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Returns the name of an existing group.
    pub(super) fn known(&self, group: &str) -> Result<String, String> {
        if self.has(group) {
            return Ok(group.to_owned());
        }
        Err(format!(
            "there is no host group {group:?}; add it to [hosts] of the policy, as in `{group} = [\"{group}-*\"]`"
        ))
    }

    /// The patterns of all groups, in the order of the groups' names.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.groups
            .values()
            .flatten()
            .map(|pattern| pattern.source.as_str())
    }

    /// The names of hosts among the patterns of a group.
    pub(crate) fn names(&self, group: &str) -> impl Iterator<Item = &str> {
        let patterns = self.groups.get(group).into_iter().flatten();
        let sources = patterns.map(|pattern| pattern.source.as_str());
        sources.filter(|source| !source.contains(['*', '?']))
    }

    /// The names of all groups, in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Whether `host`, as the user typed it, belongs to `group`. Ignores case.
    pub(crate) fn belongs(&self, host: &str, group: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let mut patterns = self.groups.get(group).into_iter().flatten();
        patterns.any(|pattern| pattern.compiled.matches(&host))
    }
}

/// Checks that `host` can be a host name or an address.
///
/// # Errors
/// Returns a sentence for the caller.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    let fits = !host.is_empty()
        && host.len() <= MAX_HOST
        && !host.starts_with('-')
        && host.bytes().all(is_host_byte);
    if fits {
        return Ok(());
    }
    Err("the host is not a host name; use letters, digits, `.`, `-`, `_` and `:`".to_owned())
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte)
}

fn group(name: &str) -> Result<String, String> {
    if principal::is_name(name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{name:?} is not a host group name; use letters, digits, `.`, `_` and `-`"
    ))
}

/// Parses a pattern. Patterns are also written into ssh configurations, so they contain nothing
/// with a meaning there.
pub(super) fn pattern(text: &str) -> Result<HostPattern, String> {
    let fits = !text.is_empty()
        && text.len() <= MAX_HOST
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| (is_host_byte(byte) && byte != b'%') || b"*?".contains(&byte));
    if fits {
        let expression = text
            .to_ascii_lowercase()
            .replace('.', r"\.")
            .replace('*', ".*")
            .replace('?', ".");
        return Ok(HostPattern {
            source: text.to_owned(),
            compiled: Pattern::compile(&expression)?,
        });
    }
    Err(format!(
        "{text:?} is not a host-name pattern; use letters, digits, `.`, `-`, `_`, `:`, and `*` and `?` for what varies"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn hosts_match_patterns() {
        for (pattern, host, expected) in [
            ("web-*", "web-1", true),
            ("web-*", "web-", true),
            ("web-*", "xweb-1", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.example.com.evil", false),
            ("db?", "db1", true),
            ("db?", "db", false),
            ("WEB-*", "web-1", true),
            ("web-*", "WEB-1", true),
            ("10.0.0.*", "10x0x0x1", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("**", "x", true),
        ] {
            let hosts = Hosts {
                groups: [("g".to_owned(), vec![super::pattern(pattern).unwrap()])].into(),
            };
            assert_eq!(hosts.belongs(host, "g"), expected, "{pattern} {host}");
            assert!(!hosts.belongs(host, "other"));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            "-oProxyCommand=x",
            "web 1",
            "web\n1",
            "web,db",
            "web*",
            "w\u{e9}b",
            "web;id",
            "a/b",
        ] {
            assert!(check_host(host).is_err(), "{host:?}");
        }
        for host in [
            "web-1",
            "192.0.2.1",
            "2001:db8::1",
            "fe80::1%eth0",
            "Web_1.example.com",
        ] {
            check_host(host).unwrap();
        }
        for text in [
            "", "!web", "web-*,db", "web db", "-x", "%h", "web\"", "w\u{e9}b",
        ] {
            assert!(pattern(text).is_err(), "{text:?}");
        }
    }
}
