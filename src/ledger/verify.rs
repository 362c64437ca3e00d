//! Offline verification of an export. Pure.
use super::checkpoint::{Checkpoint, Verifier};

/// What a good export held.
#[derive(Clone, Debug)]
pub struct Report {
    pub checkpoint: Checkpoint,
    pub events: u64,
    pub passes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(String),
}

/// The export format: one line per leaf (its JSON bytes), an empty line, then the signed checkpoint note to the end.
/// Every leaf must parse, carry its own index, and the tree's root and size must be the checkpoint's.
pub fn verify_export(_export: &[u8], _verifier: &Verifier) -> Result<Report, Error> {
    todo!()
}
