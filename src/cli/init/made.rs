//! The result of `daypass init`: what its next steps are told from.

use std::path::PathBuf;

use serde::Serialize;

/// File name of a self-signed TLS certificate.
pub(super) const TLS_CERTIFICATE: &str = "tls.pem";

/// The signer that was made beside the server.
#[derive(Debug, Serialize)]
pub(super) struct MadeSigner {
    pub(super) dir: PathBuf,
    pub(super) files: Vec<&'static str>,
    pub(super) owner: Option<String>,
}

/// Files that were made.
#[derive(Debug, Serialize)]
pub(super) struct Made {
    pub(super) dir: PathBuf,
    pub(super) files: Vec<&'static str>,
    pub(super) ca_key: String,
    pub(super) ledger: String,
    pub(super) server: String,
    /// Whether the server has a page for approvers.
    pub(super) web: bool,
    /// The fingerprint of the key that signs host certificates; none if the server knows no hosts.
    pub(super) host_ca_key: Option<String>,
    /// The signer that keeps the CA key; none if the server does.
    pub(super) signer: Option<MadeSigner>,
    pub(super) owner: Option<String>,
    /// The fingerprint of a self-signed TLS certificate; none if it is another one.
    pub(super) self_signed: Option<String>,
    pub(super) example_issuer: bool,
}
