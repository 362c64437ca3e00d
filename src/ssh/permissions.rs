//! Permissions of a certificate: principals, critical options and extensions, in one type. Pure.
//!
//! It says nothing about who holds the certificate or for how long.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use ssh_key::{Certificate, PublicKey};

use super::{
    key::{self, InvalidKey},
    options::{CriticalOption, Extension},
};

/// Permissions that a user certificate gives its holder.
///
/// Stored events and the API's JSON hold these four fields beside others, so a struct that has
/// permissions flattens them:
///
/// ```
/// use daypass::ssh::permissions::Permissions;
///
/// let stored = r#"{"principals":["weblogs@web"],"command":"/bin/date","extensions":["pty"]}"#;
/// let permissions: Permissions = serde_json::from_str(stored)?;
/// assert_eq!(permissions.force_command.as_deref(), Some("/bin/date"));
/// assert_eq!(permissions.source_addresses, None); // any address
/// assert_eq!(serde_json::to_string(&permissions)?, stored);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// `login` or `login@group` ([`super::principal`]). A certificate without principals is good
    /// for every user, so no grant has an empty set.
    pub principals: BTreeSet<String>,
    /// The exact command that every session runs; `None`: the command that the user asks for.
    #[serde(rename = "command", default, skip_serializing_if = "Option::is_none")]
    pub force_command: Option<String>,
    /// The networks that it can be used from; `None`: from any address. Never empty in a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_addresses: Option<BTreeSet<IpNet>>,
    /// Things that an SSH session may do beyond running a command.
    pub extensions: BTreeSet<Extension>,
    /// Whether the security key must verify its user (PIN or biometric) for each login. Only for
    /// `sk-` keys: sshd ignores the option for others, so [`Permissions::expect_key`] refuses them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verify_required: bool,
}

impl Permissions {
    /// Reads the permissions of a certificate.
    ///
    /// # Errors
    /// Returns [`Unreadable`] if it has a critical option that is not represented here, or source
    /// addresses that are not CIDRs: its permissions would be something else than what is returned.
    pub(crate) fn of(certificate: &Certificate) -> Result<Self, Unreadable> {
        let mut permissions = Self {
            principals: certificate.valid_principals().iter().cloned().collect(),
            extensions: certificate
                .extensions()
                .keys()
                .map(|name| Extension::from_name(name))
                .collect(),
            ..Self::default()
        };
        for (name, value) in certificate.critical_options().iter() {
            match CriticalOption::from_name(name) {
                Some(CriticalOption::ForceCommand) => {
                    permissions.force_command = Some(value.clone());
                }
                Some(CriticalOption::SourceAddress) => {
                    permissions.source_addresses = Some(networks(value)?);
                }
                Some(CriticalOption::VerifyRequired) => permissions.verify_required = true,
                None => return Err(Unreadable::Option(name.clone())),
            }
        }
        Ok(permissions)
    }

    /// The critical options with their values, in the order of a certificate.
    pub(crate) fn critical_options(&self) -> Vec<(CriticalOption, String)> {
        let command = self.force_command.clone();
        let source = self.source_addresses.as_ref().map(|networks| {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            networks.join(",")
        });
        [
            (CriticalOption::ForceCommand, command),
            (CriticalOption::SourceAddress, source),
            (
                CriticalOption::VerifyRequired,
                self.verify_required.then(String::new),
            ),
        ]
        .into_iter()
        .filter_map(|(option, value)| Some((option, value?)))
        .collect()
    }

    /// The names of the extensions, in the order of a certificate: that of their bytes, in which
    /// `permit-X11-forwarding` comes first.
    pub(crate) fn extension_names(&self) -> BTreeSet<&str> {
        self.extensions.iter().map(Extension::name).collect()
    }

