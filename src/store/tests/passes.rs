//! Passes: the serial is the event's index, and the receipt is for exactly the bytes that the event
//! recorded.

use crate::ssh::permissions::Permissions;
use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::*;
use crate::ledger::event::{Actor, RequestDetails};
use crate::unix_seconds::UnixSeconds;

/// An `issued` event without the fields that the writer fills in.
pub(super) fn issued() -> Issued {
    Issued {
        who: Actor {
            issuer: "https://id.example.com".to_owned(),
            subject: "u-4711".to_owned(),
            label: "alice@example.com".to_owned(),
            claims: serde_json::json!({ "groups": ["sre"] }).into(),
        },
        ask: RequestDetails {
            role: "shell".to_owned(),
            host: None,
            params: std::collections::BTreeMap::new(),
            reason: None,
            ttl_seconds: None,
            source_addresses: Vec::new(),
            extensions: Vec::new(),
            caller: None,
            request: None,
            emergency: false,
        },
        key: "SHA256:subject".to_owned(),
        binding: "nonce".to_owned(),
        key_id: "alice@example.com/shell".to_owned(),
        permissions: Permissions {
            principals: ["alice".to_owned()].into(),
            ..Permissions::default()
        },
        valid_after: UnixSeconds(0),
        valid_before: UnixSeconds(60),
        policy: "ab".repeat(32),
        ca: "SHA256:ca".to_owned(),
        to_be_signed: String::new(),
        emergency_proof: None,
        on_behalf: None,
        jump: None,
    }
}

/// Checks a receipt against its draft and against the event that the ledger has.
async fn check(store: &Store, draft: &Draft, receipt: &Receipt) {
    let serial = receipt.serial();
    let hash = Sha256::digest(draft.to_be_signed(serial));
    assert_eq!(receipt.tbs_hash()[..], hash[..]);
    let (index, leaf) = store.entries(serial, 1).await.unwrap().remove(0);
    let event = Event::parse(&leaf).unwrap();
    assert_eq!((index, event.index), (serial, serial));
    let expected = Issued {
        to_be_signed: base16ct::lower::encode_string(&hash),
        ..issued()
    };
    assert_eq!(event.what, EventKind::Issued(Box::new(expected)));
}

#[tokio::test]
async fn a_receipt_is_for_what_the_event_at_its_serial_recorded() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    for expected in 1..4 {
        let (draft, receipt) = store.issue(Draft::sample(1), issued(), NOW).await.unwrap();
        assert_eq!(receipt.serial(), expected);
        check(&store, &draft, &receipt).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_passes_at_once_have_serials_of_their_own_and_none_is_zero() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let tasks: Vec<_> = (0..200u8)
        .map(|nonce| {
            let store = store.clone();
            tokio::spawn(async move {
                let draft = Draft::sample(nonce);
                let before = draft.to_be_signed(7);
                let answer = store.issue(draft, issued(), NOW).await.unwrap();
                (before, answer)
            })
        })
        .collect();
    let mut serials = HashSet::new();
    for task in tasks {
        let (before, (draft, receipt)) = task.await.unwrap();
        assert_eq!(
            draft.to_be_signed(7),
            before,
            "the caller's own draft comes back"
        );
        check(&store, &draft, &receipt).await;
        assert_ne!(receipt.serial(), 0);
        assert!(serials.insert(receipt.serial()));
    }
    assert_eq!(serials.len(), 200);
}

#[tokio::test]
async fn passes_and_other_events_share_one_row_of_indices() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    let (first, event, second) = tokio::join!(
        store.issue(Draft::sample(1), issued(), NOW),
        store.record(staged(1), NOW),
        store.issue(Draft::sample(2), issued(), NOW),
    );
    let serials = [
        first.unwrap().1.serial(),
        event.unwrap(),
        second.unwrap().1.serial(),
    ];
    assert_eq!(serials, [1, 2, 3]);
}

#[tokio::test]
async fn a_closed_store_gives_no_receipt() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    store.close().await;
    let refused = store.issue(Draft::sample(1), issued(), NOW).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn an_export_of_the_store_verifies_offline() {
    let folder = Folder::new();
    let store = folder.open().await.unwrap();
    for nonce in 0..5 {
        store
            .issue(Draft::sample(nonce), issued(), NOW)
            .await
            .unwrap();
    }
    let note = store.checkpoint().await.unwrap();
    let mut export = Vec::new();
    for (_, leaf) in store.entries(0, 100).await.unwrap() {
        export.extend_from_slice(&leaf);
        export.push(b'\n');
    }
    export.push(b'\n');
    export.extend_from_slice(note.as_bytes());
    let report = crate::ledger::verify::verify_export(&export, &store.verifier()).unwrap();
    assert_eq!((report.events, report.passes), (6, 5));
}
