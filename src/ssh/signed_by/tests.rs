//! The verifier beside ssh-key's own, on honest and hostile keys and signatures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use signature::Signer;
use ssh_key::{
    Mpint, PrivateKey,
    public::{Ed25519PublicKey, SkEcdsaSha2NistP256, SkEd25519},
    rand_core::OsRng,
};

use super::*;
use crate::ssh::wire;

const MESSAGE: &[u8] = b"message";
const APPLICATION: &str = "ssh:";

const CURVES: [EcdsaCurve; 3] = [
    EcdsaCurve::NistP256,
    EcdsaCurve::NistP384,
    EcdsaCurve::NistP521,
];

/// The orders of the curves' groups (SEC 2).
const ORDERS: [&str; 3] = [
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
];

/// The order of Ed25519's group, little-endian (RFC 8032 section 5.1).
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn hex(text: &str) -> Vec<u8> {
    base16ct::lower::decode_vec(text).unwrap()
}

/// ssh-key's verdict.
fn reference(key: &KeyData, message: &[u8], signature: &Signature) -> bool {
    key.verify(message, signature).is_ok()
}

/// Both verdicts, which must be the same.
fn both(key: &KeyData, message: &[u8], signature: &Signature) -> bool {
    let verdict = is_signed_by(key, message, signature);
    assert_eq!(verdict, reference(key, message, signature), "{signature:?}");
    verdict
}

fn random(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut OsRng, algorithm).unwrap()
}

/// Every kind of key with a signature of it over `message`.
fn signed(message: &[u8]) -> Vec<(KeyData, Signature)> {
    let mut all = Vec::new();
    let ed25519 = random(Algorithm::Ed25519);
    let point = *ed25519.public_key().key_data().ed25519().unwrap();
    all.push((
        ed25519.public_key().key_data().clone(),
        ed25519.try_sign(message).unwrap(),
    ));
    let security_key = KeyData::SkEd25519(SkEd25519::new(point, APPLICATION));
    all.push((security_key, by_security_key(&ed25519, message)));
    for curve in CURVES {
        let key = random(Algorithm::Ecdsa { curve });
        all.push((
            key.public_key().key_data().clone(),
            key.try_sign(message).unwrap(),
        ));
        if let KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) = key.public_key().key_data() {
            let security_key = SkEcdsaSha2NistP256::new(*point, APPLICATION);
            let security_key = KeyData::SkEcdsaSha2NistP256(security_key);
            all.push((security_key, by_security_key(&key, message)));
        }
    }
    all
}

/// A signature in the form of PROTOCOL.u2f, touched.
fn by_security_key(key: &PrivateKey, message: &[u8]) -> Signature {
    let trailer = [1, 0, 0, 0, 7];
    let hash = |bytes: &[u8]| Sha256::digest(bytes);
    let signed = [
        &hash(APPLICATION.as_bytes())[..],
        &trailer,
        &hash(message)[..],
    ];
    let signature: Signature = key.try_sign(&signed.concat()).unwrap();
    let algorithm = match key.algorithm() {
        Algorithm::Ed25519 => Algorithm::SkEd25519,
        _ => Algorithm::SkEcdsaSha2NistP256,
    };
    Signature::new(algorithm, [signature.as_bytes(), &trailer].concat()).unwrap()
}

#[test]
fn signatures_of_every_kind_of_key_are_verified_as_ssh_key_verifies_them() {
    // Often enough for integers to be short or to have their high bit set.
    for _ in 0..6 {
        let all = signed(MESSAGE);
        for (one, (key, signature)) in all.iter().enumerate() {
            assert!(both(key, MESSAGE, signature), "{key:?}");
            assert!(!both(key, b"massage", signature), "{key:?}");
            for (other, (_, signature)) in all.iter().enumerate() {
                let verdict = is_signed_by(key, MESSAGE, signature);
                assert_eq!(verdict, one == other, "{key:?} {signature:?}");
            }
        }
    }
}

/// The length of an integer of SSH's, and its bytes without a sign.
fn integers(blob: &[u8]) -> [Vec<u8>; 2] {
    let mut reader = Reader::new(blob);
    [(); 2].map(|()| reader.positive().unwrap().to_vec())
}

