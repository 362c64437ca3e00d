//! The first contact with a server that has a private certificate: its certificate, or that of a CA
//! in the chain that it sends, is recognized by its fingerprint.
//!
//! The fingerprint replaces the root alone. Name, time and signatures are checked as ever, so that
//! later connections, which trust the certificate as a root, do not fail.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::CryptoProvider,
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{CertificateFault, CertificateFingerprint, certificate_fault};

/// The certificates of a chain at most that are compared.
const LONGEST: usize = 16;

/// A first contact that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FirstContactError {
    /// No certificate of the server has the fingerprint.
    #[error(
        "the server's certificate has another fingerprint: expected {expected}, but it sent {}. Either the fingerprint is \
         of another server or another key (that of a CA key is for --ca-fingerprint), or another machine answers in its \
         place: compare with the server's operators, and do not go on before",
        shown(sent)
    )]
    Other {
        /// The fingerprint that was asked for.
        expected: CertificateFingerprint,
        /// The fingerprints of the server's certificates, its own first.
        sent: Vec<CertificateFingerprint>,
    },
    /// The fingerprint is of a certificate that a CA has issued, so it is no root.
    #[error(
        "the certificate with this fingerprint is issued by a CA, so trusting it alone is not enough: ask the server's \
         operators for the CA's certificate, and name its file with --ca-file"
    )]
    Issued,
    /// The certificate has another fault.
    #[error("{}", .0.explain("daypass login --server-fingerprint SHA256:..."))]
    Fault(CertificateFault),
    /// The connection broke.
    #[error("the TLS handshake failed: {0}")]
    Broken(String),
}

/// Shakes hands with the server `name` on a connected stream. Returns its certificate with this
/// fingerprint as PEM, for a file of roots.
///
/// # Errors
/// Returns the fault of the certificate or of the handshake.
pub(crate) async fn first_contact<S>(
    stream: S,
    name: ServerName<'static>,
    expected: CertificateFingerprint,
) -> Result<String, FirstContactError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: rustls::Error| FirstContactError::Broken(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Recognizer {
        provider: Arc::clone(&provider),
        expected,
        sent: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let connected = connected.await.map(|_| ());
    let sent = verifier.sent.lock().clone();
    let recognized = sent
        .iter()
        .find(|der| CertificateFingerprint::of(der) == expected);
    match (recognized, connected) {
        (Some(certificate), Ok(())) => Ok(pem(certificate)),
        (None, _) if !sent.is_empty() => Err(FirstContactError::Other {
            expected,
            sent: sent
                .iter()
                .map(|der| CertificateFingerprint::of(der))
                .collect(),
        }),
        (_, Err(error)) => Err(match certificate_fault(&error) {
            Some(CertificateFault::Issuer) => FirstContactError::Issued,
            Some(fault) => FirstContactError::Fault(fault),
            None => FirstContactError::Broken(error.to_string()),
        }),
        (None, Ok(())) => Err(FirstContactError::Broken(
            "it sent no certificate".to_owned(),
        )),
    }
}

/// The fingerprint by which a client recognizes a server that sends this chain: that of its last
/// certificate. None if no client would accept the chain by it.
pub(crate) fn recognizable(chain: &[CertificateDer<'_>]) -> Option<CertificateFingerprint> {
    let (own, intermediates) = chain.split_first()?;
    let root = chain.last()?;
    let mut roots = RootCertStore::empty();
    roots.add(root.clone().into_owned()).ok()?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(own).ok()?,
        &roots,
        intermediates,
        UnixTime::now(),
        provider.signature_verification_algorithms.all,
    )
    .ok()?;
    Some(CertificateFingerprint::of(root))
}

/// Accepts a chain that has the certificate with the fingerprint, and is valid if this one is
/// trusted as a root.
#[derive(Debug)]
struct Recognizer {
    provider: Arc<CryptoProvider>,
    expected: CertificateFingerprint,
    /// The certificates that the server sent, its own first.
    sent: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Recognizer {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(own).chain(intermediates).take(LONGEST);
        let chain: Vec<_> = chain.map(|it| it.clone().into_owned()).collect();
        self.sent.lock().clone_from(&chain);
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let mut chain = chain.into_iter();
        let root = chain
            .find(|der| CertificateFingerprint::of(der) == self.expected)
            .ok_or(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(own, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn shown(fingerprints: &[CertificateFingerprint]) -> String {
    let texts: Vec<String> = fingerprints.iter().map(ToString::to_string).collect();
    texts.join(", issued by ")
}

/// A certificate as PEM (RFC 7468).
fn pem(certificate: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut base64 = STANDARD.encode(certificate);
    while base64.len() > 64 {
        let rest = base64.split_off(64);
        text.push_str(&base64);
        text.push('\n');
        base64 = rest;
    }
    text.push_str(&base64);
    text.push_str("\n-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::outbound::parse_roots;

    #[test]
    fn a_certificate_written_as_pem_comes_back() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let parsed = parse_roots(pem(made.cert.der()).as_bytes()).unwrap();
        assert_eq!(parsed, [made.cert.der().clone()]);
    }

    #[test]
    fn the_last_certificate_of_a_chain_is_recognized_if_it_has_issued_the_others() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let own = own.cert.der().clone();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        let key = || rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertifiedIssuer::self_signed(params, key()).unwrap();
        let leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key(), &ca).unwrap().der().clone();
        let of = |der: &[u8]| Some(CertificateFingerprint::of(der));
        for (case, chain, expected) in [
            ("self-signed", vec![own.clone()], of(&own)),
            (
                "a chain with its root",
                vec![leaf.clone(), ca.der().clone()],
                of(ca.der()),
            ),
            ("without its root", vec![leaf.clone()], None),
            ("with another one", vec![leaf, own], None),
            ("none", vec![], None),
        ] {
            assert_eq!(recognizable(&chain), expected, "{case}");
        }
    }
}
