//! Snapshots come back as they were, and damaged or foreign ones are refused.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use proptest::{collection, prelude::*, sample::Index};

use super::*;
use crate::{
    ledger::{
        Event, EventKind,
        emergency::{Proof, Signature},
        event::{
            Issued, Jump, RequestDecision, Requested, RequestedJumpHost, RevokeTarget, Revoked,
            tests::{golden_leaves, issued},
        },
        tree::leaf_hash,
    },
    ssh::permissions::Permissions,
    unix_seconds::UnixSeconds,
};

const SEED: [u8; 32] = [7; 32];

fn signer() -> Signer {
    Signer::new("daypass.example.com/ledger", &SEED).unwrap()
}

/// The golden leaves, and what has tables of its own: requests and their decisions, reviews,
/// challenges, jump passes, a restored copy.
pub(in crate::ledger) fn all_leaves() -> Vec<Vec<u8>> {
    let mut ask = issued().ask;
    ask.params = [("unit".to_owned(), "nginx".to_owned())].into();
    let requested = EventKind::Requested(Box::new(Requested {
        who: issued().who,
        ask: ask.clone(),
        key: "SHA256:subject".to_owned(),
        needed: 2,
        expires_at: UnixSeconds(1_795_361_999),
        permissions: Permissions {
            source_addresses: Some(
                [
                    "203.0.113.7/32".parse().unwrap(),
                    "2001:db8::/32".parse().unwrap(),
                ]
                .into(),
            ),
            ..issued().permissions
        },
        ttl_seconds: 600,
        policy: "ab".repeat(32),
        through: Some(RequestedJumpHost {
            bastion: "edge".to_owned(),
            principals: ["jump".to_owned()].into(),
            source_addresses: Some(["10.0.0.0/8".parse().unwrap()].into()),
        }),
    }));
    let mut approver = issued().who;
    approver.subject = "u-12".to_owned();
    let request = golden_leaves().len() as u64;
    let decider = approver.clone();
    let decision = |request| {
        Box::new(RequestDecision {
            request,
            role: "web-logs".to_owned(),
            who: decider.clone(),
            key: "ssh-ed25519 AAAA".to_owned(),
            signature: "U1NIU0lH".to_owned(),
            comment: "seen".to_owned(),
            policy: "ab".repeat(32),
            presence: None,
        })
    };
    ask.emergency = true;
    let emergency = EventKind::Issued(Box::new(Issued {
        ask,
        emergency_proof: Some(Box::new(Proof {
            challenge: "c-1".to_owned(),
            message: "bQ==".to_owned(),
            signatures: vec![Signature {
                who: approver.clone(),
                key: "ssh-ed25519 AAAA".to_owned(),
                signature: "U1NIU0lH".to_owned(),
            }],
        })),
        ..issued()
    }));
    let jump = EventKind::Issued(Box::new(Issued {
        jump: Some(Jump {
            bastion: "edge".to_owned(),
            pass: request + 3,
        }),
        ..issued()
    }));
    let more = [
        requested.clone(),
        EventKind::Approved(decision(request)),
        requested,
        emergency,
        jump,
        EventKind::Reviewed(decision(request + 3)),
        EventKind::Refused(decision(request + 2)),
        EventKind::Revoked(Box::new(Revoked {
            who: approver,
            target: RevokeTarget::Through(request + 40),
            reason: None,
            serials: vec![request + 3],
            covers: Vec::new(),
            restore: None,
            proof: None,
        })),
        EventKind::Skipped,
    ];
    let at = time::macros::datetime!(2026-11-22 15:33:00 UTC);
    let more = more
        .into_iter()
        .map(|what| Event { index: 0, at, what }.to_bytes().unwrap());
    let orders = include_str!("../../../tests/golden/ca_keys.jsonl").lines();
    let orders = orders.map(|line| line.as_bytes().to_vec());
    golden_leaves()
        .into_iter()
        .chain(more)
        .chain(orders)
        .collect()
}

/// The ledger of these leaves, each at its own index, as if signed heads covered them.
fn ledger_of(leaves: &[Vec<u8>]) -> Snapshot {
    let (mut head, mut judge) = (Frontier::default(), Judge::default());
    for leaf in leaves {
        let event = Event::parse(leaf).unwrap();
        let index = head.size();
        let leaf = Event { index, ..event }.to_bytes().unwrap();
        let digest = leaf_hash(&leaf);
        judge.take_covered(&leaf, digest).unwrap();
        head.push(digest);
    }
    Snapshot { head, judge }
}

