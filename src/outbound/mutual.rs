//! Mutual TLS 1.3 between a server and its signer: each side shows a certificate by the roots that
//! the other one is configured with.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::parse_roots;
use crate::modes;

/// Largest PEM file, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// PEM files of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualTls {
    /// Its certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
    /// The roots of the other side's certificates.
    pub roots: PathBuf,
}

/// Reason why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct MutualTlsError {
    file: String,
    problem: String,
}

fn at(file: &Path) -> impl Fn(&dyn ToString) -> MutualTlsError {
    let file = file.display().to_string();
    move |problem| MutualTlsError {
        file: file.clone(),
        problem: problem.to_string(),
    }
}

impl MutualTls {
    /// The side that listens. Every caller must show a certificate.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, MutualTlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (chain, key, roots) = self.read()?;
        let wrong = at(&self.certificate);
        let callers = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
        let callers = callers.map_err(|error| at(&self.roots)(&error))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| wrong(&error))?
            .with_client_cert_verifier(callers)
            .with_single_cert(chain, key)
            .map_err(|error| wrong(&error))?;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Arc::new(config).into())
    }

    /// The side that calls.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub(crate) fn connector(&self) -> Result<TlsConnector, MutualTlsError> {
        let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
        let (chain, key, roots) = self.read()?;
        let wrong = at(&self.certificate);
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| wrong(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| wrong(&error))?;
        Ok(Arc::new(config).into())
    }

    fn read(
        &self,
    ) -> Result<
        (
            Vec<CertificateDer<'static>>,
            PrivateKeyDer<'static>,
            Arc<RootCertStore>,
        ),
        MutualTlsError,
    > {
        let wrong = at(&self.certificate);
        let pem = modes::read_trusted(&self.certificate, LONGEST).map_err(|error| wrong(&error))?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| wrong(&error))?;
        let wrong = at(&self.key);
        let pem = modes::read_secret(&self.key, LONGEST).map_err(|error| wrong(&error))?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&error))?;
        let wrong = at(&self.roots);
        let pem = modes::read_trusted(&self.roots, LONGEST).map_err(|error| wrong(&error))?;
        let mut roots = RootCertStore::empty();
        for root in parse_roots(&pem).map_err(|error| wrong(&error))? {
            roots.add(root).map_err(|error| wrong(&error))?;
        }
        Ok((chain, key, Arc::new(roots)))
    }
}
