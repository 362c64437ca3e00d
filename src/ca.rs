//! The certificate authority: `sign(Draft, Receipt)`.
pub mod draft;
pub mod key;
pub mod lint;

use crate::ledger::Receipt;
pub use draft::Draft;
use ssh_key::{Certificate, PublicKey};

/// A key's place in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    Staged,
    Active,
    Retired,
}

/// The CA's keys; exactly one is active.
pub struct Ca;

impl Ca {
    pub fn new(_keys: Vec<(key::Key, KeyState)>) -> Result<Self, Error> {
        todo!()
    }
    /// The key new passes are signed with.
    pub fn active(&self) -> &PublicKey {
        todo!()
    }
    pub fn keys(&self) -> impl Iterator<Item = (&PublicKey, KeyState)> {
        std::iter::empty()
    }
    /// Signs what the receipt recorded: rebuilds the bytes at the receipt's serial, compares their hash, signs,
    /// lints the whole certificate and verifies the signature with the configured key.
    pub fn sign(&self, _draft: Draft, _receipt: Receipt) -> Result<Certificate, Error> {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("subject key is refused: {0}")]
    SubjectKey(String),
    #[error("certificate does not pass the linter: {0}")]
    Lint(String),
    #[error("receipt is not for this draft")]
    Receipt,
    #[error("CA key failed to sign: {0}")]
    Key(String),
}
