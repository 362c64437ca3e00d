//! RFC 6962 section 2.1: the Merkle tree over the leaves. Pure.

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// MTH({d(0)}) = SHA-256(0x00 || d(0)).
pub fn leaf_hash(_leaf: &[u8]) -> Hash {
    todo!()
}

/// The right edge of a growing tree: all that appending and the root need.
#[derive(Clone, Debug, Default)]
pub struct Frontier;
impl Frontier {
    pub fn size(&self) -> u64 {
        todo!()
    }
    pub fn push(&mut self, _leaf: Hash) {
        todo!()
    }
    pub fn root(&self) -> Hash {
        todo!()
    }
}
/// Audit path PATH(m, D[n]) over leaf hashes got from `leaves`.
pub fn inclusion_proof(_index: u64, _leaves: &[Hash]) -> Option<Vec<Hash>> {
    todo!()
}
pub fn consistency_proof(_old_size: u64, _leaves: &[Hash]) -> Option<Vec<Hash>> {
    todo!()
}
pub fn verify_inclusion(
    _leaf: &Hash,
    _index: u64,
    _size: u64,
    _proof: &[Hash],
    _root: &Hash,
) -> bool {
    todo!()
}
pub fn verify_consistency(
    _old_size: u64,
    _old_root: &Hash,
    _new_size: u64,
    _new_root: &Hash,
    _proof: &[Hash],
) -> bool {
    todo!()
}
