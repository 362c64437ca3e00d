//! The check of a pass against its role, as the server listed it to this caller. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{command_line, fault::first_fault};
use crate::{
    proto::v1,
    ssh::{
        options::Extension,
        permissions::{Permissions, covers},
    },
};

/// A role, and the ask for a pass of it.
pub(super) struct AskedRole<'a> {
    pub(super) role: &'a v1::Role,
    pub(super) ask: &'a v1::Ask,
}

impl AskedRole<'_> {
    /// Checks what a pass allows. Its source addresses and extensions may be fewer if the ask asked
    /// for fewer.
    ///
    /// # Errors
    /// Returns what is wrong, as a sentence.
    pub(super) fn check(&self, permissions: &Permissions) -> Result<(), String> {
        let expected = self.extensions();
        first_fault(&[
            (
                permissions.principals.iter().all(|it| self.has_login(it)),
                "it has a login that the role does not have",
            ),
            (
                self.fits_command(permissions.force_command.as_deref()),
                "its force-command is not the role's",
            ),
            (
                is_within(&self.role.source_addresses, permissions),
                "it is valid from addresses that the role does not allow",
            ),
            (
                permissions.extensions.is_subset(&expected),
                "it has an extension that the role does not have",
            ),
            (
                permissions.extensions.is_superset(&expected),
                "it lacks an extension that the role has",
            ),
            (
                permissions.verify_required || !self.role.verify_required,
                "it does not demand that the security key verifies its user, as the role does",
            ),
            (
                self.role.verify_required || !permissions.verify_required,
                "it demands that a security key verifies its user, and the role does not",
            ),
        ])
    }

    /// The longest lifetime in seconds.
    pub(super) fn ttl(&self) -> u64 {
        match self.ask.emergency {
            true => self.role.emergency_ttl_seconds,
            false => self.role.ttl_seconds,
        }
    }

    /// A principal is `LOGIN@GROUP`, or `LOGIN` of a role that is not tied to hosts.
    fn has_login(&self, principal: &str) -> bool {
        let (login, group) = match principal.split_once('@') {
            Some((login, group)) => (login, Some(group)),
            None => (principal, None),
        };
        let fits_hosts = match group {
            Some(group) => self.role.hosts.iter().any(|known| known == group),
            None => self.role.hosts.is_empty(),
        };
        fits_hosts && self.role.logins.iter().any(|known| known == login)
    }

    fn fits_command(&self, line: Option<&str>) -> bool {
        let params = self.ask.params.iter();
        let params: BTreeMap<&str, &str> = params
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        match line {
            None => self.role.command.is_empty(),
            Some(_) if self.role.command.is_empty() => false,
            Some(line) => command_line::fits(line, &self.role.command, &params),
        }
    }

    fn extensions(&self) -> BTreeSet<Extension> {
        let of_role = words(&self.role.extensions);
        match self.ask.extensions.is_empty() {
            true => of_role,
            false => &of_role & &words(&self.ask.extensions),
        }
    }
}

/// Whether a pass can be used only from `networks`; none are any address, and an invalid one is
/// none.
pub(super) fn is_within(networks: &[String], permissions: &Permissions) -> bool {
    let networks = networks.iter().map(|text| text.parse());
    let Ok(networks) = networks.collect::<Result<BTreeSet<IpNet>, _>>() else {
        return false;
    };
    let networks = Some(networks).filter(|networks| !networks.is_empty());
    covers(networks.as_ref(), permissions.source_addresses.as_ref())
}

/// The extensions that these words name.
pub(super) fn words(words: &[String]) -> BTreeSet<Extension> {
    let words = words.iter();
    words
        .filter_map(|word| Extension::from_word(word))
        .collect()
}
