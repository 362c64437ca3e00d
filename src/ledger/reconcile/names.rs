//! Names of hosts, as logs, asks and the ledger have them. Pure.
//!
//! A log seldom has the whole name, and a user may type either. So a name without a dot is the same
//! as a longer one that begins with it; two names with dots are the same only if they are equal.

use std::{collections::BTreeMap, net::IpAddr};

use crate::ssh::host_name::MAX_LENGTH;

/// The name in small letters, an address as it is usually written.
pub(super) fn canonical(host: &str) -> String {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_string();
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    // A longer one is of no host.
    let name: String = host.chars().take(MAX_LENGTH).collect();
    name.to_ascii_lowercase()
}

/// The name up to the first dot, of a canonical one with a dot that is not an address.
pub(super) fn short(name: &str) -> Option<&str> {
    let (first, _) = name.split_once('.')?;
    name.parse::<IpAddr>().is_err().then_some(first)
}

/// Whether two canonical names may be those of one host.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || short(one) == Some(other) || short(other) == Some(one)
}

/// A set of canonical names. One that was added twice is in it until it is removed twice.
#[derive(Default)]
pub(super) struct Names {
    whole: BTreeMap<String, u32>,
    shortened: BTreeMap<String, u32>,
}

impl Names {
    pub(super) fn add(&mut self, name: &str) {
        *self.whole.entry(name.to_owned()).or_default() += 1;
        if let Some(short) = short(name) {
            *self.shortened.entry(short.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        one_less(&mut self.whole, name);
        if let Some(short) = short(name) {
            one_less(&mut self.shortened, short);
        }
    }

    /// Whether one of them may be this one.
    pub(super) fn have(&self, name: &str) -> bool {
        let short = short(name);
        self.whole.contains_key(name)
            || self.shortened.contains_key(name)
            || short.is_some_and(|short| self.whole.contains_key(short))
    }
}

pub(super) fn one_less(counts: &mut BTreeMap<String, u32>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_short_name_and_two_domains_are_two_hosts() {
        for (one, other, expected) in [
            ("web-1", "WEB-1.example.com", true),
            ("web-1.example.com", "web-1.example.com.", true),
            ("web-1.prod.example.com", "web-1.dev.example.com", false),
            ("web-1", "web-10.example.com", false),
            ("10.0.0.7", "10.0.0.8", false),
            ("10.0.0.7", "10", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("2001:DB8:0::1", "2001:db8::1", true),
        ] {
            let (one, other) = (canonical(one), canonical(other));
            assert_eq!(is_same(&one, &other), expected, "{one} {other}");
            let mut names = Names::default();
            names.add(&one);
            assert_eq!(names.have(&other), expected, "{one} {other}");
            names.remove(&one);
            assert!(!names.have(&other), "{one} {other}");
        }
    }
}
