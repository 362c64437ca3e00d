//! The CA's errors: why there is no pass.

use super::lint;
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
    /// The key did not sign.
    #[error("CA key failed to sign")]
    Key,
    /// Another program keeps the key, and does not answer.
    #[error("CA key {key}: {why}")]
    Away {
        /// Its fingerprint.
        key: String,
        /// The cause.
        why: String,
    },
    /// The ledger says that this key signs, and this server does not have it.
    #[error(
        "this server does not have the CA key {key}, which signs by the administrators' orders in the ledger: add its \
         [[ca.key]] to daypass.toml and start daypass serve again. If it is lost, see `daypass help server`: The active key \
         is lost"
    )]
    Absent {
        /// Its fingerprint.
        key: String,
    },
    /// The program that keeps the key does not sign this, now or later.
    #[error("CA key {key}: refused by the signer: {why}")]
    Refused {
        /// Its fingerprint.
        key: String,
        /// The cause.
        why: String,
    },
    /// The signature is not the configured key's.
    #[error("CA key answered with a signature that is not its own")]
    Signature,
}
