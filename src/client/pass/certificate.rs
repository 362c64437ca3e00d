//! The check of one certificate in a server's answer against what was asked for. Pure.
//!
//! Every fact is read from the certificate, because the certificate is what hosts obey.
//!
//! Always checked: key, CA, signature, kind, serial, role, lifetime, addresses and extensions of
//! the ask. What else the role grants is checked as far as the client can know it ([`Known`]). The
//! check finds a mistake, or an answer that contradicts the server's own list of roles. It cannot
//! find a server that lies in both. The label in the key id is the server's word too: only the
//! server knows which claim it takes.

use ssh_key::{Certificate, Fingerprint, HashAlg, PublicKey, certificate::CertType};

use super::{
    fault::first_fault,
    role::{AskedRole, is_within, words},
};
use crate::{
    client::{logins::logins, requests::RequestContent},
    proto::v1,
    ssh::{
        certificate::{BACKDATE, role_of},
        key::fingerprint,
        options::CriticalOption,
        permissions::Permissions,
    },
};

/// Seconds that the server's clock may be ahead of ours before its fresh pass is refused.
const SKEW: u64 = 60;

/// Facts that the client knows about the answer before it asks.
#[derive(Clone, Debug)]
pub(in crate::client) enum Known {
    /// Nothing but the ask. The server lists roles only to a caller with a token, so it lists none
    /// to a registered key. It lists no role whose condition holds only in an emergency, or only
    /// with a reason or parameters.
    Nothing,
    /// The role, as the server listed it to this caller, for the host of the ask.
    Role(Box<v1::Role>),
    /// The request that approvers agreed to.
    Request(Box<RequestContent>),
}

/// Facts that a certificate must fit.
pub(super) struct Expected<'a> {
    pub(super) ask: &'a v1::Ask,
    pub(super) known: &'a Known,
    /// The login that the user named.
    pub(super) login: Option<&'a str>,
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
        self.check_known(&certificate, &permissions)?;
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
                certificate.comment().is_empty(),
                "it has a comment, which the CA did not sign",
            ),
            (
                !certificate.key_id().chars().any(char::is_control),
                "its key id has control characters, which forge lines in logs",
            ),
            (
                role_of(certificate.key_id()) == Some(self.ask.role.as_str()),
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
            Known::Role(role) => Some(self.asked(role).ttl()),
            Known::Request(content) => Some(content.ttl_seconds),
            Known::Nothing => None,
        };
        let asked = Some(self.ask.ttl_seconds).filter(|ttl| *ttl > 0);
        asked.is_none_or(|ttl| life <= ttl) && known.is_none_or(|ttl| life <= ttl)
    }

    /// Whether a pass can be used only from the addresses of the ask.
    pub(super) fn fits_source(&self, permissions: &Permissions) -> bool {
        is_within(&self.ask.source_addresses, permissions)
    }

    fn fits_extensions(&self, permissions: &Permissions) -> bool {
        let asked = &self.ask.extensions;
        asked.is_empty() || permissions.extensions.is_subset(&words(asked))
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
    fn check_known(
        &self,
        certificate: &Certificate,
        permissions: &Permissions,
    ) -> Result<(), String> {
        match self.known {
            Known::Nothing => return Ok(()),
            Known::Role(role) => self.asked(role).check(permissions)?,
            Known::Request(content) => self.check_approved(content, permissions)?,
        }
        let logins = logins(certificate.valid_principals());
        let is_open = self.login.is_none_or(|login| logins.contains(&login));
        first_fault(&[(is_open, "it does not open the login that was asked for")])
    }

    fn check_approved(
        &self,
        content: &RequestContent,
        permissions: &Permissions,
    ) -> Result<(), String> {
        first_fault(&[
            (
                content.key == fingerprint(self.key),
                "it was approved for another key",
            ),
            (
                permissions.force_command == content.permissions.force_command,
                "its force-command is not the one that was approved",
            ),
            (
                permissions.is_subset_of(&content.permissions),
                "it allows more than was approved",
            ),
        ])
    }

    fn asked<'a>(&'a self, role: &'a v1::Role) -> AskedRole<'a> {
        AskedRole {
            role,
            ask: self.ask,
        }
    }
}

#[cfg(test)]
mod tests;
