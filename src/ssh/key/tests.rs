//! Keys that get a pass, and the many that do not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::{fs, path::Path};

use super::*;
use crate::ssh::wire::string;

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/certificates");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn line(algorithm: &str, fields: &[Vec<u8>]) -> String {
    let blob = [string(algorithm.as_bytes()), fields.concat()].concat();
    format!("{algorithm} {}", STANDARD.encode(blob))
}

/// An RSA key with this exponent and a modulus of `bits` ones: size and shape only, as the refusals
/// see it.
fn rsa(exponent: &[u8], bits: usize) -> String {
    rsa_with(exponent, &vec![0xff; bits / 8])
}

fn rsa_with(exponent: &[u8], modulus: &[u8]) -> String {
    let modulus = [&[0], modulus].concat();
    line("ssh-rsa", &[string(exponent), string(&modulus)])
}

const F4: &[u8] = &[1, 0, 1];

#[test]
fn keys_made_by_ssh_keygen_are_taken_without_their_comment() {
    for name in [
        "ed25519",
        "p256",
        "p384",
        "p521",
        "rsa3072",
        "sk-ed25519",
        "sk-p256",
    ] {
        let text = golden(&format!("{name}.pub"));
        let key = parse(&format!("{} alice@laptop of hers\n", text.trim_end())).unwrap();
        assert_eq!(key.to_openssh().unwrap(), text.trim_end(), "{name}");
        assert_eq!(parse(&text).unwrap(), key, "{name}");
        assert!(check(&key).is_ok(), "{name}");
    }
}

#[test]
fn rsa_keys_are_refused_by_size_and_shape() {
    let even = [vec![0xff; 383], vec![0xfe]].concat();
    let cases = [
        (
            "ssh-keygen's 2048 bits",
            golden("rsa2048.pub"),
            InvalidKey::RsaSize(3072),
        ),
        ("1024 bits", rsa(F4, 1024), InvalidKey::RsaSize(3072)),
        ("3064 bits", rsa(F4, 3064), InvalidKey::RsaSize(3072)),
        (
            "a bit short of 3072",
            rsa_with(F4, &[vec![0x7f], vec![0xff; 383]].concat()),
            InvalidKey::Malformed,
        ),
        ("16k", rsa(F4, 16_384), InvalidKey::RsaSize(3072)),
        (
            "9 bytes over 8192 bits",
            rsa(F4, 8264),
            InvalidKey::RsaSize(3072),
        ),
        ("no modulus", rsa_with(F4, &[]), InvalidKey::Malformed),
        ("exponent 1", rsa(&[1], 3072), InvalidKey::RsaNumbers),
        ("exponent 2", rsa(&[2], 3072), InvalidKey::RsaNumbers),
        ("exponent 3", rsa(&[3], 3072), InvalidKey::RsaNumbers),
        (
            "exponent 65536",
            rsa(&[1, 0, 0], 3072),
            InvalidKey::RsaNumbers,
        ),
        (
            "exponent 65538",
            rsa(&[1, 0, 2], 3072),
            InvalidKey::RsaNumbers,
        ),
        (
            "exponent of 40 bits",
            rsa(&[1, 0, 0, 0, 1], 3072),
            InvalidKey::RsaNumbers,
        ),
        ("exponent 0", rsa(&[], 3072), InvalidKey::Malformed),
        (
            "negative exponent",
            rsa(&[0x81, 0, 1], 3072),
            InvalidKey::Malformed,
        ),
        (
            "exponent with a needless zero",
            rsa(&[0, 1, 0, 1], 3072),
            InvalidKey::Malformed,
        ),
        ("even modulus", rsa_with(F4, &even), InvalidKey::RsaNumbers),
        (
            "negative modulus",
            line("ssh-rsa", &[string(F4), string(&[0xff; 384])]),
            InvalidKey::Malformed,
        ),
    ];
    for (case, text, expected) in cases {
        assert_eq!(parse(&text), Err(expected), "{case}");
    }
    assert!(parse(&rsa(F4, 3072)).is_ok());
    assert!(parse(&rsa(F4, 8192)).is_ok());
}

#[test]
fn certificates_are_never_subject_keys() {
    let certificate = golden("subject-ed25519-cert.pub");
    let (_, encoded) = split_line(certificate.trim_end()).unwrap();
    let disguised = format!("ssh-ed25519 {encoded}");
    let rsa = golden("subject-rsa3072-cert.pub");
    let sk = golden("subject-sk-p256-cert.pub");
    let future = "ssh-ed25519-cert-v02@openssh.com AAAA".to_owned();
    for text in [certificate, disguised, rsa, sk, future] {
        assert_eq!(
            parse(&text),
            Err(InvalidKey::Certificate),
            "CVE-2025-49825: {text}"
        );
    }
}