#[test]
fn a_snapshot_of_every_kind_of_event_comes_back() {
    let snapshot = ledger_of(&all_leaves());
    assert!(snapshot.judge.state().passes().count() > 0);
    assert!(snapshot.judge.state().requests().count() > 0);
    assert!(snapshot.judge.state().locks().count() > 0);
    assert!(snapshot.judge.state().acceptance().is_some());
    let bytes = snapshot.to_bytes(&signer()).unwrap();
    let (read, digest) = Snapshot::parse(&bytes, &signer().verifier()).unwrap();
    assert_eq!(digest.digest, read.digest().unwrap());
    assert_eq!(read, snapshot);
    assert_eq!(read.to_bytes(&signer()).unwrap(), bytes);
    assert_eq!(read.digest().unwrap(), snapshot.digest().unwrap());
}

#[test]
fn an_empty_ledger_has_a_snapshot() {
    let empty = ledger_of(&[]);
    let bytes = empty.to_bytes(&signer()).unwrap();
    assert_eq!(
        Snapshot::parse(&bytes, &signer().verifier()).unwrap().0,
        empty
    );
}

/// A state of another form must not be read as this one. If this fails, the form of the state has
/// changed: raise the number in `Verifier::of_snapshots`, and put the new digest here.
#[test]
fn the_form_of_the_state_is_that_of_its_number() {
    let digest = ledger_of(&all_leaves()).digest().unwrap();
    assert_eq!(
        base16ct::lower::encode_string(&digest),
        "cb8d7618bc772a0e73e7c50aa2e7f843538c1a6214cfbdb1284745a5d3dcae58",
        "the form of the state has changed"
    );
}

#[test]
fn a_checkpoint_and_a_signed_head_are_no_snapshots_and_the_other_way_round() {
    let snapshot = ledger_of(&all_leaves());
    let (size, root) = (snapshot.head.size(), snapshot.head.root());
    let verifier = signer().verifier();
    let digest = snapshot.digest().unwrap();
    let note = signer().sign_snapshot(size, root, digest);
    assert!(verifier.verify_snapshot(&note).is_ok());
    assert!(verifier.verify(&note).is_err());
    assert!(verifier.verify_head(&note).is_err());
    for other in [signer().sign(size, root), signer().sign_head(size, root)] {
        assert!(verifier.verify_snapshot(&other).is_err());
    }
}

#[test]
fn another_keys_and_another_servers_snapshots_are_refused() {
    let bytes = ledger_of(&all_leaves()).to_bytes(&signer()).unwrap();
    for (origin, seed) in [
        ("daypass.example.com/ledger", [8; 32]),
        ("other.example.com/ledger", SEED),
    ] {
        let other = Signer::new(origin, &seed).unwrap().verifier();
        let refused = Snapshot::parse(&bytes, &other);
        assert!(matches!(refused, Err(Error::Note(_))), "{refused:?}");
    }
}

/// A signed note over a state that does not fit it: only the key's own daemon could write it.
#[test]
fn a_state_of_another_size_than_its_note_is_refused() {
    let snapshot = ledger_of(&all_leaves());
    let shorter = ledger_of(&all_leaves()[..3]);
    let mixed = Snapshot {
        head: shorter.head,
        judge: snapshot.judge,
    };
    let bytes = mixed.to_bytes(&signer()).unwrap();
    let refused = Snapshot::parse(&bytes, &signer().verifier());
    assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
}

#[test]
fn no_cut_and_no_longer_snapshot_is_read() {
    let bytes = ledger_of(&all_leaves()).to_bytes(&signer()).unwrap();
    let verifier = signer().verifier();
    for length in (0..bytes.len()).step_by(7) {
        assert!(Snapshot::parse(&bytes[..length], &verifier).is_err());
    }
    assert!(Snapshot::parse(&[&bytes[..], b"x"].concat(), &verifier).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_ledger_comes_back_and_goes_on_as_before(
        order in collection::vec(any::<Index>(), 1..32), cut in any::<Index>()
    ) {
        let golden = all_leaves();
        let leaves: Vec<_> = order.iter().map(|one| one.get(&golden).clone()).collect();
        let cut = cut.index(leaves.len());
        let bytes = ledger_of(&leaves[..cut]).to_bytes(&signer()).unwrap();
        let (mut read, _) = Snapshot::parse(&bytes, &signer().verifier()).unwrap();
        for leaf in &leaves[cut..] {
            let event = Event::parse(leaf).unwrap();
            let leaf = Event { index: read.head.size(), ..event }.to_bytes().unwrap();
            let digest = leaf_hash(&leaf);
            read.judge.take_covered(&leaf, digest).unwrap();
            read.head.push(digest);
        }
        prop_assert_eq!(read, ledger_of(&leaves));
    }

    #[test]
    fn a_changed_byte_is_noticed(at in any::<Index>(), with in 1_u8..) {
        let mut bytes = ledger_of(&all_leaves()).to_bytes(&signer()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        prop_assert!(Snapshot::parse(&bytes, &signer().verifier()).is_err());
    }

    #[test]
    fn any_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(Snapshot::parse(&bytes, &signer().verifier()).is_err());
    }
}
