//! Comparison of what an event says with the bytes of its certificate. Pure.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use ssh_key::{Certificate, PublicKey};

use crate::{
    ca::{draft::key_id, signer::refusal::Fault},
    ledger::event::{HostCertified, Issued},
    ssh::{certificate::host_key_id, key::fingerprint, permissions::Permissions},
};

/// Checks that the recorded hash is that of these bytes.
pub(super) fn expect_bytes(recorded: &str, bytes: &[u8]) -> Result<(), Fault> {
    match recorded == base16ct::lower::encode_string(&Sha256::digest(bytes)) {
        true => Ok(()),
        false => Err(Fault::Bytes),
    }
}

/// How long it is valid, with the time by which it is backdated.
pub(super) fn seconds(certificate: &Certificate) -> u64 {
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    before.saturating_sub(after)
}

/// [`same_words`] of a host certificate.
pub(super) fn same_host(
    certified: &HostCertified,
    certificate: &Certificate,
    ca: &PublicKey,
) -> Result<(), Fault> {
    let subject = PublicKey::from(certificate.public_key().clone());
    let names = certificate.valid_principals().iter().cloned();
    let comparisons = [
        (
            "name",
            certified.principals == names.collect::<BTreeSet<_>>(),
        ),
        ("key", certified.key == fingerprint(&subject)),
        ("key id", certified.key_id == certificate.key_id()),
        ("host", certified.key_id == host_key_id(&certified.host)),
        ("CA key", certified.ca == fingerprint(ca)),
        (
            "validity",
            certified.valid_after.get() == certificate.valid_after()
                && certified.valid_before.get() == certificate.valid_before(),
        ),
    ];
    match comparisons.into_iter().find(|(_, is_same)| !is_same) {
        Some((what, _)) => Err(Fault::Words(what)),
        None => Ok(()),
    }
}

/// Compares the event's words with the certificate. The hash binds the bytes; people and `ledger
/// verify` read the words.
pub(super) fn same_words(
    issued: &Issued,
    certificate: &Certificate,
    ca: &PublicKey,
) -> Result<Permissions, Fault> {
    let permissions = Permissions::of(certificate).map_err(|_| Fault::Words("option"))?;
    let subject = PublicKey::from(certificate.public_key().clone());
    let comparisons = [
        ("permission", issued.permissions == permissions),
        ("key", issued.key == fingerprint(&subject)),
        ("key id", issued.key_id == certificate.key_id()),
        ("holder", issued.key_id == key_id_of(issued)),
        ("CA key", issued.ca == fingerprint(ca)),
        (
            "validity",
            issued.valid_after.get() == certificate.valid_after()
                && issued.valid_before.get() == certificate.valid_before(),
        ),
    ];
    match comparisons.into_iter().find(|(_, is_same)| !is_same) {
        Some((what, _)) => Err(Fault::Words(what)),
        None => Ok(permissions),
    }
}

/// The key id of a pass for this holder: hosts' logs name them by it.
fn key_id_of(issued: &Issued) -> String {
    let by = issued.on_behalf.as_ref().map(|it| it.by.label.as_str());
    key_id::compose(&issued.who.label, by, &issued.ask.role)
}
