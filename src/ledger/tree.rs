//! The Merkle tree over the leaves (RFC 6962 section 2.1), its proofs and their verification (RFC
//! 9162 sections 2.1.3 and 2.1.4).
//!
//! Pure: hashes that are not in memory are requested as [`Node`]s and read by the caller.
//!
//! Every leaf closes one or more complete subtrees; [`Frontier::push`] returns their hashes. Stored
//! next to the leaf, they are all that any later root or proof needs: at most about 64 of them, for
//! any size of the tree.

use sha2::{Digest, Sha256};

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// `MTH({})`: the root of the tree without leaves.
pub(crate) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// `MTH({d(0)}) = SHA-256(0x00 || d(0))`.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new_with_prefix([0])
        .chain_update(leaf)
        .finalize()
        .into()
}

/// `SHA-256(0x01 || left || right)`.
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// A complete subtree: the leaves `[index << level, (index + 1) << level)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node {
    /// The subtree's height; 0 is a leaf.
    pub level: u32,
    /// Index among the subtrees of this height.
    pub index: u64,
}

impl Node {
    /// The leaf whose append completed this subtree.
    pub(crate) fn closed_by(self) -> u64 {
        (self.index << self.level) + ((1 << self.level) - 1)
    }
}

/// The complete subtrees, largest first, that make up the leaves `[start, end)`. `start` is a
/// multiple of the largest.
fn cover(start: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = start;
    while at < end {
        let level = at.trailing_zeros().min((end - at).ilog2());
        nodes.push(Node {
            level,
            index: at >> level,
        });
        at += 1 << level;
    }
    nodes
}

/// The hash over neighbouring complete subtrees, largest first.
fn join(peaks: &[Hash]) -> Option<Hash> {
    peaks
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(&left, &right))
}

/// The right edge of a growing tree: the state needed for appends and the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The nodes that [`Frontier::from_peaks`] needs, in order, for a tree of `size` leaves.
    pub(crate) fn nodes(size: u64) -> Vec<Node> {
        cover(0, size)
    }

    /// Rebuilds the edge of a tree of `size` leaves. Returns `None` if the number of peaks differs
    /// from [`Frontier::nodes`].
    pub(crate) fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// The hashes of the complete subtrees, in the order of [`Frontier::nodes`].
    pub(crate) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of the smallest complete subtree at the edge, which is the largest one that the
    /// last leaf closed; `None` for an empty tree.
    pub(crate) fn edge(&self) -> Option<&Hash> {
        self.peaks.last()
    }

    /// Appends a leaf by its hash. Returns the hashes of the complete subtrees that it closes: the
    /// n-th is of level n, beginning with the leaf's own.
    pub fn push(&mut self, leaf: Hash) -> Vec<Hash> {
        let mut closed = vec![leaf];
        self.close(leaf, |hash| closed.push(hash));
        closed
    }

    /// [`Frontier::push`], if the hashes are not needed.
    pub(crate) fn add(&mut self, leaf: Hash) {
        self.close(leaf, |_| ());
    }

    /// Appends a leaf. `each` gets the hash of each complete subtree that it closes, but its own.
    fn close(&mut self, leaf: Hash, mut each: impl FnMut(Hash)) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
                each(hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        join(&self.peaks).unwrap_or_else(empty_root)
    }
}

/// A proof's structure: for each of its hashes, the complete subtrees below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan(Vec<Vec<Node>>);

impl Plan {
    /// `PATH(index, D[size])` of RFC 6962 section 2.1.1; `None` if the tree has no such leaf.
    pub(crate) fn inclusion(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = split(start, end);
            if index < middle {
                path.push(cover(middle, end));
                end = middle;
            } else {
                path.push(cover(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Some(Self(path))
    }

    /// `PROOF(old_size, D[new_size])` of RFC 6962 section 2.1.2. Empty if `old_size` is 0 or
    /// `new_size`, `None` if it is larger.
    pub(crate) fn consistency(old_size: u64, new_size: u64) -> Option<Self> {
        if old_size > new_size {
            return None;
        }
        if old_size == 0 {
            return Some(Self(Vec::new()));
        }
        let (mut start, mut end, mut path) = (0, new_size, Vec::new());
        while old_size != end {
            let middle = split(start, end);
            if old_size <= middle {
                path.push(cover(middle, end));
                end = middle;
            } else {
                path.push(cover(start, middle));
                start = middle;
            }
        }
        if start > 0 {
            path.push(cover(start, end));
        }
        path.reverse();
        Some(Self(path))
    }

    /// Every node whose hash [`Plan::proof`] needs.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> {
        self.0.iter().flatten().copied()
    }

    /// The proof's hashes in RFC order; `None` if `hash_of` lacks a node.
    pub(crate) fn proof(&self, hash_of: impl Fn(Node) -> Option<Hash>) -> Option<Vec<Hash>> {
        self.0
            .iter()
            .map(|nodes| {
                let peaks: Option<Vec<Hash>> = nodes.iter().map(|node| hash_of(*node)).collect();
                join(&peaks?)
            })
            .collect()
    }
}

/// The split of `[start, end)` in RFC 6962: after the largest power of two smaller than its length,
/// which is over 1.
fn split(start: u64, end: u64) -> u64 {
    start + (1 << (end - start - 1).ilog2())
}

/// Verifies that `leaf` is at `index` in the tree of `size` leaves with this root (RFC 9162 section
/// 2.1.3.2).
pub(crate) fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> bool {
    if index >= size {
        return false;
    }
    let mut walk = Walk::new(index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        hash = match walk.step() {
            Some(Side::Left) => node_hash(sibling, &hash),
            Some(Side::Right) => node_hash(&hash, sibling),
            None => return false,
        };
    }
    walk.is_at_root() && hash == *root
}

/// Verifies that the tree of `new_size` leaves extends the one of `old_size` (RFC 9162 section
/// 2.1.4.2).
///
/// Any tree extends the empty one, and equal sizes require equal roots; both have an empty proof.
pub(crate) fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> bool {
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old_size > new_size {
        return false;
    }
    let (first, rest) = match proof.split_first() {
        Some(_) if old_size.is_power_of_two() => (old_root, proof),
        Some((first, rest)) => (first, rest),
        None => return false,
    };
    let skipped = (old_size - 1).trailing_ones();
    let mut walk = Walk::new((old_size - 1) >> skipped, (new_size - 1) >> skipped);
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        match walk.step() {
            Some(Side::Left) => {
                old = node_hash(hash, &old);
                new = node_hash(hash, &new);
            }
            Some(Side::Right) => new = node_hash(&new, hash),
            None => return false,
        }
    }
    walk.is_at_root() && old == *old_root && new == *new_root
}

/// Side of the path on which a proof's next hash belongs.
enum Side {
    Left,
    Right,
}

/// The path from a node to the root: `fn` and `sn` of RFC 9162.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    fn new(node: u64, last: u64) -> Self {
        Self { node, last }
    }

    /// Goes one level up, skipping levels without a sibling; `None` above the root.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            self.up(self.node.trailing_zeros());
            Side::Left
        } else {
            Side::Right
        };
        self.up(1);
        Some(side)
    }

    fn up(&mut self, levels: u32) {
        self.node >>= levels;
        self.last >>= levels;
    }

    fn is_at_root(&self) -> bool {
        self.last == 0
    }
}

#[cfg(test)]
mod tests;
