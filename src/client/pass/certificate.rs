//! The check of one certificate in a server's answer against what was asked for. Pure.
//!
//! Every fact is read from the certificate, because the certificate is what hosts obey.

use std::collections::BTreeSet;

use ipnet::IpNet;
use ssh_key::{Certificate, Fingerprint, HashAlg, PublicKey, certificate::CertType};

use crate::{
    client::{logins::logins, requests::RequestContent},
    proto::v1,
    ssh::{
        certificate::BACKDATE,
        options::{CriticalOption, Extension},
        permissions::{Permissions, covers},
    },
};

/// Seconds that the server's clock may be ahead of ours before its fresh pass is refused.
const SKEW: u64 = 60;

/// What the client knows about the answer before it asks.
#[derive(Clone, Debug)]
pub(in crate::client) enum Known {
    /// Nothing but the ask.
    Nothing,
    /// The role, as the server listed it.
    Role(Box<v1::Role>),
    /// The request that approvers agreed to.
    Request(Box<RequestContent>),
}

/// What a certificate must fit.
pub(super) struct Expected<'a> {
    pub(super) ask: &'a v1::Ask,
    pub(super) known: &'a Known,
    /// The key that the pass is for.
    pub(super) key: &'a PublicKey,
    /// The CA keys of the server.
    pub(super) trusted: &'a [Fingerprint],
    /// Unix seconds.
    pub(super) now: u64,
}