#[test]
fn unknown_algorithms_are_refused_before_their_bytes_are_read() {
    for algorithm in [
        "ssh-dss",
        "ssh-ed448",
        "ssh-rsa1",
        "rsa-sha2-512",
        "SSH-ED25519",
        "ssh-xmss@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "ecdsa-sha2-nistp224",
        "none",
        "",
    ] {
        let text = format!("{algorithm} not base64 at all");
        assert_eq!(parse(&text), Err(InvalidKey::Algorithm), "{algorithm:?}");
    }
}

#[test]
fn what_is_not_one_key_exactly_is_malformed() {
    let good = golden("ed25519.pub");
    let good = good.trim_end();
    let point = string(&[9; 32]);
    let p256 = [vec![4], vec![1; 64]].concat();
    let compressed = [vec![2], vec![1; 32]].concat();
    let padded = STANDARD.encode([string(b"ssh-ed25519"), point.clone(), vec![0]].concat());
    let cases = [
        ("one word", "ssh-ed25519".to_owned()),
        ("no base64", "ssh-ed25519 !!!!".to_owned()),
        ("empty blob", "ssh-ed25519 ".to_owned()),
        ("two keys", format!("{good}\n{good}")),
        ("a NUL in the comment", format!("{good} a\0b")),
        ("an option before the key", format!("command=\"id\" {good}")),
        ("trailing bytes", format!("ssh-ed25519 {padded}")),
        (
            "another algorithm inside",
            good.replace("ssh-ed25519 ", "ssh-rsa "),
        ),
        (
            "31 bytes of point",
            line("ssh-ed25519", &[string(&[9; 31])]),
        ),
        (
            "33 bytes of point",
            line("ssh-ed25519", &[string(&[9; 33])]),
        ),
        ("a length of 4 GiB", line("ssh-ed25519", &[vec![0xff; 4]])),
        (
            "another curve's name",
            line("ecdsa-sha2-nistp256", &[string(b"nistp384"), string(&p256)]),
        ),
        (
            "a compressed point",
            line(
                "ecdsa-sha2-nistp256",
                &[string(b"nistp256"), string(&compressed)],
            ),
        ),
        (
            "the point at infinity",
            line("ecdsa-sha2-nistp256", &[string(b"nistp256"), string(&[0])]),
        ),
        (
            "security key without application",
            line("sk-ssh-ed25519@openssh.com", std::slice::from_ref(&point)),
        ),
        (
            "security key of a web site",
            line(
                "sk-ssh-ed25519@openssh.com",
                &[point.clone(), string(b"https://example.com")],
            ),
        ),
        (
            "newline in the application",
            line("sk-ssh-ed25519@openssh.com", &[point, string(b"ssh:\n")]),
        ),
    ];
    for (case, text) in cases {
        let refusal = parse(&text).unwrap_err();
        let expected = [InvalidKey::Malformed, InvalidKey::Algorithm];
        assert!(expected.contains(&refusal), "{case}: {refusal:?}");
    }
}

#[test]
fn size_is_looked_at_first() {
    let long = format!(
        "{} {}",
        golden("ed25519.pub").trim_end(),
        "x".repeat(MAX_TEXT)
    );
    assert_eq!(parse(&long), Err(InvalidKey::TooLong));
    assert_eq!(parse(&"A".repeat(1 << 20)), Err(InvalidKey::TooLong));
}

#[test]
fn points_for_which_anyone_can_sign_are_refused() {
    let all_ones = [0xff; 32];
    let mut minus_one = all_ones;
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let mut one_with_sign = [0; 32];
    one_with_sign[0] = 1;
    one_with_sign[31] = 0x80;
    let [first, second] = ORDER_EIGHT;
    for point in [[0; 32], minus_one, one_with_sign, first, second] {
        let plain = line("ssh-ed25519", &[string(&point)]);
        assert_eq!(parse(&plain), Err(InvalidKey::Weak), "{point:02x?}");
        let sk = line(
            "sk-ssh-ed25519@openssh.com",
            &[string(&point), string(b"ssh:")],
        );
        assert_eq!(parse(&sk), Err(InvalidKey::Weak), "{point:02x?}");
    }
}