fn ecdsa(curve: EcdsaCurve, r: &[u8], s: &[u8]) -> Option<Signature> {
    let mut blob = Vec::new();
    for number in [r, s] {
        wire::put_string(
            &mut blob,
            Mpint::from_positive_bytes(number).ok()?.as_bytes(),
        );
    }
    Signature::new(Algorithm::Ecdsa { curve }, blob).ok()
}

/// `one - other`, big-endian, modulo 256 to the length of `one`; `other` is padded.
fn difference(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut result = vec![0; one.len()];
    let mut borrow = 0;
    for at in 0..one.len() {
        let place = one.len() - 1 - at;
        let subtrahend = match other.len().checked_sub(at + 1) {
            Some(place) => i16::from(other[place]),
            None => 0,
        };
        let digit = i16::from(one[place]) - subtrahend - borrow;
        borrow = i16::from(digit < 0);
        result[place] = digit.rem_euclid(256) as u8;
    }
    result
}

#[test]
fn ecdsa_integers_at_the_edges_get_the_same_verdict() {
    for (curve, order) in CURVES.into_iter().zip(ORDERS) {
        let order = hex(order);
        let key = random(Algorithm::Ecdsa { curve });
        let signature: Signature = key.try_sign(MESSAGE).unwrap();
        let [r, s] = integers(signature.as_bytes());
        let public = key.public_key().key_data();
        let verdict = |r: &[u8], s: &[u8]| match ecdsa(curve, r, s) {
            Some(signature) => both(public, MESSAGE, &signature),
            None => false,
        };
        assert!(verdict(&r, &s));
        // Both signatures of a pair are valid in SSH: neither ledger nor ask names a signature.
        assert!(verdict(&r, &difference(&order, &s)), "the other s");
        let below = difference(&order, &[1]);
        let zero: &[u8] = &[];
        for (case, r, s) in [
            ("r is 0", zero, &s[..]),
            ("s is 0", &r, zero),
            ("r is the order", &order, &s),
            ("s is the order", &r, &order),
            ("r is the greatest", &below, &s),
            ("s is the greatest", &r, &below),
            ("they are exchanged", &s, &r),
            ("r is s", &s, &s),
        ] {
            assert!(!verdict(r, s), "{curve:?}: {case}");
        }
    }
}

#[test]
fn ecdsa_integers_with_needless_zeros_or_a_sign_are_no_signature() {
    for curve in CURVES {
        let key = random(Algorithm::Ecdsa { curve });
        let signature: Signature = key.try_sign(MESSAGE).unwrap();
        let [r, s] = integers(signature.as_bytes());
        let padded = |number: &[u8]| [&[0, 0], number].concat();
        for (r, s) in [
            (padded(&r), s.clone()),
            (r.clone(), padded(&s)),
            ([&[0xff], &r[..]].concat(), s.clone()),
        ] {
            let blob = wire::strings(&[&r, &s]);
            assert_eq!(fixed_signature(&blob, coordinate(curve)), None);
            assert!(Signature::new(Algorithm::Ecdsa { curve }, blob).is_err());
        }
        let longer = [signature.as_bytes(), b"x"].concat();
        assert_eq!(fixed_signature(&longer, coordinate(curve)), None);
    }
}

/// Adds the group's order to S (RFC 8032 section 5.1.7 refuses it).
#[test]
fn ed25519_signatures_have_one_form() {
    let key = random(Algorithm::Ed25519);
    let signature: Signature = key.try_sign(MESSAGE).unwrap();
    let mut bytes = signature.as_bytes().to_vec();
    let mut carry = 0;
    for (digit, order) in bytes[32..].iter_mut().zip(hex(ED25519_ORDER)) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
    let malleable = Signature::new(Algorithm::Ed25519, bytes).unwrap();
    assert!(!both(key.public_key().key_data(), MESSAGE, &malleable));
    let mut flagged = signature.as_bytes().to_vec();
    for bit in [0x20, 0x40, 0x80] {
        flagged[63] |= bit;
        let flagged = Signature::new(Algorithm::Ed25519, flagged.clone()).unwrap();
        assert!(!both(key.public_key().key_data(), MESSAGE, &flagged));
    }
}

