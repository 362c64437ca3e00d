//! The encoder of the bytes that a CA signs, for OpenSSH certificates. Pure.
//!
//! The layout is PROTOCOL.certkeys (draft-miller-ssh-cert): the certificate type, a nonce, the
//! subject key's own fields, the serial, then the type (user or host), key id, principals,
//! validity, critical options, extensions, a reserved string and the CA's key.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::{
    ssh::{
        certificate::type_name,
        options::CriticalOption,
        permissions::Permissions,
        wire::{self, Reader, put_string},
    },
    unix_seconds::UnixSeconds,
};

/// The to-be-signed bytes of a certificate that has no serial yet.
#[derive(Clone, Debug)]
pub(in crate::ca) struct Unnumbered {
    /// The bytes before the serial.
    head: Vec<u8>,
    /// Those after it.
    tail: Vec<u8>,
}

impl Unnumbered {
    pub(in crate::ca) fn with(&self, serial: u64) -> Vec<u8> {
        [&self.head[..], &serial.to_be_bytes(), &self.tail].concat()
    }

    /// SHA-256 of [`Unnumbered::with`] this serial.
    pub(in crate::ca) fn hash_with(&self, serial: u64) -> [u8; 32] {
        Sha256::new()
            .chain_update(&self.head)
            .chain_update(serial.to_be_bytes())
            .chain_update(&self.tail)
            .finalize()
            .into()
    }
}

/// Every field of a certificate except its serial and signature.
pub(in crate::ca) struct Fields<'a> {
    /// `USER` or `HOST`.
    pub(in crate::ca) kind: u32,
    pub(in crate::ca) nonce: &'a [u8],
    /// The subject key's blob.
    pub(in crate::ca) subject: &'a [u8],
    pub(in crate::ca) key_id: &'a str,
    pub(in crate::ca) valid_after: UnixSeconds,
    pub(in crate::ca) valid_before: UnixSeconds,
    pub(in crate::ca) permissions: &'a Permissions,
    /// The CA key's blob.
    pub(in crate::ca) ca: &'a [u8],
}

impl Fields<'_> {
    /// All bytes but the serial. `None` if the subject is not a key's blob.
    pub(in crate::ca) fn encode(&self) -> Option<Unnumbered> {
        Some(Unnumbered {
            head: self.head()?,
            tail: self.tail(),
        })
    }

    fn head(&self) -> Option<Vec<u8>> {
        let mut subject = Reader::new(self.subject);
        let kind = type_name(subject.text()?);
        let mut head = Vec::with_capacity(self.subject.len().saturating_add(128));
        put_string(&mut head, kind.as_bytes());
        put_string(&mut head, self.nonce);
        head.extend_from_slice(subject.rest());
        Some(head)
    }

    fn tail(&self) -> Vec<u8> {
        let mut tail = Vec::with_capacity(512);
        tail.extend_from_slice(&self.kind.to_be_bytes());
        put_string(&mut tail, self.key_id.as_bytes());
        put_string(&mut tail, &strings(&self.permissions.principals));
        tail.extend_from_slice(&self.valid_after.get().to_be_bytes());
        tail.extend_from_slice(&self.valid_before.get().to_be_bytes());
        put_string(&mut tail, &self.encoded_critical_options());
        put_string(&mut tail, &self.encoded_extensions());
        put_string(&mut tail, b"");
        put_string(&mut tail, self.ca);
        tail
    }

    /// A value is a string within a string; `verify-required` has none.
    fn encoded_critical_options(&self) -> Vec<u8> {
        let mut section = Vec::new();
        for (option, value) in self.permissions.critical_options() {
            put_string(&mut section, option.name().as_bytes());
            match option {
                CriticalOption::VerifyRequired => put_string(&mut section, b""),
                CriticalOption::ForceCommand | CriticalOption::SourceAddress => {
                    put_string(&mut section, &wire::string(value.as_bytes()));
                }
            }
        }
        section
    }

    /// An extension's value is empty.
    fn encoded_extensions(&self) -> Vec<u8> {
        let mut section = Vec::new();
        for name in self.permissions.extension_names() {
            put_string(&mut section, name.as_bytes());
            put_string(&mut section, b"");
        }
        section
    }
}

fn strings(items: &BTreeSet<String>) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        put_string(&mut out, item.as_bytes());
    }
    out
}
