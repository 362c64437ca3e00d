//! Checks of every certificate before it leaves the server. Pure.
//!
//! A second opinion: it reads bytes, knows nothing of grants or drafts, and takes only what Daypass
//! means to issue. Stock sshd accepts far more (empty principals, options in the wrong section, key
//! ids with newlines).

use ipnet::IpNet;
use ssh_encoding::Encode as _;
use ssh_key::{Certificate, PublicKey, certificate::CertType};

use crate::ssh::{
    self,
    certificate::{USER, is_key_id, type_name},
    options::{CriticalOption, Extension},
    principal,
    wire::Reader,
};

/// The most bytes a certificate may have; ssh and sshd take four times as much.
pub(super) const MAX_SIZE: usize = 64 * 1024;

/// The most bytes a force-command or the list of source addresses may have.
const MAX_VALUE: usize = 16 * 1024;

/// The longest validity in seconds, 31 days. Longer access needs another kind of credential.
const MAX_VALIDITY: u64 = 31 * 24 * 60 * 60;

/// Fault of a certificate. None of these is the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Over 64 KiB.
    #[error("it has over {MAX_SIZE} bytes")]
    Size,
    /// A field is missing, misplaced or followed by others.
    #[error("its {0} cannot be read")]
    Layout(&'static str),
    /// Shorter than 16 bytes.
    #[error("its nonce is short")]
    Nonce,
    /// The subject key is one that no pass is for.
    #[error("its subject key is refused: {0}")]
    SubjectKey(ssh::key::InvalidKey),
    /// Serial 0 could not be revoked.
    #[error("its serial is 0")]
    Serial,
    /// Not a user certificate.
    #[error("it is not a user certificate")]
    Type,
    /// Outside the grammar of key ids.
    #[error("its key id is not printable ASCII of the form LABEL/ROLE")]
    KeyId,
    /// None (any user), over 256, not in order, or outside the grammar of principals.
    #[error("its principals are not 1 to 256 names in order, each within the grammar")]
    Principals,
    /// Empty, open-ended or over 31 days.
    #[error("its validity is not a span of at most 31 days")]
    Validity,
    /// Unknown, repeated, out of order, or in the wrong section.
    #[error("it has an option that does not belong where it stands: {0:?}")]
    Option(String),
    /// An empty force-command, one with control characters, or one that sshd would split otherwise
    /// than it is written.
    #[error(
        "its force-command is empty, not one line, or has quotes that internal-sftp does not know"
    )]
    Command,
    /// Not canonical CIDRs.
    #[error("its source addresses are not canonical")]
    Source,
    /// Not a host certificate.
    #[error("it is not a host certificate")]
    HostType,
    /// Not `host/` and one of the names.
    #[error("its key id is not host/NAME")]
    HostKeyId,
    /// None (any host), too many, not in order, or not exact host names.
    #[error("its names are not 1 to 32 exact host names in lower case and in order")]
    HostNames,
    /// Empty, open-ended or over 90 days.
    #[error("its validity is not a span of at most 90 days")]
    HostValidity,
    /// A host certificate has no options.
    #[error("its {0} is not empty, and a host certificate has none")]
    HostOption(&'static str),
    /// Something in the field that has no meaning yet.
    #[error("its reserved field is not empty")]
    Reserved,
    /// Not the configured CA's.
    #[error("its CA key is not the configured one")]
    CaKey,
    /// OpenSSH's reading of it and ours differ.
    #[error("it does not read back as what it was written from")]
    NotCanonical,
}

/// Checks the bytes a CA is to sign.
///
/// # Errors
/// The first [`Problem`] found.
pub(crate) fn to_be_signed(bytes: &[u8], ca: &PublicKey) -> Result<(), Problem> {
    unsigned(walk, bytes, ca)
}

/// Checks a complete certificate and parses it. Its signature is not verified here.
///
/// # Errors
/// The first [`Problem`] found.
pub(crate) fn certificate(bytes: &[u8], ca: &PublicKey) -> Result<Certificate, Problem> {
    whole(walk, CertType::User, bytes, ca)
}

