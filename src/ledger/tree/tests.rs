//! The tree against `ct-merkle`: every size to 130, then random ones; and invalid proofs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use std::collections::HashMap;

use super::*;

/// Our tree beside that of `ct-merkle`, over the same leaves.
struct Pair {
    oracle: MemoryBackedTree<Sha256, Vec<u8>>,
    frontier: Frontier,
    nodes: HashMap<Node, Hash>,
    /// Roots by size.
    roots: Vec<Hash>,
}

fn leaf(index: u64) -> Vec<u8> {
    format!("leaf {index}").into_bytes()
}

impl Pair {
    fn new(size: u64) -> Self {
        let mut pair = Self {
            oracle: MemoryBackedTree::new(),
            frontier: Frontier::default(),
            nodes: HashMap::new(),
            roots: vec![empty_root()],
        };
        (0..size).for_each(|index| pair.push(index));
        pair
    }

    fn push(&mut self, index: u64) {
        self.oracle.push(leaf(index));
        let closed = self.frontier.push(leaf_hash(&leaf(index)));
        for (level, hash) in (0u32..).zip(closed) {
            let node = Node {
                level,
                index: index >> level,
            };
            assert_eq!(node.closed_by(), index, "the leaf that closes {node:?}");
            self.nodes.insert(node, hash);
        }
        self.roots.push(self.frontier.root());
    }

    fn prove(&self, plan: Plan) -> Vec<Hash> {
        plan.proof(|node| self.nodes.get(&node).copied()).unwrap()
    }

    fn check_inclusion(&self, index: u64) {
        let size = self.frontier.size();
        let proof = self.prove(Plan::inclusion(index, size).unwrap());
        let oracle = self.oracle.prove_inclusion(index as usize);
        assert_eq!(proof.concat(), oracle.as_bytes(), "PATH({index}, {size})");
        let hash = leaf_hash(&leaf(index));
        let root = self.frontier.root();
        assert!(verify_inclusion(&hash, index, size, &proof, &root));
        let neighbour = verify_inclusion(&hash, index + 1, size, &proof, &root);
        assert!(!neighbour, "{index} of {size} passes for its neighbour");
    }

    fn check_consistency(&self, old: u64) {
        let size = self.frontier.size();
        let proof = self.prove(Plan::consistency(old, size).unwrap());
        let oracle = self.oracle.prove_consistency((size - old) as usize);
        assert_eq!(proof.concat(), oracle.as_bytes(), "PROOF({old}, {size})");
        let (old_root, root) = (&self.roots[old as usize], &self.frontier.root());
        assert!(verify_consistency(old, old_root, size, root, &proof));
        if old < size {
            assert!(!verify_consistency(old, root, size, root, &proof));
            assert!(!verify_consistency(old, old_root, size, old_root, &proof));
        }
    }

    fn check_frontier(&self) {
        let size = self.frontier.size();
        assert_eq!(self.frontier.root()[..], self.oracle.root().as_bytes()[..]);
        let peaks = Frontier::nodes(size)
            .iter()
            .map(|n| self.nodes[n])
            .collect();
        assert_eq!(Frontier::from_peaks(size, peaks).unwrap(), self.frontier);
    }
}

#[test]
fn every_size_to_130_agrees_with_the_oracle() {
    let mut pair = Pair::new(0);
    assert_eq!(pair.frontier.root(), empty_root());
    for size in 1..=130 {
        pair.push(size - 1);
        pair.check_frontier();
        (0..size).for_each(|index| pair.check_inclusion(index));
        (1..=size).for_each(|old| pair.check_consistency(old));
    }
}

#[test]
fn known_answers_of_rfc_6962_implementations() {
    let hex = |hash: Hash| base16ct::lower::encode_string(&hash);
    assert_eq!(
        hex(empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        hex(leaf_hash(b"")),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
}

#[test]
fn what_does_not_exist_has_no_proof() {
    assert_eq!(Plan::inclusion(0, 0), None);
    assert_eq!(Plan::inclusion(7, 7), None);
    assert_eq!(Plan::consistency(8, 7), None);
    assert_eq!(Frontier::from_peaks(3, vec![[0; 32]]), None);
    assert_eq!(Plan::inclusion(2, 5).unwrap().proof(|_| None), None);
}

#[test]
fn sizes_at_the_edge_are_refused_without_panic() {
    let hash = [7; 32];
    let proof = vec![hash; 65];
    for size in [0, 1, 2, u64::MAX - 1, u64::MAX] {
        for other in [0, 1, 2, u64::MAX - 1, u64::MAX] {
            assert!(!verify_inclusion(&hash, other, size, &proof, &hash));
            assert!(!verify_consistency(other, &hash, size, &hash, &proof));
        }
    }
}

#[test]
fn only_the_true_empty_tree_is_the_beginning_of_every_tree() {
    let pair = Pair::new(3);
    let root = pair.frontier.root();
    assert!(verify_consistency(0, &empty_root(), 3, &root, &[]));
    assert!(!verify_consistency(0, &[0; 32], 3, &root, &[]));
    assert!(!verify_consistency(0, &empty_root(), 3, &root, &[root]));
    assert!(verify_consistency(3, &root, 3, &root, &[]));
    assert!(!verify_consistency(3, &empty_root(), 3, &root, &[]));
    assert!(!verify_consistency(2, &root, 3, &root, &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_larger_trees_agree_with_the_oracle(
        size in 131u64..3000,
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 12),
    ) {
        let pair = Pair::new(size);
        pair.check_frontier();
        for pick in picks {
            let index = pick.index(size as usize) as u64;
            pair.check_inclusion(index);
            pair.check_consistency(index + 1);
        }
    }

    #[test]
    fn a_damaged_proof_proves_nothing(
        size in 2u64..600,
        pick in any::<proptest::sample::Index>(),
        place in any::<proptest::sample::Index>(),
        bit in 0usize..256,
        change in 0u8..3,
    ) {
        let pair = Pair::new(size);
        let index = pick.index(size as usize - 1) as u64;
        let root = pair.frontier.root();
        let damage = |mut proof: Vec<Hash>| {
            let at = place.index(proof.len());
            match change {
                0 => proof[at][bit / 8] ^= 1 << (bit % 8),
                1 => { proof.remove(at); }
                _ => proof.insert(at, [bit as u8; 32]),
            }
            proof
        };
        let path = damage(pair.prove(Plan::inclusion(index, size).unwrap()));
        prop_assert!(!verify_inclusion(&leaf_hash(&leaf(index)), index, size, &path, &root));
        let old = index + 1;
        let path = damage(pair.prove(Plan::consistency(old, size).unwrap()));
        prop_assert!(!verify_consistency(old, &pair.roots[old as usize], size, &root, &path));
    }
}
