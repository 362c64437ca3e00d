//! Which public object of a token is a key. Pure.

use cryptoki::object::Attribute;
use ssh_key::public::KeyData;

/// Whether a public object is this key.
pub(super) fn is_of(key: &KeyData, attributes: &[Attribute]) -> bool {
    let number = |bytes: &[u8]| -> Vec<u8> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.iter().skip(zeros).copied().collect()
    };
    let point = attributes.iter().find_map(|it| match it {
        Attribute::EcPoint(point) => Some(point.as_slice()),
        _ => None,
    });
    match key {
        KeyData::Ed25519(key) => point.is_some_and(|point| is_point(point, &key.0)),
        KeyData::Ecdsa(key) => point.is_some_and(|point| is_point(point, key.as_sec1_bytes())),
        KeyData::Rsa(key) => {
            let has = |ours: Option<&[u8]>, pick: fn(&Attribute) -> Option<&[u8]>| {
                let theirs = attributes.iter().find_map(pick);
                ours.zip(theirs)
                    .is_some_and(|(ours, theirs)| number(ours) == number(theirs))
            };
            has(key.n.as_positive_bytes(), |it| match it {
                Attribute::Modulus(bytes) => Some(bytes),
                _ => None,
            }) && has(key.e.as_positive_bytes(), |it| match it {
                Attribute::PublicExponent(bytes) => Some(bytes),
                _ => None,
            })
        }
        _ => false,
    }
}

/// A point is in a DER OCTET STRING (PKCS#11 v2.40, section 2.3.3); some tokens give it bare.
fn is_point(found: &[u8], point: &[u8]) -> bool {
    let length = u8::try_from(point.len()).unwrap_or_default();
    found == point || found.strip_prefix(&[0x04, length]) == Some(point)
}
