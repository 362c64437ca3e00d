//! Which known hosts trust a CA key, as far as they have proven it.

use crate::{
    ca::KeyState,
    ledger::state::{Rejection, Rule},
    operations::{authority::Authority, hosts::proven::ProvenTrust},
    ssh::key::fingerprint,
    unix_seconds::UnixSeconds,
};

/// The most hosts that a sentence names.
const SAID: usize = 5;

/// A host that has not proven that it trusts a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Its name.
    pub host: String,
    /// When it made its last report, if one counts.
    pub reported_at: Option<UnixSeconds>,
    /// Why its report does not count, or does not suffice.
    pub why: String,
}

/// The fingerprints of the keys here that sign the list of keys, which a host takes only from a key
/// that it trusts.
pub(super) fn list_signers(authority: &Authority) -> Vec<String> {
    let ca = authority.ca();
    let signers = ca.keys().filter(|(key, state)| {
        let signs = matches!(state, KeyState::Active | KeyState::Retired);
        signs && authority.own_keys().has(key)
    });
    signers.map(|(key, _)| fingerprint(key)).collect()
}

/// The hosts that have not proven that they trust the key.
pub(super) fn untrusting(hosts: &[ProvenTrust], key: &str, signers: &[String]) -> Vec<Behind> {
    // A key that signs proves the list to `host setup`; without one, this key replaces a lost one.
    let pin = signers.first().map_or(key, String::as_str);
    let behind = |host: &ProvenTrust| {
        let why = match &host.trusted {
            Ok(trusted) if trusted.iter().any(|it| it == key) => return None,
            Ok(trusted) if !trusted.iter().any(|it| signers.contains(it)) => format!(
                "it trusts no key that signs the list of keys, so no `daypass host sync` fetches it: run there: daypass host \
                 setup --ca-fingerprint {pin}"
            ),
            Ok(_) => {
                "it does not trust the key yet: its next `daypass host sync` fetches it".to_owned()
            }
            Err(why) => why.clone(),
        };
        Some(Behind {
            host: host.host.clone(),
            reported_at: host.reported_at,
            why,
        })
    };
    hosts.iter().filter_map(behind).collect()
}

/// The hosts whose last report names a key that is retired.
pub(super) fn keeping(hosts: &[ProvenTrust], key: &str) -> Vec<String> {
    let is_keeping = |host: &&ProvenTrust| host.named.iter().any(|it| it == key);
    let keeping = hosts.iter().filter(is_keeping);
    keeping.map(|host| host.host.clone()).collect()
}

pub(super) fn untrusted_by(key: &str, behind: &[Behind]) -> Rejection {
    let names: Vec<&str> = behind.iter().take(SAID).map(|it| &*it.host).collect();
    let more = match behind.len().saturating_sub(SAID) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let count = match behind.len() {
        1 => "1 known host does".to_owned(),
        count => format!("{count} known hosts do"),
    };
    Rejection::new(
        Rule::CaKeyUntrusted,
        format!(
            "{count} not trust the CA key {key} yet: {}{more}. Their users could not log in. daypass admin keys says why",
            names.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(trusted: &[&str]) -> ProvenTrust {
        let named: Vec<String> = trusted.iter().map(|it| (*it).to_owned()).collect();
        ProvenTrust {
            host: "web-1".to_owned(),
            reported_at: None,
            trusted: Ok(named.clone()),
            named,
        }
    }

    /// A host that takes no list from this server was told to wait for its next sync.
    #[test]
    fn a_host_that_takes_no_list_of_keys_is_to_be_set_up_again() {
        let signers = ["SHA256:active".to_owned(), "SHA256:retiring".to_owned()];
        let lost = [];
        for (case, trusted, signers, says) in [
            (
                "the active key",
                &["SHA256:active"][..],
                &signers[..],
                "next `daypass host sync`",
            ),
            (
                "a retiring one",
                &["SHA256:retiring"],
                &signers,
                "next `daypass host sync`",
            ),
            (
                "another server's",
                &["SHA256:other"],
                &signers,
                "--ca-fingerprint SHA256:active",
            ),
            ("none", &[], &signers, "--ca-fingerprint SHA256:active"),
            (
                "the lost one",
                &["SHA256:active"],
                &lost,
                "--ca-fingerprint SHA256:new",
            ),
        ] {
            let behind = untrusting(&[host(trusted)], "SHA256:new", signers);
            let why: Vec<&str> = behind.iter().map(|it| &*it.why).collect();
            assert!(
                why.len() == 1 && why.iter().all(|it| it.contains(says)),
                "{case}: {why:?}"
            );
        }
        assert!(untrusting(&[host(&["SHA256:new"])], "SHA256:new", &signers).is_empty());
    }
}
