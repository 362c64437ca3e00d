//! The reader against the derived one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use proptest::{collection, prelude::*, sample::Index};

use super::super::*;
use crate::ledger::snapshot::tests::all_leaves;

/// Asserts that both readers see the same in these bytes. The derived one also takes a number for
/// the kind, which no daemon has ever written.
fn same(leaf: &[u8]) -> bool {
    let shown = || String::from_utf8_lossy(leaf);
    let derived = serde_json::from_slice::<Event>(leaf).ok();
    let kind = serde_json::from_slice::<serde_json::Value>(leaf);
    let has_number = kind.is_ok_and(|leaf| leaf["type"].is_number());
    let expected = derived.filter(|_| !has_number);
    assert_eq!(Event::read(leaf).ok(), expected, "{}", shown());
    let written = std::str::from_utf8(leaf).ok().and_then(reading::as_written);
    if written.is_some() {
        assert_eq!(written, expected, "as written: {}", shown());
    }
    expected.is_some()
}

#[test]
fn every_golden_leaf_is_read_alike() {
    for leaf in all_leaves() {
        let shown = String::from_utf8_lossy(&leaf);
        assert!(same(&leaf), "{shown}");
        let kind = Event::read(&leaf).unwrap().what.kind();
        let is_frequent = FREQUENT.contains(&kind);
        assert_eq!(reading::in_order(&leaf).is_some(), is_frequent, "{shown}");
        // A proof has identities of its own, and so has a pass on behalf of a user.
        let others = ["emergency_proof", "\"by\":"];
        let has_others = others.iter().any(|other| shown.contains(other));
        let is_plain = ["issued", "denied"].contains(&kind) && !has_others;
        let written = std::str::from_utf8(&leaf)
            .ok()
            .and_then(reading::as_written);
        assert_eq!(written.is_some(), is_plain, "as written: {shown}");
    }
}

/// Kinds that are read in one pass.
const FREQUENT: [&str; 6] = [
    "issued",
    "requested",
    "approved",
    "refused",
    "cancelled",
    "reviewed",
];

/// The order of members.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Alphabetical,
    /// Index, time and kind first, but not the changed member.
    FirstThree,
    /// The same with the changed member.
    Changed,
}

/// Moves index, time and kind to the beginning.
fn first_three(members: &mut [String]) {
    let names = ["\"index\"", "\"at\"", "\"type\""];
    members.sort_by_key(|member| {
        let place = names.iter().position(|name| member.starts_with(name));
        place.unwrap_or(names.len())
    });
}

/// Each member is left out, doubled, and given values of other kinds.
#[test]
fn members_that_are_missing_doubled_or_of_another_kind_are_read_alike() {
    let values = [
        "null",
        "0",
        "-1",
        "-0",
        "1.0",
        "1e3",
        "18446744073709551616",
        "true",
        "\"\"",
        "\"x\"",
        "[]",
        "{}",
        "[1]",
        "{\"a\":1}",
    ];
    let orders = [Order::Alphabetical, Order::FirstThree, Order::Changed];
    let leaves = all_leaves();
    let all = leaves
        .iter()
        .flat_map(|leaf| orders.map(|order| (leaf, order)));
    for (leaf, order) in all {
        let serde_json::Value::Object(members) = serde_json::from_slice(leaf).unwrap() else {
            unreachable!()
        };
        let text = |skip: Option<&str>, more: &str| {
            let kept = members
                .iter()
                .filter(|(name, _)| Some(name.as_str()) != skip);
            let mut all: Vec<_> = kept
                .map(|(name, value)| format!("{name:?}:{value}"))
                .collect();
            if order == Order::FirstThree {
                first_three(&mut all);
            }
            all.extend((!more.is_empty()).then(|| more.to_owned()));
            if order == Order::Changed {
                first_three(&mut all);
            }
            format!("{{{}}}", all.join(","))
        };
        same(text(None, "\"unknown\":{\"a\":[1,2]}").as_bytes());
        for (name, value) in &members {
            same(text(Some(name), "").as_bytes());
            same(text(None, &format!("{name:?}:{value}")).as_bytes());
            for other in values {
                same(text(Some(name), &format!("{name:?}:{other}")).as_bytes());
            }
        }
    }
}

proptest! {
    #[test]
    fn damaged_leaves_are_read_alike(
        which in any::<Index>(),
        damage in collection::vec((any::<Index>(), 0x20_u8..0x7f, 0..3_u8), 1..4),
        splice in any::<(Index, Index, Index)>(),
    ) {
        let leaves = all_leaves();
        let mut leaf = which.get(&leaves).clone();
        for (at, new, how) in damage {
            let at = at.index(leaf.len());
            match how {
                0 => leaf[at] = new,
                1 => leaf.insert(at, new),
                _ => drop(leaf.remove(at)),
            }
        }
        same(&leaf);
        // The end of another leaf behind the beginning of this one.
        let other = splice.0.get(&leaves);
        let (from, to) = (splice.1.index(leaf.len()), splice.2.index(other.len()));
        same(&[&leaf[..from], &other[to..]].concat());
    }
}
