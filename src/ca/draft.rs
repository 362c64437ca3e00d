//! The to-be-signed certificate: our own encoder of OpenSSH user certificates. Pure.
//!
//! The layout is PROTOCOL.certkeys (draft-miller-ssh-cert): a subject key's own fields between a nonce and the serial,
//! then type, key id, principals, validity, critical options, extensions and the CA's key.

mod key_id;

use std::{collections::BTreeSet, time::Duration};

use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, PublicKey};
use time::OffsetDateTime;

pub(super) use key_id::is_key_id;

use super::{Ca, Error, lint};
use crate::{
    identity::KeyHolder,
    policy::Grant,
    ssh::{
        self,
        permissions::Permissions,
        wire::{self, Reader, put_string},
    },
    unix_seconds::UnixSeconds,
};

/// How far a pass's validity reaches back, for hosts whose clock is behind.
pub const BACKDATE: Duration = Duration::from_secs(60);

/// `SSH_CERT_TYPE_USER`.
pub(super) const USER: u32 = 1;

/// A certificate that lacks serial and signature. Only [`Draft::new`] makes one, from a proven holder and a grant.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The to-be-signed bytes before the serial, and those after it.
    head: Vec<u8>,
    tail: Vec<u8>,
    key_id: String,
    valid_after: u64,
    valid_before: u64,
    key_fingerprint: String,
    ca_fingerprint: String,
}

impl Draft {
    /// Writes down what `grant` allows for `holder`'s key, to be signed by `ca`'s active key: valid from [`BACKDATE`]
    /// before `now`, for the grant's lifetime counted from `now`. `nonce` is random and used once.
    ///
    /// # Errors
    /// [`Error::SubjectKey`] for a key no pass is for, the CA's own among them; [`Error::Lint`] where the grant does not
    /// make a sound certificate, so that nothing unsound is ever recorded.
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
        let now = UnixSeconds::from(now).get();
        let parts = Parts {
            nonce: &nonce,
            subject: &subject,
            key_id: key_id::compose(holder.identity().label(), grant.role()),
            valid_after: now.saturating_sub(BACKDATE.as_secs()),
            valid_before: now.saturating_add(grant.ttl().as_secs()),
            permissions: &permissions(grant),
            ca: &ca.active().to_bytes().map_err(|_| lint::Problem::CaKey)?,
        };
        let draft = parts.assemble().ok_or(ssh::key::InvalidKey::Malformed)?;
        lint::to_be_signed(&draft.to_be_signed(1), ca.active())?;
        Ok(Self {
            key_fingerprint: fingerprint(holder.key()),
            ca_fingerprint: fingerprint(ca.active()),
            ..draft
        })
    }

    /// The exact bytes a CA signs, at this serial.
    pub fn to_be_signed(&self, serial: u64) -> Vec<u8> {
        [&self.head[..], &serial.to_be_bytes(), &self.tail].concat()
    }

    /// SHA-256 of [`Draft::to_be_signed`]: what the ledger records before the key is used.
    pub fn to_be_signed_hash(&self, serial: u64) -> [u8; 32] {
        Sha256::new()
            .chain_update(&self.head)
            .chain_update(serial.to_be_bytes())
            .chain_update(&self.tail)
            .finalize()
            .into()
    }

    /// `LABEL/ROLE`, printable ASCII without spaces, at most 256 bytes.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// When the pass begins to be valid, in Unix seconds.
    pub fn valid_after(&self) -> u64 {
        self.valid_after
    }

    /// When it ends, in Unix seconds: the first second at which it is no longer valid.
    pub fn valid_before(&self) -> u64 {
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

/// Reads a subject key from its OpenSSH text, as it comes off the wire.
///
/// # Errors
/// [`Error::SubjectKey`] for keys no pass is for, before any mathematics.
pub fn parse_subject_key(text: &str) -> Result<PublicKey, Error> {
    Ok(ssh::key::parse(text)?)
}

/// A key as the ledger names it (`SHA256:...`).
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn permissions(grant: &Grant) -> Permissions {
    Permissions {
        principals: grant.principals().clone(),
        force_command: grant.command().map(str::to_owned),
        source_addresses: grant.source().cloned(),
        extensions: grant.extensions().clone(),
    }
}

/// Every field of a certificate but its serial.
struct Parts<'a> {
    nonce: &'a [u8],
    /// The subject key's blob.
    subject: &'a [u8],
    key_id: String,
    valid_after: u64,
    valid_before: u64,
    permissions: &'a Permissions,
    /// The CA key's blob.
    ca: &'a [u8],
}

impl Parts<'_> {
    /// `None` where the subject is not a key's blob.
    fn assemble(self) -> Option<Draft> {
        Some(Draft {
            head: self.head()?,
            tail: self.tail(),
            key_id: self.key_id,
            valid_after: self.valid_after,
            valid_before: self.valid_before,
            key_fingerprint: String::new(),
            ca_fingerprint: String::new(),
        })
    }

    fn head(&self) -> Option<Vec<u8>> {
        let mut subject = Reader::new(self.subject);
        let kind = certificate_type(subject.text()?);
        let mut head = Vec::with_capacity(self.subject.len().saturating_add(128));
        put_string(&mut head, kind.as_bytes());
        put_string(&mut head, self.nonce);
        head.extend_from_slice(subject.rest());
        Some(head)
    }

    fn tail(&self) -> Vec<u8> {
        let mut tail = Vec::with_capacity(512);
        tail.extend_from_slice(&USER.to_be_bytes());
        put_string(&mut tail, self.key_id.as_bytes());
        put_string(&mut tail, &strings(&self.permissions.principals));
        tail.extend_from_slice(&self.valid_after.to_be_bytes());
        tail.extend_from_slice(&self.valid_before.to_be_bytes());
        put_string(&mut tail, &self.encoded_critical_options());
        put_string(&mut tail, &self.encoded_extensions());
        put_string(&mut tail, b"");
        put_string(&mut tail, self.ca);
        tail
    }

    /// Each value is a string within a string.
    fn encoded_critical_options(&self) -> Vec<u8> {
        let mut section = Vec::new();
        for (option, value) in self.permissions.critical_options() {
            put_string(&mut section, option.name().as_bytes());
            put_string(&mut section, &wire::string(value.as_bytes()));
        }
        section
    }

    /// A permission's value is empty.
    fn encoded_extensions(&self) -> Vec<u8> {
        let mut section = Vec::new();
        for name in self.permissions.extension_names() {
            put_string(&mut section, name.as_bytes());
            put_string(&mut section, b"");
        }
        section
    }
}

/// `ssh-ed25519` -> `ssh-ed25519-cert-v01@openssh.com`; `sk-...@openssh.com` keeps one domain.
pub(super) fn certificate_type(algorithm: &str) -> String {
    let name = algorithm.strip_suffix("@openssh.com").unwrap_or(algorithm);
    format!("{name}-cert-v01@openssh.com")
}

fn strings(items: &BTreeSet<String>) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        put_string(&mut out, item.as_bytes());
    }
    out
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
