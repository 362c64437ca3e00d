//! Chains of handovers: which are followed, and which are not.

use super::*;

const ORIGIN: &str = "daypass.example.com/ledger";

fn key(seed: u8) -> Signer {
    Signer::new(ORIGIN, &[seed; 32]).unwrap()
}

/// The handover at `size` from the key of one seed to that of another.
fn handover(size: u64, old: u8, new: u8) -> Handover {
    Handover::sign(&key(old), &key(new), size).unwrap()
}

fn history(trusted: u8, handovers: &[Handover]) -> KeyHistory {
    KeyHistory::new(key(trusted).verifier(), handovers).unwrap()
}

/// A checkpoint of this size that these keys sign.
fn note(size: u64, keys: &[u8]) -> String {
    let [first, others @ ..] = keys else {
        unreachable!()
    };
    let note = key(*first).sign(size, [1; 32]);
    others
        .iter()
        .fold(note, |note, other| key(*other).sign_too(note))
}

#[test]
fn a_chain_is_followed_from_every_key_in_it() {
    let chain = [handover(5, 1, 2), handover(9, 2, 3)];
    for trusted in [1, 2] {
        let followed = history(trusted, &[]).follow(&key(3).verifier(), &chain);
        let followed = followed.unwrap().unwrap();
        assert_eq!(*followed.newest(), key(3).verifier(), "{trusted}");
        let read = KeyHistory::new(key(trusted).verifier(), followed.handovers());
        assert_eq!(read, Ok(followed.clone()), "kept and read again");
        assert_eq!(followed.follow(&key(3).verifier(), &chain), Ok(None));
        assert_eq!(followed.follow(&key(3).verifier(), &[]), Ok(None));
    }
    let known = history(2, &chain[..1]);
    let followed = known.follow(&key(3).verifier(), &chain).unwrap().unwrap();
    assert_eq!(followed.handovers(), chain);
}

#[test]
fn what_is_not_a_chain_from_the_known_key_to_the_named_one_is_refused() {
    let good = handover(5, 1, 2);
    let changed = |change: fn(&mut Handover)| {
        let mut handover = handover(5, 1, 2);
        change(&mut handover);
        vec![handover]
    };
    let long: Vec<Handover> = (0..=64)
        .map(|at| handover(u64::from(at), at + 1, at + 2))
        .collect();
    let swapped = |it: &mut Handover| std::mem::swap(&mut it.old_signature, &mut it.new_signature);
    for (case, named, offered, words) in [
        ("none", 2, vec![], "no chain"),
        ("another start", 3, vec![handover(5, 2, 3)], "no chain"),
        ("another end", 3, vec![good.clone()], "no chain"),
        (
            "a gap",
            4,
            vec![good.clone(), handover(9, 3, 4)],
            "no chain",
        ),
        (
            "backwards",
            3,
            vec![handover(9, 1, 2), handover(5, 2, 3)],
            "no chain",
        ),
        (
            "moved to another entry",
            2,
            changed(|it| it.size = 6),
            "not signed by",
        ),
        (
            "no signature",
            2,
            changed(|it| it.old_signature.clear()),
            "not signed by",
        ),
        (
            "no possession",
            2,
            changed(|it| it.new_signature.clear()),
            "not signed by",
        ),
        ("each by the other", 2, changed(swapped), "not signed by"),
        (
            "another new key",
            3,
            changed(|it| it.new = key(3).verifier()),
            "not signed by",
        ),
        (
            "to itself",
            3,
            vec![good.clone(), handover(9, 2, 3), handover(12, 3, 1)],
            "before",
        ),
        ("too many", 66, long, "more than 64"),
    ] {
        let fault = history(1, &[]).follow(&key(named).verifier(), &offered);
        let fault = fault.unwrap_err().to_string();
        assert!(fault.contains(words), "{case}: {fault}");
    }
}

#[test]
fn another_ledgers_handover_is_not_followed() {
    let other = |seed| Signer::new("other.example.com/ledger", &[seed; 32]).unwrap();
    let replayed = Handover::sign(&other(1), &other(2), 5).unwrap();
    assert!(
        history(1, &[])
            .follow(&other(2).verifier(), std::slice::from_ref(&replayed))
            .is_err()
    );
    let renamed = Handover {
        old: key(1).verifier(),
        new: key(2).verifier(),
        ..replayed
    };
    assert!(matches!(renamed.check(), Err(Fault::Signature { .. })));
    let crossing = Handover::sign(&key(1), &other(2), 5);
    assert!(matches!(crossing, Err(Fault::OtherLedger { .. })));
    assert!(matches!(
        Handover::sign(&key(1), &key(1), 5),
        Err(Fault::SameKey(_))
    ));
}

