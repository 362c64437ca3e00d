//! TLS 1.3 with rustls and aws-lc-rs. The certificate can be replaced while the server runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::certificate::Facts;
use crate::{
    modes,
    outbound::{self, CertificateFingerprint},
};
use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};

/// Largest PEM file, in bytes: a chain of many certificates.
const LONGEST: u64 = 1024 * 1024;

/// Certificate and key of the server. Cheap to clone: clones share what [`Tls::reload`] loads.
#[derive(Clone)]
pub struct Tls(Arc<Certificate>);

impl Tls {
    /// Reads a PEM certificate chain and its PEM key.
    ///
    /// # Errors
    /// If a file cannot be read or is not PEM, or if the key is not the certificate's.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = read(certificate, key, &provider)?;
        Ok(Self(Arc::new(Certificate {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider,
            current: ArcSwap::from_pointee(current),
        })))
    }

    /// Reads the same files again. Returns true if the certificate has changed. Open connections
    /// keep the old certificate. After an error the old certificate stays in use.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reload(&self) -> Result<bool, Error> {
        let fresh = read(&self.0.certificate, &self.0.key, &self.0.provider)?;
        let old = self.0.current.swap(Arc::new(fresh));
        Ok(old.cert != self.0.current.load().cert)
    }

    /// Reads the names and the validity of the certificate in use.
    ///
    /// # Errors
    /// Returns the fault if it is not an X.509 certificate.
    pub(crate) fn facts(&self) -> Result<Facts, String> {
        let current = self.0.current.load();
        let leaf = current.cert.first().ok_or("it holds no certificate")?;
        Facts::of(leaf)
    }

    /// The fingerprint by which a client recognizes the certificate in use at its first contact;
    /// none if it has to know the CA already.
    pub fn fingerprint(&self) -> Option<CertificateFingerprint> {
        outbound::recognizable(&self.0.current.load().cert)
    }

    /// The fingerprint of the server's own certificate, the first of the chain in use.
    pub(crate) fn own_fingerprint(&self) -> Option<CertificateFingerprint> {
        let current = self.0.current.load();
        current
            .cert
            .first()
            .map(|own| CertificateFingerprint::of(own))
    }

    /// Builds the acceptor: TLS 1.3 only, h2 and HTTP/1.1, no tickets, no resumption, no early
    /// data.
    pub(super) fn acceptor(&self) -> Result<tokio_rustls::TlsAcceptor, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(self.0.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Arc::new(config).into())
    }
}

#[derive(Debug)]
struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// Reason why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct Error {
    /// The file at fault.
    pub file: String,
    /// Description of the problem.
    pub problem: String,
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let at = |path: &Path, problem: &dyn ToString| Error {
        file: path.display().to_string(),
        problem: problem.to_string(),
    };
    let pem =
        modes::read_trusted(certificate, LONGEST).map_err(|problem| at(certificate, &problem))?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| at(certificate, &error))?;
    if chain.is_empty() {
        return Err(at(certificate, &"holds no PEM certificate"));
    }
    let pem = modes::read_secret(key, LONGEST).map_err(|problem| at(key, &problem))?;
    let private = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| at(key, &error))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| at(key, &error))
}
