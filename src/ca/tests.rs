//! Certificates that `Ca::sign` returns, and those that it refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use ssh_key::Algorithm;
use time::OffsetDateTime;

use super::{
    key::{Key, sample::ALGORITHMS},
    *,
};
use crate::{
    identity::{Identity, KeyHolder},
    ledger::Receipt,
    policy::Grant,
};

fn ca_of(key: Key) -> Ca {
    Ca::new(vec![(key, KeyState::Active)]).unwrap()
}

fn draft(ca: &Ca, nonce: u8) -> Draft {
    let identity = Identity::sample(serde_json::json!({ "sub": "alice" }));
    let holder = KeyHolder::sample(identity, Key::sample(Algorithm::Ed25519).public());
    let grant = Grant::sample(&["alice"], None, None, &[]);
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    Draft::new(&holder, &grant, ca, [nonce; 32], now).unwrap()
}

fn receipt(draft: &Draft, serial: u64) -> Receipt {
    Receipt::committed(serial, draft.to_be_signed_hash(serial))
}

#[tokio::test]
async fn what_was_recorded_is_signed_at_its_serial() {
    for algorithm in ALGORITHMS {
        let ca = ca_of(Key::sample(algorithm));
        let draft = draft(&ca, 1);
        let receipt = receipt(&draft, 42);
        let certificate = ca.sign(draft, receipt).await.unwrap();
        assert_eq!(certificate.serial(), 42);
        assert_eq!(certificate.signature_key(), ca.active().key_data());
        certificate.verify_signature().unwrap();
    }
}

#[test]
fn the_hash_recorded_is_of_the_bytes_signed() {
    use sha2::{Digest, Sha256};
    let draft = Draft::sample(3);
    let expected: [u8; 32] = Sha256::digest(draft.to_be_signed(9)).into();
    assert_eq!(draft.to_be_signed_hash(9), expected);
    assert_ne!(draft.to_be_signed_hash(10), expected);
    assert_ne!(Draft::sample(4).to_be_signed_hash(9), expected);
}

#[tokio::test]
async fn a_receipt_for_other_bytes_signs_nothing() {
    let ca = ca_of(Key::sample(Algorithm::Ed25519));
    let (one, other) = (draft(&ca, 1), draft(&ca, 2));
    let cases = [
        ("another draft's", receipt(&other, 7)),
        (
            "another serial's",
            Receipt::committed(8, one.to_be_signed_hash(7)),
        ),
        ("of nothing", Receipt::committed(7, [0; 32])),
    ];
    for (case, receipt) in cases {
        let result = ca.sign(one.clone(), receipt).await;
        assert!(matches!(result, Err(Error::Receipt)), "{case}: {result:?}");
    }
}

#[tokio::test]
async fn serial_zero_is_never_signed() {
    let ca = ca_of(Key::sample(Algorithm::Ed25519));
    let draft = draft(&ca, 1);
    let receipt = receipt(&draft, 0);
    let result = ca.sign(draft, receipt).await;
    assert!(matches!(result, Err(Error::Lint(lint::Problem::Serial))));
}

#[tokio::test]
async fn a_draft_for_another_ca_is_not_signed() {
    let [ca, other] = ALGORITHMS.map(|algorithm| ca_of(Key::sample(algorithm)));
    let draft = draft(&other, 1);
    let receipt = receipt(&draft, 7);
    let result = ca.sign(draft, receipt).await;
    assert!(matches!(result, Err(Error::Lint(lint::Problem::CaKey))));
}

#[tokio::test]
async fn another_keys_signature_never_leaves() {
    for one in ALGORITHMS {
        for other in ALGORITHMS {
            let key = Key::sample(one.clone()).answering_with(Key::sample(other.clone()));
            let ca = ca_of(key);
            let draft = draft(&ca, 1);
            let receipt = receipt(&draft, 7);
            let result = ca.sign(draft, receipt).await;
            assert!(matches!(result, Err(Error::Signature)), "{one} {other}");
        }
    }
}

#[test]
fn a_ca_has_exactly_one_active_key_and_each_key_once() {
    use KeyState::{Active, Retired, Staged};
    let cases: [(&str, &[KeyState], bool); 6] = [
        ("no key", &[], false),
        ("none active", &[Staged, Retired], false),
        ("two active", &[Active, Active], false),
        ("one active", &[Active], true),
        ("active among others", &[Retired, Active, Staged], true),
        ("several retired", &[Retired, Retired, Active], true),
    ];
    for (case, states, expected) in cases {
        let keys = states
            .iter()
            .map(|&state| (Key::sample(Algorithm::Ed25519), state));
        let ca = Ca::new(keys.collect());
        assert_eq!(ca.is_ok(), expected, "{case}");
    }
    let [key, twin] = Key::twins();
    let repeated = Ca::new(vec![(key, Active), (twin, Retired)]);
    assert!(matches!(
        repeated,
        Err(Error::Keys("a key is listed twice"))
    ));
}

#[test]
fn the_active_key_is_listed_first() {
    let keys = [KeyState::Retired, KeyState::Active, KeyState::Staged]
        .map(|state| (Key::sample(Algorithm::Ed25519), state));
    let ca = Ca::new(keys.into()).unwrap();
    let states: Vec<KeyState> = ca.keys().map(|(_, state)| state).collect();
    assert_eq!(
        states,
        [KeyState::Active, KeyState::Retired, KeyState::Staged]
    );
}

#[test]
fn debug_output_of_a_ca_holds_fingerprints_only() {
    let ca = ca_of(Key::sample(Algorithm::Ed25519));
    let shown = format!("{ca:?}");
    assert!(shown.contains("SHA256:") && shown.len() < 120, "{shown}");
}
