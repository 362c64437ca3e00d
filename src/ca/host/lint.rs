//! Checks of every host certificate before it leaves the server. Pure.
//!
//! As [`crate::ca::lint`] for passes: it reads bytes, and takes only what Daypass means to issue. A
//! host certificate has exact names, a key id `host/NAME`, and no option at all.

use ssh_key::{Certificate, PublicKey, certificate::CertType};

use crate::{
    ca::lint::{self, Problem},
    ssh::{
        self,
        certificate::{HOST, host_key_id},
        host_name::is_host_name,
        wire::Reader,
    },
};

/// The most names of one host.
pub(crate) const MAX_NAMES: usize = 32;

/// The longest validity in seconds: 90 days, and the time by which it is backdated.
const MAX_VALIDITY: u64 = 90 * 24 * 60 * 60 + 300;

/// Checks the bytes a host CA is to sign.
///
/// # Errors
/// The first [`Problem`] found.
pub(crate) fn to_be_signed(bytes: &[u8], ca: &PublicKey) -> Result<(), Problem> {
    lint::unsigned(walk, bytes, ca)
}

/// Checks a complete host certificate and parses it. Its signature is not verified here.
///
/// # Errors
/// The first [`Problem`] found.
pub(crate) fn certificate(bytes: &[u8], ca: &PublicKey) -> Result<Certificate, Problem> {
    lint::whole(walk, CertType::Host, bytes, ca)
}

/// Walks every field that is signed, strictly; answers with the serial.
fn walk(reader: &mut Reader<'_>, size: usize, ca: &PublicKey) -> Result<u64, Problem> {
    let (_, algorithm) = lint::begin(reader, size)?;
    ssh::key::check_host_fields(algorithm, reader).map_err(Problem::SubjectKey)?;
    let serial = reader.u64().ok_or(Problem::Layout("serial"))?;
    if serial == 0 {
        return Err(Problem::Serial);
    }
    if reader.u32() != Some(HOST) {
        return Err(Problem::HostType);
    }
    let key_id = reader.text().ok_or(Problem::HostKeyId)?;
    check_names(reader, key_id)?;
    if !lint::is_bounded(reader, MAX_VALIDITY)? {
        return Err(Problem::HostValidity);
    }
    for section in ["critical options", "extensions", "reserved field"] {
        match reader.string() {
            Some([]) => {}
            Some(_) => return Err(Problem::HostOption(section)),
            None => return Err(Problem::Layout(section)),
        }
    }
    if reader.string() != ca.to_bytes().ok().as_deref() {
        return Err(Problem::CaKey);
    }
    Ok(serial)
}

/// Without names, a certificate would be one for every host.
fn check_names(reader: &mut Reader<'_>, key_id: &str) -> Result<(), Problem> {
    let names = lint::principals(reader)?;
    let is_valid = (1..=MAX_NAMES).contains(&names.len())
        && names.is_sorted_by(|one, next| one < next)
        && names.iter().all(|name| is_host_name(name));
    if !is_valid {
        return Err(Problem::HostNames);
    }
    match names.iter().any(|name| host_key_id(name) == key_id) {
        true => Ok(()),
        false => Err(Problem::HostKeyId),
    }
}
