//! The draft of a pass: the certificate's bytes before it has a serial and a signature. Pure.
//!
//! A draft is linted before it is recorded: what cannot become a valid certificate never gets an
//! event. `encode` has the format.

mod encode;
pub(super) mod key_id;

use ssh_key::PublicKey;
use time::OffsetDateTime;

pub(super) use encode::{Fields, Unnumbered};

use super::{error::Error, keys::Ca, lint};
use crate::{
    identity::KeyHolder,
    policy::Grant,
    ssh::{
        self,
        certificate::{BACKDATE, USER},
    },
    unix_seconds::UnixSeconds,
};

use ssh::key::fingerprint;

/// A certificate without serial and signature. Only [`Draft::new`] makes one, from a proven key
/// holder and a grant.
#[derive(Clone, Debug)]
pub struct Draft {
    unnumbered: Unnumbered,
    key_id: String,
    valid_after: UnixSeconds,
    valid_before: UnixSeconds,
    key_fingerprint: String,
    ca_fingerprint: String,
}

impl Draft {
    /// Drafts a pass with the permissions of `grant` for `holder`'s key, to be signed by `ca`'s
    /// active key. It is valid from [`BACKDATE`] before `now`, for the grant's lifetime after
    /// `now`. `nonce` is random and used once.
    ///
    /// # Errors
    /// Returns [`Error::SubjectKey`] if no pass is made for such a key, such as the CA's own.
    /// Returns [`Error::Lint`] if the grant makes no valid certificate.
    pub fn new(
        holder: &KeyHolder,
        grant: &Grant,
        ca: &Ca,
        nonce: [u8; 32],
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let subject = ssh::key::check(holder.key())?;
        if ca
            .keys()
            .any(|(key, _)| key.key_data() == holder.key().key_data())
        {
            return Err(ssh::key::InvalidKey::CaKey.into());
        }
        grant.permissions().expect_key(holder.key())?;
        let now = UnixSeconds::from(now);
        let valid_after = now.saturating_sub(BACKDATE);
        let valid_before = now.saturating_add(grant.ttl());
        let key_id = key_id::compose(
            holder.identity().label(),
            holder.on_behalf().map(|it| it.by().label()),
            grant.role(),
        );
        let fields = Fields {
            kind: USER,
            nonce: &nonce,
            subject: &subject,
            key_id: &key_id,
            valid_after,
            valid_before,
            permissions: grant.permissions(),
            ca: ca.active_blob(),
        };
        let unnumbered = fields.encode();
        let draft = Self {
            unnumbered: unnumbered.ok_or(ssh::key::InvalidKey::Malformed)?,
            key_id,
            valid_after,
            valid_before,
            key_fingerprint: fingerprint(holder.key()),
            ca_fingerprint: ca.active_fingerprint().to_owned(),
        };
        // The serial does not matter to the linter, except that it is not 0.
        lint::to_be_signed(&draft.to_be_signed(1), ca.active())?;
        Ok(draft)
    }

    /// The bytes that the CA signs, with this serial.
    pub(crate) fn to_be_signed(&self, serial: u64) -> Vec<u8> {
        self.unnumbered.with(serial)
    }

    /// SHA-256 of [`Draft::to_be_signed`]. The ledger records it before the key is used.
    pub(crate) fn to_be_signed_hash(&self, serial: u64) -> [u8; 32] {
        self.unnumbered.hash_with(serial)
    }

    /// `LABEL/ROLE`, or `LABEL~via~LABEL/ROLE` on behalf of the first label: printable ASCII
    /// without spaces, at most 256 bytes.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The first second at which the pass is valid, in Unix seconds.
    pub fn valid_after(&self) -> UnixSeconds {
        self.valid_after
    }

    /// The first second at which it is no longer valid, in Unix seconds.
    pub fn valid_before(&self) -> UnixSeconds {
        self.valid_before
    }

    /// `SHA256:...` of the subject key.
    pub fn key_fingerprint(&self) -> &str {
        &self.key_fingerprint
    }

    /// `SHA256:...` of the CA key that must sign.
    pub fn ca_fingerprint(&self) -> &str {
        &self.ca_fingerprint
    }
}

/// Reads a subject key from its OpenSSH text, as it comes from the wire.
///
/// # Errors
/// Returns [`Error::SubjectKey`] if no pass is made for such a key.
pub fn parse_subject_key(text: &str) -> Result<PublicKey, Error> {
    Ok(ssh::key::parse(text)?)
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