    /// Whether a certificate with these permissions allows nothing that `other` does not.
    ///
    /// A force-command is a restriction: with it, less is allowed than without. Without principals,
    /// or with an empty list of addresses, nothing is a subset: sshd or a later reader could take
    /// that for "any".
    ///
    /// ```
    /// use daypass::ssh::permissions::Permissions;
    ///
    /// let wide = Permissions {
    ///     principals: ["root".to_owned(), "deploy".to_owned()].into(),
    ///     ..Permissions::default()
    /// };
    /// let narrow = Permissions {
    ///     principals: ["deploy".to_owned()].into(),
    ///     source_addresses: Some(["10.0.0.0/8".parse()?].into()),
    ///     ..Permissions::default()
    /// };
    /// assert!(narrow.is_subset_of(&wide));
    /// assert!(!wide.is_subset_of(&narrow));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_subset_of(&self, other: &Self) -> bool {
        !self.principals.is_empty()
            && self.principals.is_subset(&other.principals)
            && (other.force_command.is_none() || self.force_command == other.force_command)
            && covers(
                other.source_addresses.as_ref(),
                self.source_addresses.as_ref(),
            )
            && has_all(&other.extensions, &self.extensions)
            && (self.verify_required || !other.verify_required)
    }

    /// Refuses a subject key for which sshd would not enforce these permissions.
    ///
    /// # Errors
    /// Returns [`InvalidKey::VerifyRequired`] if a user must be verified and `key` is not a
    /// security key.
    pub(crate) fn expect_key(&self, key: &PublicKey) -> Result<(), InvalidKey> {
        if self.verify_required && !key::is_security_key(key) {
            return Err(InvalidKey::VerifyRequired);
        }
        Ok(())
    }
}

/// Serializes all fields for programs that read JSON: an absent command or address list is `null`,
/// unlike in stored events. For `#[serde(flatten, serialize_with = ...)]`.
///
/// # Errors
/// Returns the serializer's error.
pub(crate) fn with_nulls<S: Serializer>(
    permissions: &&Permissions,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Permissions {
        principals,
        force_command,
        source_addresses,
        extensions,
        verify_required,
    } = permissions;
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("principals", principals)?;
    map.serialize_entry("command", force_command)?;
    map.serialize_entry("source_addresses", source_addresses)?;
    map.serialize_entry("extensions", extensions)?;
    if *verify_required {
        map.serialize_entry("verify_required", verify_required)?;
    }
    map.end()
}

/// Whether `few` can be used from no address that `many` cannot; `None` is any address.
pub(crate) fn covers(many: Option<&BTreeSet<IpNet>>, few: Option<&BTreeSet<IpNet>>) -> bool {
    let Some(many) = many else {
        return few.is_none_or(|few| !few.is_empty());
    };
    let Some(few) = few.filter(|few| !few.is_empty()) else {
        return false;
    };
    // Neighbours are merged first: 10.0.0.0/24 is within 10.0.0.0/25 and 10.0.0.128/25 together.
    let many = IpNet::aggregate(&many.iter().copied().collect());
    few.iter()
        .all(|network| many.iter().any(|wide| wide.contains(network)))
}

/// Whether each of `few` means one of `many`, however it is spelled.
fn has_all(many: &BTreeSet<Extension>, few: &BTreeSet<Extension>) -> bool {
    few.iter().all(|one| {
        many.contains(one)
            || one.meaning().is_some_and(|one| {
                many.iter()
                    .any(|other| other.meaning().as_ref() == Some(&one))
            })
    })
}

fn networks(list: &str) -> Result<BTreeSet<IpNet>, Unreadable> {
    list.split(',')
        .map(|text| {
            text.parse()
                .map_err(|_| Unreadable::Source(list.to_owned()))
        })
        .collect()
}

/// A certificate whose permissions cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// A critical option that is not represented in [`Permissions`].
    #[error("unknown critical option {0:?}")]
    Option(String),
    /// Source addresses that are not comma-separated CIDRs.
    #[error("invalid source addresses {0:?}")]
    Source(String),
}

#[cfg(test)]
mod tests;
