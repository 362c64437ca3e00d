//! OpenSSH key revocation lists (PROTOCOL.krl): what hosts read as `RevokedKeys`. Pure.
//!
//! Only serial lists (0x20) are written. Bitmaps and ranges are where writers go wrong: `ssh-keygen
//! -k` makes files that no sshd reads out of some sequential serials, and an unreadable list locks
//! everyone out. What is encoded is parsed back before it leaves ([`Krl::publish`]), and is never
//! empty bytes, which would revoke nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::wire::{Reader, put_string};
use crate::unix_seconds::UnixSeconds;

/// `SSHKRL\n\0`.
const MAGIC: [u8; 8] = *b"SSHKRL\n\0";

/// `KRL_FORMAT_VERSION`.
const FORMAT: u32 = 1;

/// `KRL_SECTION_CERTIFICATES`.
const CERTIFICATES: u8 = 1;

/// `KRL_SECTION_CERT_SERIAL_LIST`.
const SERIAL_LIST: u8 = 0x20;

/// Says in the file where it is from.
const COMMENT: &[u8] = b"daypass";

/// A pass that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial; 0 cannot be revoked, and no pass has it.
    pub serial: u64,
    /// The blob of the CA key that signed it (RFC 4253 section 6.6). Empty: of any key, for a
    /// CA key that is no longer known; the pass is then still refused.
    pub ca: Vec<u8>,
}

/// A list of revoked passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Krl {
    version: u64,
    made_at: UnixSeconds,
    serials: BTreeMap<Vec<u8>, BTreeSet<u64>>,
}

impl Krl {
    /// These passes. `version` grows with every change of the list, so that a host knows an older
    /// one; `made_at` only dates it.
    pub fn new(
        version: u64,
        made_at: UnixSeconds,
        revoked: impl IntoIterator<Item = Revoked>,
    ) -> Self {
        let mut serials = BTreeMap::<_, BTreeSet<_>>::new();
        for pass in revoked.into_iter().filter(|pass| pass.serial != 0) {
            serials.entry(pass.ca).or_default().insert(pass.serial);
        }
        Self {
            version,
            made_at,
            serials,
        }
    }

    /// Grows with every change of the list.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was made.
    pub(crate) fn made_at(&self) -> UnixSeconds {
        self.made_at
    }

    /// Number of passes that it lists.
    pub fn len(&self) -> usize {
        self.serials.values().map(BTreeSet::len).sum()
    }

    /// Whether it revokes nothing.
    pub fn is_empty(&self) -> bool {
        self.serials.is_empty()
    }

    /// The serials, by the blob of the CA key.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (&[u8], &BTreeSet<u64>)> {
        let sections = self.serials.iter();
        sections.map(|(ca, serials)| (ca.as_slice(), serials))
    }

    /// Whether a host refuses this serial by the CA key with this blob.
    pub fn revokes(&self, ca: &[u8], serial: u64) -> bool {
        let listed = |blob: &[u8]| {
            let serials = self.serials.get(blob);
            serials.is_some_and(|serials| serials.contains(&serial))
        };
        listed(ca) || listed(&[])
    }

    /// The file's bytes, parsed back and compared.
    ///
    /// # Errors
    /// If the bytes do not read back as this list. Nothing may be published then.
    pub fn publish(&self) -> Result<Vec<u8>, Error> {
        let bytes = self.encode();
        match Self::parse(&bytes)? == *self {
            true => Ok(bytes),
            false => Err(Error("it does not say what it should")),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.len().saturating_mul(8));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.made_at.get().to_be_bytes());
        out.extend_from_slice(&0_u64.to_be_bytes());
        put_string(&mut out, b"");
        put_string(&mut out, COMMENT);
        for (ca, serials) in &self.serials {
            put_section(&mut out, CERTIFICATES, &certificates(ca, serials));
        }
        out
    }

    /// Reads a list of the form that is written here, and no other.
    ///
    /// # Errors
    /// If it is cut off, or has trailing bytes, unknown sections or serials out of order.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let (version, made_at) = header(&mut reader)?;
        let mut serials = BTreeMap::new();
        while !reader.is_empty() {
            let (ca, listed) = section(&mut reader)?;
            let is_last = serials.last_key_value().is_none_or(|(last, _)| *last < ca);
            if !is_last {
                return Err(Error("its CA keys are out of order"));
            }
            serials.insert(ca, listed);
        }
        Ok(Self {
            version,
            made_at,
            serials,
        })
    }
}

/// A certificate section's data: CA key, reserved, one serial list.
fn certificates(ca: &[u8], serials: &BTreeSet<u64>) -> Vec<u8> {
    let list: Vec<u8> = serials
        .iter()
        .flat_map(|serial| serial.to_be_bytes())
        .collect();
    let mut data = Vec::with_capacity(list.len().saturating_add(256));
    put_string(&mut data, ca);
    put_string(&mut data, b"");
    put_section(&mut data, SERIAL_LIST, &list);
    data
}

fn put_section(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.push(kind);
    put_string(out, data);
}

fn header(reader: &mut Reader<'_>) -> Result<(u64, UnixSeconds), Error> {
    let mut read = || {
        let magic = reader.u64()?;
        let format = reader.u32()?;
        let (version, made_at, flags) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (reserved, _comment) = (reader.string()?, reader.string()?);
        Some((magic, format, version, made_at, flags, reserved))
    };
    match read() {
        None => Err(Error("its header is cut off")),
        Some((magic, ..)) if magic != u64::from_be_bytes(MAGIC) => Err(Error("it is no KRL")),
        Some((_, FORMAT, version, made_at, 0, [])) => Ok((version, UnixSeconds(made_at))),
        Some(_) => Err(Error("its header has an unknown form")),
    }
}

fn section(reader: &mut Reader<'_>) -> Result<(Vec<u8>, BTreeSet<u64>), Error> {
    let data = typed(reader, CERTIFICATES)?;
    let mut data = Reader::new(data);
    let (Some(ca), Some([])) = (data.string(), data.string()) else {
        return Err(Error("a section's head is cut off"));
    };
    let mut list = Reader::new(typed(&mut data, SERIAL_LIST)?);
    if !data.is_empty() {
        return Err(Error("a section has several lists"));
    }
    let mut serials = BTreeSet::new();
    while !list.is_empty() {
        let serial = list.u64().ok_or(Error("a serial is cut off"))?;
        if serials.last().is_some_and(|last| *last >= serial) || serial == 0 {
            return Err(Error("its serials are out of order"));
        }
        serials.insert(serial);
    }
    match serials.is_empty() {
        true => Err(Error("a list is empty")),
        false => Ok((ca.to_vec(), serials)),
    }
}

/// The data of the next section, which must be of this kind.
fn typed<'a>(reader: &mut Reader<'a>, kind: u8) -> Result<&'a [u8], Error> {
    match reader.byte() {
        Some(found) if found == kind => reader.string().ok_or(Error("a section is cut off")),
        Some(_) => Err(Error("it has a section of another kind")),
        None => Err(Error("a section is missing")),
    }
}

/// Reason why bytes are not a valid list of a Daypass CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revocation list is unusable: {0}")]
pub struct Error(&'static str);

#[cfg(test)]
mod tests;
