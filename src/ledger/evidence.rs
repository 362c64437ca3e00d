//! Evidence that events are in the ledger, for a party that remembers an earlier checkpoint of it.
//! Pure.

use super::tree::Hash;

/// Events, and the proofs that they are in a ledger that goes on from an earlier checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The size of the earlier checkpoint.
    pub known: u64,
    /// The newer checkpoint: a signed note.
    pub checkpoint: String,
    /// The newer checkpoint's size.
    pub size: u64,
    /// The proof that the newer one goes on from the earlier one. Empty if it does not.
    pub consistency: Vec<Hash>,
    /// The events, in the order asked for.
    pub recorded: Vec<Recorded>,
}

/// One event, and its place in the newer checkpoint's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its index.
    pub index: u64,
    /// Its stored bytes.
    pub leaf: Vec<u8>,
    /// Its audit path.
    pub inclusion: Vec<Hash>,
}