#[test]
fn a_key_that_handed_over_signs_nothing_more_and_names_no_second_successor() {
    let known = history(1, &[handover(5, 1, 2)]);
    let back = known.follow(&key(1).verifier(), &[]);
    assert!(matches!(back, Err(Fault::Returned(_))), "{back:?}");
    let fork = known.follow(&key(3).verifier(), &[handover(7, 1, 3)]);
    assert!(matches!(fork, Err(Fault::Forked { .. })), "{fork:?}");
    // Nothing is said of a fork that the old key has not signed.
    let mut forged = handover(7, 1, 3);
    forged.old_signature.clone_from(&forged.new_signature);
    let forged = known.follow(&key(3).verifier(), &[forged]);
    assert!(matches!(forged, Err(Fault::Signature { .. })), "{forged:?}");
}

#[test]
fn a_checkpoint_counts_by_the_key_of_its_size() {
    let before = history(1, &[]);
    let after = history(1, &[handover(5, 1, 2)]);
    for (case, size, keys, old, new) in [
        ("before the handover", 5, &[1][..], true, true),
        ("after it, for both", 6, &[2, 1], true, true),
        ("after it", 6, &[2], false, true),
        ("after it, by a stolen old key", 6, &[1], true, false),
        ("before it, by the new key", 5, &[2], false, false),
    ] {
        let note = note(size, keys);
        assert_eq!(
            before.verify(&note).is_ok(),
            old,
            "{case}: only the old key is known"
        );
        assert_eq!(
            after.verify(&note).is_ok(),
            new,
            "{case}: the handover is known"
        );
        assert_eq!(before.is_beside_unknown(&note), keys.contains(&2), "{case}");
        assert!(!after.is_beside_unknown(&note), "{case}");
    }
}

#[test]
fn the_keys_of_an_export_follow_from_its_own_handovers() {
    let chain = [handover(5, 1, 2), handover(9, 2, 3)];
    for trusted in [1, 2, 3] {
        let keys = history(trusted, &[]).of_ledger(&chain, 12).unwrap();
        assert_eq!(*keys.newest(), key(3).verifier(), "{trusted}");
        // An older export, for a party that has followed.
        let keys = history(trusted, &chain).of_ledger(&chain[..1], 7).unwrap();
        assert!(keys.verify(&note(7, &[2])).is_ok() && keys.verify(&note(7, &[1])).is_err());
        let keys = history(trusted, &chain).of_ledger(&[], 4).unwrap();
        assert!(keys.verify(&note(4, &[1])).is_ok());
    }
    let unknown = history(4, &[]).of_ledger(&chain, 12);
    assert!(matches!(unknown, Err(Fault::Unconnected { .. })));
    let forked = history(1, &chain).of_ledger(&[handover(7, 1, 4)], 12);
    assert!(matches!(forked, Err(Fault::Forked { .. })));
}

#[test]
fn an_export_that_leads_to_a_stolen_old_key_is_not_believed_by_a_client_that_followed() {
    let known = history(1, &[handover(100, 1, 2), handover(200, 2, 3)]);
    for (case, false_one, size) in [
        ("to the first key, from a new one", handover(10, 9, 1), 500),
        ("with the first event too many", handover(10, 9, 1), 101),
        ("to a later old key", handover(10, 9, 2), 500),
        ("to the newest key, from a new one", handover(10, 9, 3), 500),
    ] {
        let keys = known.of_ledger(&[false_one], size);
        assert!(
            matches!(keys, Err(Fault::Forked { .. })),
            "{case}: {keys:?}"
        );
    }
    // An export from before the known handovers: its own lead to the first key that is known.
    let keys = known.of_ledger(&[handover(10, 9, 1)], 100).unwrap();
    assert!(keys.verify(&note(100, &[1])).is_ok());
    assert!(keys.verify(&note(500, &[1])).is_err(), "a stolen old key");
    assert_eq!(keys.newest(), known.newest());
    // The whole ledger, for a party that learned of it late.
    let chain = [handover(10, 9, 1), handover(100, 1, 2), handover(200, 2, 3)];
    let keys = known.of_ledger(&chain, 500).unwrap();
    assert!(keys.verify(&note(500, &[3])).is_ok());
}