/// Walks every signed field of one kind of certificate, strictly; answers with the serial.
pub(super) type Walk = fn(&mut Reader<'_>, usize, &PublicKey) -> Result<u64, Problem>;

/// Checks bytes that end where the signature begins.
pub(super) fn unsigned(walk: Walk, bytes: &[u8], ca: &PublicKey) -> Result<(), Problem> {
    let mut reader = Reader::new(bytes);
    walk(&mut reader, bytes.len(), ca)?;
    end(&reader, "end")
}

/// Checks a certificate of this kind with its signature, and parses it by another reader.
pub(super) fn whole(
    walk: Walk,
    kind: CertType,
    bytes: &[u8],
    ca: &PublicKey,
) -> Result<Certificate, Problem> {
    let mut reader = Reader::new(bytes);
    let serial = walk(&mut reader, bytes.len(), ca)?;
    reader.string().ok_or(Problem::Layout("signature"))?;
    end(&reader, "signature")?;
    let certificate = Certificate::from_bytes(bytes).map_err(|_| Problem::NotCanonical)?;
    let is_same = is_written_as(&certificate, bytes)
        && certificate.serial() == serial
        && certificate.cert_type() == kind
        && !certificate.valid_principals().is_empty()
        && certificate.signature_key() == ca.key_data();
    is_same.then_some(certificate).ok_or(Problem::NotCanonical)
}

/// Whether another writer writes the certificate as it was read.
fn is_written_as(certificate: &Certificate, bytes: &[u8]) -> bool {
    let mut again = Vec::with_capacity(bytes.len());
    certificate.encode(&mut again).is_ok() && again == bytes
}

/// Walks every field that is signed, strictly; answers with the serial.
fn walk(reader: &mut Reader<'_>, size: usize, ca: &PublicKey) -> Result<u64, Problem> {
    let (kind, algorithm) = begin(reader, size)?;
    ssh::key::check_fields(algorithm, reader).map_err(Problem::SubjectKey)?;
    let serial = reader.u64().ok_or(Problem::Layout("serial"))?;
    if serial == 0 {
        return Err(Problem::Serial);
    }
    if reader.u32() != Some(USER) {
        return Err(Problem::Type);
    }
    if !reader.text().is_some_and(is_key_id) {
        return Err(Problem::KeyId);
    }
    check_principals(reader)?;
    if !is_bounded(reader, MAX_VALIDITY)? {
        return Err(Problem::Validity);
    }
    check_critical_options(reader, kind.starts_with("sk-"))?;
    check_extensions(reader)?;
    if reader.string() != Some(b"") {
        return Err(Problem::Reserved);
    }
    if reader.string() != ssh::key::blob_of(ca).ok().as_deref() {
        return Err(Problem::CaKey);
    }
    Ok(serial)
}

/// The certificate's type with the algorithm of its subject key, behind which comes the nonce.
pub(super) fn begin<'a>(
    reader: &mut Reader<'a>,
    size: usize,
) -> Result<(&'a str, &'static str), Problem> {
    if size > MAX_SIZE {
        return Err(Problem::Size);
    }
    let kind = reader.text().ok_or(Problem::Layout("type"))?;
    if reader.string().is_none_or(|nonce| nonce.len() < 16) {
        return Err(Problem::Nonce);
    }
    let mut algorithms = ssh::key::ALGORITHMS.into_iter();
    let found = algorithms.find(|algorithm| type_name(algorithm) == kind);
    Ok((kind, found.ok_or(Problem::Layout("type"))?))
}

/// The principals, in the order in which they stand.
pub(super) fn principals<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a str>, Problem> {
    let mut list = Reader::new(reader.string().ok_or(Problem::Layout("principals"))?);
    let mut names = Vec::new();
    while !list.is_empty() {
        names.push(list.text().ok_or(Problem::Layout("principals"))?);
    }
    Ok(names)
}

/// Whether the validity has a beginning, and lasts for 1 to `most` seconds.
pub(super) fn is_bounded(reader: &mut Reader<'_>, most: u64) -> Result<bool, Problem> {
    let after = reader.u64().ok_or(Problem::Layout("validity"))?;
    let before = reader.u64().ok_or(Problem::Layout("validity"))?;
    let length = before.checked_sub(after);
    Ok(after > 0 && length.is_some_and(|length| (1..=most).contains(&length)))
}

