//! A ledger that is handed over to another key: restarts with each set of keys, a crash before the
//! next checkpoint, and an old key that signs on.

use super::{forged::who, *};
use crate::ledger::{
    checkpoint::Verifier,
    event::{LedgerKeyChanged, Target},
    handover::Handover,
    keyring::Keyring,
    order::{Proof, tests::signed},
};

fn key(seed: u8) -> Signer {
    Signer::new(ORIGIN, &[seed; 32]).unwrap()
}

fn ring(present: u8, next: Option<u8>) -> Keyring {
    Keyring::new(key(present), next.map(key)).unwrap()
}

fn verifier(seed: u8) -> Verifier {
    key(seed).verifier()
}

async fn open(folder: &Folder, keys: Keyring) -> Result<Store, Error> {
    Store::open(folder.0.path(), keys, started(), NOW).await
}

/// The administrator's signature on the order that names this key.
fn proof(store: &Store, new: &Verifier) -> Proof {
    let after = store.state(|state| state.after(&Target::LedgerKey(new.to_string())));
    // Only the new key of it is in the order.
    let other = Signer::new(new.origin(), &[99; 32]).unwrap().verifier();
    let handover = Handover {
        size: 0,
        old: other,
        new: new.clone(),
        old_signature: String::new(),
        new_signature: String::new(),
    };
    let changed = EventKind::LedgerKeyChanged(Box::new(LedgerKeyChanged {
        who: who("carol"),
        handover,
        reason: None,
        proof: None,
    }));
    match signed(changed, "daypass.example.com", 1, after) {
        EventKind::LedgerKeyChanged(it) => it.proof.unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn hand_over(store: &Store, new: Verifier) -> Result<u64, Error> {
    let order = (who("carol"), None, proof(store, &new));
    store.hand_over(new, order, NOW).await
}

#[tokio::test]
async fn both_keys_sign_after_a_handover_until_the_old_one_is_taken_out() {
    let folder = Folder::with_events(3).await;
    let store = open(&folder, ring(7, Some(8))).await.unwrap();
    assert_eq!(store.verifier(), verifier(7));
    let before = store.checkpoint().await.unwrap();
    assert!(
        verifier(8).verify(&before).is_err(),
        "not before the handover"
    );
    let index = hand_over(&store, verifier(8)).await.unwrap();
    assert_eq!(store.verifier(), verifier(8));
    let note = store.checkpoint().await.unwrap();
    for seed in [7, 8] {
        assert_eq!(verifier(seed).verify(&note).unwrap().size, index + 1);
    }
    store.close().await;
    for keys in [
        ring(7, Some(8)),
        ring(8, Some(7)),
        ring(8, Some(9)),
        ring(8, None),
    ] {
        let case = format!("{keys:?}");
        let store = open(&folder, keys).await.unwrap();
        let note = store.checkpoint().await.unwrap();
        assert!(verifier(8).verify(&note).is_ok(), "{case}");
        assert_eq!(
            verifier(7).verify(&note).is_ok(),
            case.contains(&verifier(7).to_string())
        );
        store.close().await;
    }
    let refused = open(&folder, ring(7, None)).await.unwrap_err().to_string();
    assert!(refused.contains("ledger-key"), "{refused}");
}

#[tokio::test]
async fn a_server_that_lacks_the_new_key_says_which() {
    let folder = Folder::with_events(3).await;
    let store = open(&folder, ring(7, Some(8))).await.unwrap();
    hand_over(&store, verifier(8)).await.unwrap();
    store.checkpoint().await.unwrap();
    store.close().await;
    // Its heads are still signed by the old key too.
    let refused = open(&folder, ring(7, Some(9))).await.unwrap_err();
    let words = refused.to_string();
    assert!(matches!(refused, Error::Lacking(_)), "{words}");
    assert!(
        words.contains(&verifier(8).to_string()) && words.contains("next_key"),
        "{words}"
    );
}

#[tokio::test]
async fn a_crash_between_the_handover_and_the_next_checkpoint_loses_nothing() {
    let folder = Folder::with_events(3).await;
    let checkpoint = fs::read(folder.file("checkpoint")).unwrap();
    let store = open(&folder, ring(7, Some(8))).await.unwrap();
    hand_over(&store, verifier(8)).await.unwrap();
    let size = store.size();
    store.close().await;
    // As if the file had not been written since.
    fs::write(folder.file("checkpoint"), checkpoint).unwrap();
    let store = open(&folder, ring(7, Some(8))).await.unwrap();
    assert_eq!((store.size(), store.verifier()), (size + 1, verifier(8)));
    assert_eq!(store.handovers().len(), 1);
    store.close().await;
}

#[tokio::test]
async fn the_old_key_signs_no_head_that_is_believed() {
    let folder = Folder::with_events(3).await;
    let store = open(&folder, ring(7, Some(8))).await.unwrap();
    hand_over(&store, verifier(8)).await.unwrap();
    let head = store.0.state.borrow().head.clone();
    store.close().await;
    let forged = key(7).sign_head(head.size(), head.root());
    folder
        .run_sql(&format!("UPDATE head SET note = '{forged}'"))
        .await;
    let refused = open(&folder, ring(7, Some(8))).await.unwrap_err();
    assert!(matches!(refused, Error::Tampered(_)), "{refused}");
    assert!(
        refused.to_string().contains("the key of that size"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_handover_to_a_key_that_cannot_be_next_is_refused() {
    let folder = Folder::with_events(3).await;
    let store = open(&folder, ring(7, Some(8))).await.unwrap();
    for (case, seed, words) in [
        ("a key that is not configured", 9, "next_key"),
        ("the present key", 7, "already"),
    ] {
        let refused = hand_over(&store, verifier(seed)).await.unwrap_err();
        assert!(refused.to_string().contains(words), "{case}: {refused}");
    }
    hand_over(&store, verifier(8)).await.unwrap();
    let refused = hand_over(&store, verifier(7)).await.unwrap_err();
    assert!(refused.to_string().contains("before"), "back: {refused}");
    assert_eq!(store.handovers().len(), 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_key_is_always_that_of_the_published_handovers() {
    let folder = Folder::with_events(3).await;
    let store = open(&folder, ring(7, Some(8))).await.unwrap();
    let reader = store.clone();
    let reading = tokio::task::spawn_blocking(move || {
        loop {
            let keys = reader.published_keys();
            let last = keys.handovers.last().map(|it| it.new.clone());
            assert_eq!(keys.key, last.clone().unwrap_or(verifier(7)));
            if last.is_some() {
                break;
            }
        }
    });
    hand_over(&store, verifier(8)).await.unwrap();
    reading.await.unwrap();
    store.close().await;
}
