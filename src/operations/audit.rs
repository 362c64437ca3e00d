//! Reading the ledger, for those whom policy lets.
use super::{Authority, Error};
use crate::{identity::Identity, ledger::tree::Hash};

/// Some leaves, and the ledger's size when they were read.
pub struct Page {
    /// (index, stored bytes), in the order asked for.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The ledger's size.
    pub size: u64,
}

/// At most `limit` leaves from `from` on; with `newest_first` from `from` (or the head, where it lies beyond) down.
pub async fn list(
    _authority: &Authority,
    _identity: &Identity,
    _from: u64,
    _limit: u32,
    _newest_first: bool,
) -> Result<Page, Error> {
    todo!()
}

/// An export under way (the format is `ledger::verify::verify_export`'s): leaves up to the checkpoint taken at its start, then that.
pub struct Export {}

impl Export {
    /// Takes the checkpoint.
    pub async fn open(_authority: &Authority, _identity: &Identity) -> Result<Self, Error> {
        todo!()
    }
    /// The next chunk (at most 1 MiB); none after the last.
    pub async fn next(&mut self, _authority: &Authority) -> Result<Option<Vec<u8>>, Error> {
        todo!()
    }
}

/// The audit path of leaf `index` in the tree of `size` leaves. Open to every identity.
pub async fn prove_inclusion(
    _authority: &Authority,
    _identity: &Identity,
    _index: u64,
    _size: u64,
) -> Result<Vec<Hash>, Error> {
    todo!()
}

/// The proof that the tree of `old_size` leaves begins the tree of `new_size`. Open to every identity.
pub async fn prove_consistency(
    _authority: &Authority,
    _identity: &Identity,
    _old_size: u64,
    _new_size: u64,
) -> Result<Vec<Hash>, Error> {
    todo!()
}