fn end(reader: &Reader<'_>, field: &'static str) -> Result<(), Problem> {
    if reader.is_empty() {
        Ok(())
    } else {
        Err(Problem::Layout(field))
    }
}

fn check_principals(reader: &mut Reader<'_>) -> Result<(), Problem> {
    let names = principals(reader)?;
    let is_valid = (1..=principal::MAX_COUNT).contains(&names.len())
        && names.is_sorted_by(|one, next| one < next)
        && names.iter().all(|name| principal::is_principal(name));
    is_valid.then_some(()).ok_or(Problem::Principals)
}

/// `verify-required` is for security keys: for other keys it would promise what sshd does not do.
/// It has no value.
fn check_critical_options(reader: &mut Reader<'_>, is_security_key: bool) -> Result<(), Problem> {
    for (name, data) in options(reader, "critical options")? {
        let mut data = Reader::new(data);
        let value = match CriticalOption::from_name(name) {
            Some(CriticalOption::VerifyRequired) => "",
            _ => data.text().ok_or(Problem::Layout("critical options"))?,
        };
        end(&data, "critical options")?;
        match CriticalOption::from_name(name) {
            Some(CriticalOption::ForceCommand) => check_command(value)?,
            Some(CriticalOption::SourceAddress) => check_source(value)?,
            Some(CriticalOption::VerifyRequired) if value.is_empty() && is_security_key => {}
            Some(CriticalOption::VerifyRequired) | None => {
                return Err(Problem::Option(name.to_owned()));
            }
        }
    }
    Ok(())
}

fn check_extensions(reader: &mut Reader<'_>) -> Result<(), Problem> {
    for (name, data) in options(reader, "extensions")? {
        let is_known = Extension::ALL.into_iter().any(|known| known.name() == name);
        if !is_known || !data.is_empty() {
            return Err(Problem::Option(name.to_owned()));
        }
    }
    Ok(())
}

/// A section's names and data, each name once and in the order of their bytes.
fn options<'a>(
    reader: &mut Reader<'a>,
    section: &'static str,
) -> Result<Vec<(&'a str, &'a [u8])>, Problem> {
    let mut list = Reader::new(reader.string().ok_or(Problem::Layout(section))?);
    let mut found: Vec<(&str, &[u8])> = Vec::new();
    while !list.is_empty() {
        let name = list.text().ok_or(Problem::Layout(section))?;
        let data = list.string().ok_or(Problem::Layout(section))?;
        if found.last().is_some_and(|(previous, _)| *previous >= name) {
            return Err(Problem::Option(name.to_owned()));
        }
        found.push((name, data));
    }
    Ok(found)
}

/// One line for the login shell: sshd would run an empty command, and control characters as several
/// lines.
fn check_command(command: &str) -> Result<(), Problem> {
    let is_valid = !command.trim().is_empty()
        && command.len() <= MAX_VALUE
        && !command.chars().any(char::is_control)
        && (!is_internal_sftp(command) || is_plain(command));
    is_valid.then_some(()).ok_or(Problem::Command)
}

/// As sshd matches it (session.c, `IS_INTERNAL_SFTP`).
fn is_internal_sftp(command: &str) -> bool {
    let rest = command.strip_prefix("internal-sftp");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Whether splitting at blanks gives the words that were meant: none is quoted, empty, or behind
/// the ninth.
fn is_plain(command: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@,+".contains(c);
    let words: Vec<&str> = command.split(' ').collect();
    let is_word = |word: &&str| !word.is_empty() && word.chars().all(is_plain);
    words.len() <= 9 && words.iter().all(is_word)
}

/// Comma-separated CIDRs in the one spelling that every sshd takes: prefix given, no host bits, no
/// v4-mapped v6.
fn check_source(list: &str) -> Result<(), Problem> {
    let is_canonical = |text: &str| match text.parse::<IpNet>() {
        Ok(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => false,
        Ok(network) => network.trunc() == network && network.to_string() == text,
        Err(_) => false,
    };
    let is_valid = list.len() <= MAX_VALUE && list.split(',').all(is_canonical);
    is_valid.then_some(()).ok_or(Problem::Source)
}

#[cfg(test)]
mod tests;
