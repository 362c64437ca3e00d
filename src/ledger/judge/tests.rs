//! Events that no daemon wrote: the judge refuses or accepts them and continues.
#![allow(clippy::unwrap_used, reason = "tests: a panic is the failure")]

use proptest::{collection, prelude::*, sample::Index};

use super::*;
use crate::ledger::event::tests::golden_leaves;

/// Takes in every leaf that can be taken in, each at its own index. Events that a rule rejects are
/// taken in as if a signed head covered them.
fn survive(leaves: &[Vec<u8>]) -> u64 {
    let mut judge = Judge::default();
    for leaf in leaves {
        let Ok(event) = Event::parse(leaf) else {
            assert!(judge.take(leaf).is_err());
            continue;
        };
        let index = judge.size;
        let Ok(leaf) = (Event { index, ..event }).to_bytes() else {
            continue;
        };
        if judge.take(&leaf).is_err() {
            let _ = judge.take_covered(&leaf, leaf_hash(&leaf));
        }
    }
    judge.size
}

/// Copies of the leaf, each with one of its numbers replaced by an extreme value.
fn with_other_numbers(leaf: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8(leaf.to_vec()).unwrap();
    let numbers = regex::Regex::new(r":(\d+)([,}])").unwrap();
    let mut all = Vec::new();
    for found in numbers.captures_iter(&text) {
        let number = found.get(1).unwrap();
        for edge in [
            0,
            1,
            u64::MAX,
            u64::MAX - 1,
            i64::MAX.unsigned_abs(),
            253_402_300_799,
        ] {
            let (before, after) = (&text[..number.start()], &text[number.end()..]);
            all.push(format!("{before}{edge}{after}").into_bytes());
        }
    }
    all
}

#[test]
fn no_number_in_an_event_panics() {
    let leaves = golden_leaves();
    for (at, leaf) in leaves.iter().enumerate() {
        for doctored in with_other_numbers(leaf) {
            let mut leaves = leaves.clone();
            leaves.splice(at..=at, [doctored]);
            assert!(survive(&leaves) > 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_order_and_no_damage_of_events_panics(
        order in collection::vec(any::<Index>(), 1..24),
        damage in collection::vec((any::<Index>(), any::<Index>(), 0x20_u8..0x7f), 0..4),
    ) {
        let golden = golden_leaves();
        let mut leaves: Vec<_> = order.iter().map(|one| one.get(&golden).clone()).collect();
        for (leaf, byte, new) in damage {
            let at = leaf.index(leaves.len());
            if let Some(leaf) = leaves.get_mut(at) {
                let at = byte.index(leaf.len());
                leaf.splice(at..=at, [new]);
            }
        }
        survive(&leaves);
    }
}
