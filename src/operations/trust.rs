//! What anyone may know.
use super::{Authority, Error};
use crate::{ca::KeyState, ledger::checkpoint::Verifier};
use ssh_key::PublicKey;

/// What a client needs before it has a token.
pub struct Trust {
    /// The name possession proofs are made for.
    pub server_name: String,
    /// Every published CA key.
    pub keys: Vec<(PublicKey, KeyState)>,
    /// Who signs the ledger's checkpoints.
    pub verifier: Verifier,
    /// Host-name patterns that the policy knows.
    pub host_patterns: Vec<String>,
}

/// All of it.
pub fn trust(_authority: &Authority) -> Trust {
    todo!()
}

/// The ledger's head, signed.
pub async fn checkpoint(_authority: &Authority) -> Result<String, Error> {
    todo!()
}

/// How this CA is.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Whether events can be recorded now; without that no pass is issued.
    pub store: bool,
    /// The ledger's size.
    pub ledger_size: u64,
}

/// Asks the store, cheaply.
pub fn health(_authority: &Authority) -> Health {
    todo!()
}
