//! Known hosts: an administrator lets one join, it joins and reports, and gets host certificates.
//!
//! | file | for |
//! |---|---|
//! | [`orders`] | administrators' orders: add, remove |
//! | [`joining`] | a host joins with a code |
//! | [`reporting`] | a host reports, and renews its certificates |
//! | [`logins`] | a host reports logins, and those that the ledger does not explain are recorded |
//! | [`certifying`] | one certificate for each key: recorded, then signed |
//! | [`proven`] | which CA keys the hosts have proven to trust |
//! | [`certified`] | which hosts show one |
//! | [`behind`] | why a host is behind |
//! | [`revoked`] | certificates that users must refuse |
//! | [`listing`] | the hosts, for administrators and auditors; the marks in the ledger |

pub(crate) mod behind;
pub(super) mod certified;
pub(super) mod certifying;
pub(crate) mod joining;
pub(crate) mod listing;
pub(crate) mod logins;
mod orders;
pub(crate) mod proven;
pub(crate) mod report;
pub(crate) mod reporting;
pub(crate) mod revoked;
mod shown;

use std::sync::Arc;

use ssh_key::PublicKey;

use super::{authority::Authority, error::Error, host_authority::HostAuthority};
use crate::ssh::{host_name, pattern};
pub(crate) use shown::ShownKeys;

/// What users need to trust known hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostTrust {
    /// The keys that sign host certificates.
    pub keys: Vec<PublicKey>,
    /// Patterns of the names for which they count.
    pub names: Vec<String>,
}

/// Answers every caller. Empty if this server knows no hosts.
pub(crate) fn trust(authority: &Authority) -> HostTrust {
    let Some(hosts) = &authority.hosts else {
        return HostTrust::default();
    };
    HostTrust {
        keys: hosts.ca.keys().map(|(key, _)| key.clone()).collect(),
        names: names(authority, hosts),
    }
}

fn names(authority: &Authority, hosts: &HostAuthority) -> Vec<String> {
    match &hosts.settings.names {
        Some(names) => names.clone(),
        None => {
            let policy = authority.policy();
            let patterns = policy.host_patterns().into_iter();
            let patterns = patterns.filter(|it| host_name::is_of_some_names(it));
            patterns.map(str::to_owned).collect()
        }
    }
}

/// The part of the authority that knows hosts.
fn known(authority: &Authority) -> Result<&Arc<HostAuthority>, Error> {
    authority.hosts.as_ref().ok_or_else(|| {
        let what = "this server knows no hosts: its daypass.toml has no [hosts]";
        Error::NotFound(what.to_owned())
    })
}

/// Refuses a name outside the configured patterns: users would not trust its certificate.
fn expect_allowed<'a>(
    authority: &Authority,
    hosts: &HostAuthority,
    wanted: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    let patterns = names(authority, hosts);
    let is_allowed = |name: &str| patterns.iter().any(|it| pattern::matches(it, name));
    match { wanted }.find(|name| !is_allowed(name)) {
        None => Ok(()),
        Some(name) => Err(Error::Invalid(format!(
            "no user would trust the name {name}: it is outside of {}. Add a pattern for it to `names` in [hosts] of the \
             server's daypass.toml (by default those are the policy's host names), or leave it out",
            patterns.join(", ")
        ))),
    }
}