impl Expected<'_> {
    /// Checks that the certificate in `text` is the pass that was asked for. With `is_direct` the
    /// pass is used without a bastion, and only then from the source addresses of the ask.
    ///
    /// # Errors
    /// Returns what is wrong, as a sentence.
    pub(super) fn check_pass(&self, text: &str, is_direct: bool) -> Result<Certificate, String> {
        let (certificate, permissions) = self.check(text)?;
        let within = [
            (
                !is_direct || self.fits_source(&permissions),
                "it is valid from addresses that were not asked for",
            ),
            (
                self.fits_extensions(&permissions),
                "it has extensions that were not asked for",
            ),
            (
                self.fits_lifetime(&certificate),
                "it is valid for longer than was asked for",
            ),
        ];
        first_fault(&within)?;
        self.check_known(&permissions)?;
        Ok(certificate)
    }

    /// Checks that the certificate in `text` is a pass for this key and role by a CA key of this
    /// server, and valid now. Returns its permissions too.
    ///
    /// # Errors
    /// Returns what is wrong, as a sentence.
    pub(super) fn check(&self, text: &str) -> Result<(Certificate, Permissions), String> {
        let certificate = Certificate::from_openssh(text)
            .map_err(|error| format!("its certificate cannot be read: {error}"))?;
        let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
        let permissions = Permissions::of(&certificate)
            .map_err(|unreadable| format!("it has an {unreadable}"))?;
        let misplaced = |name: &String| CriticalOption::from_name(name).is_some();
        let facts = [
            (
                certificate.cert_type() == CertType::User,
                "it is not a user certificate",
            ),
            (
                certificate.public_key() == self.key.key_data(),
                "it is for another key",
            ),
            (
                self.trusted.contains(&signer),
                "it is signed by a key that is not a CA key of this server",
            ),
            (
                self.is_valid_now(&certificate),
                "it is not valid now (is this machine's clock right?)",
            ),
            (
                certificate
                    .validate_at(certificate.valid_after(), self.trusted)
                    .is_ok(),
                "its signature does not verify",
            ),
            (certificate.serial() != 0, "its serial is 0"),
            (
                role(&certificate) == Some(self.ask.role.as_str()),
                "it is for another role",
            ),
            (!permissions.principals.is_empty(), "it names no principal"),
            (
                !certificate.extensions().keys().any(misplaced),
                "it has a restriction among its extensions, where sshd ignores it",
            ),
        ];
        first_fault(&facts)?;
        Ok((certificate, permissions))
    }

    /// Our clock may be behind, so the start may be a little ahead of it; the end must not be past.
    fn is_valid_now(&self, certificate: &Certificate) -> bool {
        certificate.valid_after() <= self.now.saturating_add(SKEW)
            && self.now < certificate.valid_before()
    }

    fn fits_lifetime(&self, certificate: &Certificate) -> bool {
        let life = certificate
            .valid_before()
            .saturating_sub(certificate.valid_after())
            .saturating_sub(BACKDATE.as_secs());
        let known = match self.known {
            // An emergency pass has a lifetime of its own, which is not in the list of roles.
            Known::Role(role) if !self.ask.emergency => Some(role.ttl_seconds),
            Known::Request(content) => Some(content.ttl_seconds),
            Known::Role(_) | Known::Nothing => None,
        };
        let asked = Some(self.ask.ttl_seconds).filter(|ttl| *ttl > 0);
        asked.is_none_or(|ttl| life <= ttl) && known.is_none_or(|ttl| life <= ttl)
    }

    /// Whether a pass can be used only from the addresses of the ask.
    pub(super) fn fits_source(&self, permissions: &Permissions) -> bool {
        let asked = self.ask.source_addresses.iter().map(|text| text.parse());
        match asked.collect::<Result<BTreeSet<IpNet>, _>>() {
            Ok(asked) if asked.is_empty() => true,
            Ok(asked) => covers(Some(&asked), permissions.source_addresses.as_ref()),
            Err(_) => false,
        }
    }

    fn fits_extensions(&self, permissions: &Permissions) -> bool {
        let asked = self.ask.extensions.iter();
        let asked: BTreeSet<_> = asked
            .filter_map(|word| Extension::from_word(word))
            .collect();
        self.ask.extensions.is_empty() || permissions.extensions.is_subset(&asked)
    }

    /// Checks that a pass is used through the bastion that was approved, if there was a request.
    ///
    /// # Errors
    /// Returns what is wrong, as a sentence.
    pub(super) fn check_bastion(&self, bastion: Option<&str>) -> Result<(), String> {
        let is_approved = match self.known {
            Known::Request(content) => {
                let through = content.through.as_ref();
                through.map(|through| through.bastion.as_str()) == bastion
            }
            Known::Role(_) | Known::Nothing => true,
        };
        let fault = "it is used through another bastion than was approved";
        first_fault(&[(is_approved, fault)])
    }

    /// Compares with what the server said of the role, or with what was approved.
    fn check_known(&self, permissions: &Permissions) -> Result<(), String> {
        match self.known {
            Known::Nothing => Ok(()),
            Known::Role(role) => check_role(role, permissions),
            Known::Request(content) => first_fault(&[
                (
                    permissions.force_command == content.permissions.force_command,
                    "its force-command is not the one that was approved",
                ),
                (
                    permissions.is_subset_of(&content.permissions),
                    "it allows more than was approved",
                ),
            ]),
        }
    }
}

fn check_role(role: &v1::Role, permissions: &Permissions) -> Result<(), String> {
    let principals: Vec<String> = permissions.principals.iter().cloned().collect();
    let is_login = |login: &&str| role.logins.iter().any(|known| known == login);
    first_fault(&[
        (
            role.logins.is_empty() || logins(&principals).iter().all(is_login),
            "it has a login that the role does not have",
        ),
        (
            permissions.force_command.is_none() == role.command.is_empty(),
            "its force-command is not the role's",
        ),
        (
            permissions.verify_required || !role.verify_required,
            "it does not demand that the security key verifies its user, as the role does",
        ),
    ])
}

/// The role that a pass is for. A key id is `LABEL/ROLE`, and a role's name has no slash.
fn role(certificate: &Certificate) -> Option<&str> {
    certificate.key_id().rsplit_once('/').map(|(_, role)| role)
}

/// Returns the fault of the first fact that does not hold.
pub(super) fn first_fault(facts: &[(bool, &str)]) -> Result<(), String> {
    match facts.iter().find(|(holds, _)| !holds) {
        Some((_, fault)) => Err((*fault).to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
