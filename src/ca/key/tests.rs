//! Signing, and telling whose signature it is.
#![allow(clippy::unwrap_used, reason = "tests")]
use ssh_key::Certificate;

use super::{sample::ALGORITHMS, *};

#[tokio::test]
async fn a_signature_is_its_own_keys_and_of_its_own_message() {
    for algorithm in ALGORITHMS {
        // Often enough for r or s to be short or to have its high bit set.
        for _ in 0..50 {
            let (key, other) = (
                Key::sample(algorithm.clone()),
                Key::sample(algorithm.clone()),
            );
            let signature = key.sign(b"message".as_slice().into()).await.unwrap();
            assert!(is_signed_by(key.public(), b"message", &signature));
            assert!(!is_signed_by(key.public(), b"massage", &signature));
            assert!(!is_signed_by(other.public(), b"message", &signature));
        }
    }
}

#[tokio::test]
async fn a_signature_of_another_algorithm_is_nobodys() {
    let [one, other] = ALGORITHMS.map(Key::sample);
    let signature = one.sign(b"message".as_slice().into()).await.unwrap();
    assert!(!is_signed_by(other.public(), b"message", &signature));
}

#[test]
fn signatures_made_by_ssh_keygen_verify() {
    let certificates = [
        include_str!("../../../tests/golden/certificates/subject-ed25519-cert.pub"),
        include_str!("../../../tests/golden/certificates/signed-by-p256-cert.pub"),
    ];
    for text in certificates {
        let certificate = Certificate::from_openssh(text).unwrap();
        let bytes = certificate.to_bytes().unwrap();
        let signature = Vec::<u8>::try_from(certificate.signature().clone()).unwrap();
        let (message, _) = bytes.split_at(bytes.len() - signature.len() - 4);
        let ca = PublicKey::from(certificate.signature_key().clone());
        assert!(is_signed_by(&ca, message, certificate.signature()));
    }
}

#[test]
fn debug_shows_the_fingerprint_and_nothing_else() {
    for algorithm in ALGORITHMS {
        let key = Key::sample(algorithm);
        let shown = format!("{key:?}");
        let fingerprint = crate::ssh::key::fingerprint(key.public());
        assert_eq!(shown, format!("Key({fingerprint:?})"));
    }
}
