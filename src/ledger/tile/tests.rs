#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::ledger::tree::{Frontier, Plan, leaf_hash, verify_consistency, verify_inclusion};

#[test]
fn one_tile_has_one_path() {
    for (path, expected) in [
        ("0/000", Some((0, 0, 256))),
        ("0/067", Some((0, 67, 256))),
        ("0/x001/x234/067", Some((0, 1_234_067, 256))),
        ("3/x001/000.p/255", Some((3, 1000, 255))),
        ("63/000.p/1", Some((63, 0, 1))),
        ("64/000", None),
        ("00/000", None),
        ("+0/000", None),
        ("0/", None),
        ("0", None),
        ("", None),
        ("0/0", None),
        ("0/0000", None),
        ("0/x000/001", None),
        ("0/001/002", None),
        ("0/x001", None),
        ("0/x001/x002", None),
        ("0/X001/002", None),
        ("0//000", None),
        ("/0/000", None),
        ("0/000/", None),
        ("0/../000", None),
        ("0/%30%30%30", None),
        ("0/000.p/0", None),
        ("0/000.p/256", None),
        ("0/000.p/01", None),
        ("0/000.p/", None),
        ("0/000.p", None),
        ("0/000.p/1.p/1", None),
        ("0/x999/x999/x999/x999/x999/x999/x999/999", None),
        ("entries/000", None),
    ] {
        let parsed = Tile::parse(path);
        let found = parsed.map(|tile| (tile.level, tile.index, tile.width));
        assert_eq!(found, expected, "{path}");
        if let Some(tile) = parsed {
            assert_eq!(tile.to_string(), path);
        }
    }
}

#[test]
fn a_ledger_has_the_tiles_below_its_head_and_no_other() {
    for (path, size, expected) in [
        ("0/000.p/1", 0, false),
        ("0/000.p/1", 1, true),
        ("0/000.p/2", 1, false),
        ("0/000", 255, false),
        ("0/000", 256, true),
        ("0/000.p/7", 256, true),
        ("0/001.p/1", 256, false),
        ("0/001.p/1", 257, true),
        ("1/000.p/1", 255, false),
        ("1/000.p/1", 256, true),
        ("2/000.p/1", 65_535, false),
        ("2/000.p/1", 65_536, true),
        ("7/000.p/255", u64::MAX, true),
        ("8/000.p/1", u64::MAX, false),
        ("63/000.p/1", u64::MAX, false),
        ("0/x072/x057/x594/x037/x927/935.p/255", u64::MAX, true),
        ("0/x072/x057/x594/x037/x927/936.p/1", u64::MAX, false),
    ] {
        let tile = Tile::parse(path).unwrap();
        assert_eq!(tile.is_in(size), expected, "{path} of {size}");
    }
}

/// A tree whose closed subtrees are at hand.
fn tree(size: u64) -> (Frontier, BTreeMap<Node, Hash>) {
    let (mut frontier, mut nodes) = (Frontier::default(), BTreeMap::new());
    for leaf in 0..size {
        for (level, hash) in (0..).zip(frontier.push(leaf_hash(&leaf.to_be_bytes()))) {
            let index = leaf >> level;
            nodes.insert(Node { level, index }, hash);
        }
    }
    (frontier, nodes)
}

fn tiles(size: u64, nodes: &BTreeMap<Node, Hash>, plan: &Plan) -> Tiles {
    let mut tiles = Tiles::default();
    for tile in needed(plan.nodes(), size) {
        assert!(tile.is_in(size), "{tile} of {size}");
        let bytes: Vec<u8> = tile.nodes().flat_map(|node| nodes[&node]).collect();
        assert!(tiles.insert(tile, &bytes));
        assert!(!tiles.insert(tile, &bytes[1..]));
    }
    tiles
}

#[test]
fn tiles_of_the_third_level_prove_too() {
    // The first 65,536 leaves are one hash of the third level, and the proof has it.
    let (new, old) = (65_793, 65_700);
    let (frontier, nodes) = tree(new);
    let plan = Plan::consistency(old, new).unwrap();
    let fetched = tiles(new, &nodes, &plan);
    assert!(fetched.contains(&Tile::parse("2/000.p/1").unwrap()));
    let proof = plan.proof(|node| fetched.hash_of(node, new)).unwrap();
    let (old_root, root) = (tree(old).0.root(), frontier.root());
    assert!(verify_consistency(old, &old_root, new, &root, &proof));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_path_is_parsed_to_itself_or_refused(path in "[0-9x./p]{0,40}") {
        if let Some(tile) = Tile::parse(&path) {
            prop_assert_eq!(tile.to_string(), path);
            let _ = tile.is_in(u64::MAX);
        }
    }

    #[test]
    fn tiles_prove_what_the_tree_proves(new in 1_u64..2000, old in 0_u64..2000, at in 0_u64..2000) {
        let (old, at) = (old % (new + 1), at % new);
        let (frontier, nodes) = tree(new);
        let root = frontier.root();
        let plan = Plan::consistency(old, new).unwrap();
        let fetched = tiles(new, &nodes, &plan);
        let proof = plan.proof(|node| fetched.hash_of(node, new)).unwrap();
        prop_assert!(verify_consistency(old, &tree(old).0.root(), new, &root, &proof));
        let plan = Plan::inclusion(at, new).unwrap();
        let fetched = tiles(new, &nodes, &plan);
        let proof = plan.proof(|node| fetched.hash_of(node, new)).unwrap();
        prop_assert!(verify_inclusion(&leaf_hash(&at.to_be_bytes()), at, new, &proof, &root));
    }
}
