//! The server's TLS certificate, from a CA of its own whose key is thrown away at once.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use super::paths::Files;
use crate::dev::{Error, files};

/// Makes `tls-ca.pem`, `tls.pem` and `tls.key` if one of them is missing.
pub(super) fn keep(to: &Files, name: &str) -> Result<(), Error> {
    let (certificate, key) = (to.at("tls.pem"), to.at("tls.key"));
    if [&to.tls_ca(), &certificate, &key]
        .iter()
        .all(|it| it.exists())
    {
        return Ok(());
    }
    let made = make(name).map_err(|_| Error::Key("TLS"))?;
    files::write(&key, &made.key)?;
    files::write(&certificate, &made.certificate)?;
    files::write(&to.tls_ca(), &made.ca)
}

struct Made {
    ca: String,
    certificate: String,
    key: String,
}

fn make(name: &str) -> Result<Made, rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    ca.distinguished_name
        .push(DnType::CommonName, "Daypass dev world");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let names = [name, "127.0.0.1"].map(str::to_owned);
    let mut leaf = CertificateParams::new(names)?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &ca)?;
    Ok(Made {
        ca: ca.pem(),
        // With the root, so that its fingerprint is enough for a first contact.
        certificate: leaf.pem() + &ca.pem(),
        key: key.serialize_pem(),
    })
}