/// Encodings of the points whose order divides 8, canonical or not (RFC 8032 section 5.1.3), with
/// the sign bit and without.
fn small_order() -> Vec<[u8; 32]> {
    let ordinates = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let mut all = Vec::new();
    for ordinate in ordinates {
        let mut point: [u8; 32] = hex(ordinate).try_into().unwrap();
        all.push(point);
        point[31] |= 0x80;
        all.push(point);
    }
    all
}

/// Signatures that need no private key. [`crate::ssh::key`] refuses all of these keys before; the
/// verifier is not laxer than ssh-key's even without that.
#[test]
fn ed25519_points_of_small_order_get_no_laxer_verdict_and_are_no_subject_keys() {
    let points = small_order();
    let mut accepted = [0, 0];
    for key in &points {
        let data = KeyData::Ed25519(Ed25519PublicKey(*key));
        assert_eq!(
            crate::ssh::key::check(&data.clone().into()),
            Err(crate::ssh::key::InvalidKey::Weak)
        );
        for r in &points {
            for message in 0..1_u8 {
                let bytes = [&r[..], &[0; 32]].concat();
                let signature = Signature::new(Algorithm::Ed25519, bytes).unwrap();
                let ours = is_signed_by(&data, &[message], &signature);
                let theirs = reference(&data, &[message], &signature);
                assert!(theirs || !ours, "{key:?} {r:?}");
                accepted[0] += usize::from(ours);
                accepted[1] += usize::from(theirs);
            }
        }
    }
    assert!(accepted[0] <= accepted[1]);
    assert!(accepted[1] > 0, "the cases are hostile ones");
}

/// The points with an ordinate of p or more, which ssh-key reads modulo p.
#[test]
fn ed25519_keys_with_another_spelling_verify_nothing() {
    for last in 0xed..=0xff_u8 {
        for sign in [0, 0x80] {
            let mut point = [0xff; 32];
            point[0] = last;
            point[31] = 0x7f | sign;
            let data = KeyData::Ed25519(Ed25519PublicKey(point));
            for r in small_order() {
                let bytes = [&r[..], &[0; 32]].concat();
                let signature = Signature::new(Algorithm::Ed25519, bytes).unwrap();
                assert!(!is_signed_by(&data, MESSAGE, &signature), "{point:?}");
            }
        }
    }
}

#[test]
fn points_off_the_curve_verify_nothing() {
    for curve in CURVES {
        let key = random(Algorithm::Ecdsa { curve });
        let signature: Signature = key.try_sign(MESSAGE).unwrap();
        let KeyData::Ecdsa(point) = key.public_key().key_data() else {
            unreachable!("it is an ECDSA key")
        };
        let mut bytes = point.as_sec1_bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let off = KeyData::Ecdsa(EcdsaPublicKey::from_sec1_bytes(&bytes).unwrap());
        assert!(!both(&off, MESSAGE, &signature));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// No changed bytes of a signature or of a security key's flags get another verdict than
    /// ssh-key's.
    #[test]
    fn changed_signatures_get_the_same_verdict(
        kind in 0_usize..6,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..3),
    ) {
        static SIGNED: LazyLock<Vec<(KeyData, Signature)>> = LazyLock::new(|| signed(MESSAGE));
        let (key, signature) = &SIGNED[kind];
        let mut bytes = signature.as_bytes().to_vec();
        for (at, change) in changes {
            let at = at % bytes.len();
            bytes[at] ^= change;
        }
        if let Ok(changed) = Signature::new(signature.algorithm(), bytes) {
            both(key, MESSAGE, &changed);
        }
    }

    /// Arbitrary blobs are read without a panic.
    #[test]
    fn any_bytes_are_two_integers_or_refused(
        blob in proptest::collection::vec(any::<u8>(), 0..160),
    ) {
        for curve in CURVES {
            if let Some(fixed) = fixed_signature(&blob, coordinate(curve)) {
                prop_assert_eq!(fixed.len(), 2 * coordinate(curve));
            }
        }
        let _ = of_security_key(&blob);
    }
}
