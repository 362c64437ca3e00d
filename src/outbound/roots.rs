//! Files of CA certificates (PEM) that count beside the operating system's roots.

use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Reason why a file of CA certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidRoots {
    #[error("it is not PEM ({0})")]
    Pem(String),
    #[error("it has no certificate")]
    Empty,
    #[error("a certificate in it is broken ({0})")]
    Certificate(rustls::Error),
}

/// Reads the certificates of a PEM file.
///
/// # Errors
/// Returns the error if there is none, or one is broken.
pub(crate) fn parse_roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidRoots> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| InvalidRoots::Pem(error.to_string()))?;
    if certificates.is_empty() {
        return Err(InvalidRoots::Empty);
    }
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(InvalidRoots::Certificate)?;
    }
    Ok(certificates)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_whole_certificate_is_refused() {
        let good = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = good.cert.pem();
        assert_eq!(parse_roots(pem.as_bytes()).unwrap().len(), 1);
        assert_eq!(
            parse_roots(format!("{pem}{pem}").as_bytes()).unwrap().len(),
            2
        );
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = good.signing_key.serialize_pem();
        for (case, text) in [
            ("nothing", ""),
            ("words", "no certificate"),
            ("a private key", &key),
            ("a broken certificate", broken),
            ("cut", &pem[..pem.len() / 2]),
        ] {
            assert!(parse_roots(text.as_bytes()).is_err(), "{case}");
        }
    }
}
