//! C2SP tlog-checkpoint in a C2SP signed-note, Ed25519. Pure.
use super::tree::Hash;

/// The signed head of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// The ledger's own signing key.
pub struct Signer;
impl Signer {
    /// `origin` is the key name; `seed` the Ed25519 private key.
    pub fn new(_origin: &str, _seed: &[u8; 32]) -> Result<Self, Error> {
        todo!()
    }
    pub fn verifier(&self) -> Verifier {
        todo!()
    }
    /// The signed note's text.
    pub fn sign(&self, _checkpoint: &Checkpoint) -> String {
        todo!()
    }
}

/// A verifier key: `<name>+<hash>+<keydata>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier;
impl Verifier {
    pub fn parse(_text: &str) -> Result<Self, Error> {
        todo!()
    }
    pub fn origin(&self) -> &str {
        todo!()
    }
    /// Checks the note's signature and parses the checkpoint; its origin is the verifier's name.
    pub fn verify(&self, _note: &str) -> Result<Checkpoint, Error> {
        todo!()
    }
}
impl std::fmt::Display for Verifier {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("checkpoint is malformed: {0}")]
    Malformed(String),
    #[error("no valid signature by {0}")]
    Signature(String),
}
