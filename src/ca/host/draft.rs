//! The draft of a host certificate. Pure.

use std::{collections::BTreeSet, time::Duration};

use ssh_key::PublicKey;
use time::OffsetDateTime;

use super::{keys::HostCa, lint};
use crate::{
    ca::{
        draft::{Fields, Unnumbered},
        error::Error,
    },
    ssh::{
        self,
        certificate::{HOST, HOST_BACKDATE, host_key_id},
        key::fingerprint,
        permissions::Permissions,
    },
    unix_seconds::UnixSeconds,
};

/// A host certificate without serial and signature. Only [`HostDraft::new`] makes one.
#[derive(Clone, Debug)]
pub struct HostDraft {
    unnumbered: Unnumbered,
    key_id: String,
    principals: BTreeSet<String>,
    valid_after: UnixSeconds,
    valid_before: UnixSeconds,
    key_fingerprint: String,
    ca_fingerprint: String,
}

/// What a host certificate says of its host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The host's name.
    pub name: &'a str,
    /// Its other names.
    pub aliases: &'a [String],
    /// The host key.
    pub key: &'a PublicKey,
    /// How long it is valid from now on.
    pub lifetime: Duration,
}

impl HostDraft {
    /// Drafts a certificate for one key of a host, to be signed by `ca`'s active key. It is valid
    /// from [`HOST_BACKDATE`] before `now`. `nonce` is random and used once.
    ///
    /// # Errors
    /// Returns [`Error::SubjectKey`] if no host certificate is for such a key, and [`Error::Lint`]
    /// if the names make no valid certificate.
    pub(crate) fn new(
        subject: Subject<'_>,
        ca: &HostCa,
        nonce: [u8; 32],
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let blob = ssh::key::check_host(subject.key)?;
        let is_ca = |(key, _): (&PublicKey, _)| key.key_data() == subject.key.key_data();
        if ca.keys().any(is_ca) {
            return Err(ssh::key::InvalidKey::CaKey.into());
        }
        let now = UnixSeconds::from(now);
        let (valid_after, valid_before) = (
            now.saturating_sub(HOST_BACKDATE),
            now.saturating_add(subject.lifetime),
        );
        let key_id = host_key_id(subject.name);
        let names = std::iter::once(subject.name).chain(subject.aliases.iter().map(String::as_str));
        let permissions = Permissions {
            principals: names.map(str::to_owned).collect(),
            ..Permissions::default()
        };
        let fields = Fields {
            kind: HOST,
            nonce: &nonce,
            subject: &blob,
            key_id: &key_id,
            valid_after,
            valid_before,
            permissions: &permissions,
            ca: ca.0.active_blob(),
        };
        let unnumbered = fields.encode();
        let draft = Self {
            unnumbered: unnumbered.ok_or(ssh::key::InvalidKey::Malformed)?,
            key_id,
            principals: permissions.principals,
            valid_after,
            valid_before,
            key_fingerprint: fingerprint(subject.key),
            ca_fingerprint: ca.0.active_fingerprint().to_owned(),
        };
        lint::to_be_signed(&draft.to_be_signed(1), ca.active())?;
        Ok(draft)
    }

    /// The bytes that the CA signs, with this serial.
    pub(crate) fn to_be_signed(&self, serial: u64) -> Vec<u8> {
        self.unnumbered.with(serial)
    }

    /// SHA-256 of [`HostDraft::to_be_signed`]. The ledger records it before the key is used.
    pub(crate) fn to_be_signed_hash(&self, serial: u64) -> [u8; 32] {
        self.unnumbered.hash_with(serial)
    }

    /// `host/NAME`.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The host's name and aliases.
    pub(crate) fn principals(&self) -> &BTreeSet<String> {
        &self.principals
    }

    /// The first second at which it is valid.
    pub(crate) fn valid_after(&self) -> UnixSeconds {
        self.valid_after
    }

    /// The first second at which it is no longer valid.
    pub(crate) fn valid_before(&self) -> UnixSeconds {
        self.valid_before
    }

    /// `SHA256:...` of the host key.
    pub(crate) fn key_fingerprint(&self) -> &str {
        &self.key_fingerprint
    }

    /// `SHA256:...` of the CA key that must sign.
    pub(crate) fn ca_fingerprint(&self) -> &str {
        &self.ca_fingerprint
    }
}
