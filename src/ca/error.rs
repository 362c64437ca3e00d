//! The CA's errors: why there is no pass.

use super::{key, lint};
use crate::ssh;

/// Reason why no pass was signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's key is one that no pass is for; another key would do.
    #[error("subject key is refused: {0}")]
    SubjectKey(#[from] ssh::key::InvalidKey),
    /// The draft or the certificate failed the lint.
    #[error("certificate does not pass the linter: {0}")]
    Lint(#[from] lint::Problem),
    /// The ledger recorded other bytes than these.
    #[error("receipt is not for this draft")]
    Receipt,
    /// The configured keys do not make a CA.
    #[error("CA keys are unusable: {0}")]
    Keys(&'static str),
    /// A key file cannot be used.
    #[error(transparent)]
    File(#[from] key::file::Error),
    /// The key did not sign.
    #[error("CA key failed to sign")]
    Key,
    /// The signature is not the configured key's.
    #[error("CA key answered with a signature that is not its own")]
    Signature,
}
