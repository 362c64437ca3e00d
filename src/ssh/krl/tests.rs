//! The encoder against its own parser, against `ssh-keygen -Q`, and against hostile bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{collections::HashSet, fs, path::Path, process::Command};

use proptest::prelude::*;
use ssh_key::{
    Algorithm, PrivateKey,
    certificate::{Builder, CertType},
    rand_core::OsRng,
};
use tempfile::TempDir;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn pass(ca: &[u8], serial: u64) -> Revoked {
    Revoked {
        serial,
        ca: ca.to_vec(),
    }
}

fn list(passes: &[Revoked]) -> Krl {
    Krl::new(7, NOW, passes.iter().cloned())
}

#[test]
fn the_bytes_are_those_of_protocol_krl() {
    let bytes = list(&[pass(b"ca", 5)]).publish().unwrap();
    let expected = [
        &b"SSHKRL\n\0"[..],
        &[0, 0, 0, 1],
        &7_u64.to_be_bytes(),
        &NOW.get().to_be_bytes(),
        &[0; 8],
        &[0; 4],
        &[0, 0, 0, 7],
        b"daypass",
        &[1, 0, 0, 0, 23],
        &[0, 0, 0, 2],
        b"ca",
        &[0; 4],
        &[0x20, 0, 0, 0, 8],
        &5_u64.to_be_bytes(),
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn a_list_that_revokes_nothing_is_not_empty_bytes() {
    let empty = list(&[]);
    let bytes = empty.publish().unwrap();
    assert!(!bytes.is_empty());
    let parsed = Krl::parse(&bytes).unwrap();
    assert!(parsed.is_empty());
    assert_eq!((parsed.version(), parsed.made_at()), (7, NOW));
}

#[test]
fn serials_are_of_one_ca_key_unless_that_is_unknown() {
    let krl = list(&[pass(b"one", 5), pass(b"other", 6), pass(b"", 7)]);
    for (ca, serial, revoked) in [
        (&b"one"[..], 5, true),
        (b"one", 6, false),
        (b"other", 5, false),
        (b"other", 6, true),
        (b"one", 7, true),
        (b"other", 7, true),
    ] {
        assert_eq!(krl.revokes(ca, serial), revoked, "{ca:?} {serial}");
    }
}

#[test]
fn serial_zero_is_never_listed() {
    assert!(list(&[pass(b"ca", 0)]).is_empty());
}

#[test]
fn no_bytes_but_a_whole_list_are_read() {
    let good = list(&[pass(b"ca", 5), pass(b"ca", 9), pass(b"cb", 1)])
        .publish()
        .unwrap();
    let empty = list(&[]).publish().unwrap().len();
    let first = list(&[pass(b"ca", 5), pass(b"ca", 9)])
        .publish()
        .unwrap()
        .len();
    for length in 0..good.len() {
        // Where a section ends, the rest is a list of its own.
        let is_whole = length == empty || length == first;
        assert_eq!(
            Krl::parse(&good[..length]).is_ok(),
            is_whole,
            "cut at {length}"
        );
    }
    assert!(Krl::parse(&[&good[..], &[0]].concat()).is_err(), "trailing");
    for (case, at, byte) in [
        ("magic", 0, b'X'),
        ("format", 11, 2),
        ("flags", 35, 1),
        ("section", empty, 2),
        ("another kind of list", empty + 15, 0x22),
        ("serials out of order", first - 1, 4),
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(Krl::parse(&bad).is_err(), "{case}");
    }
}

proptest! {
    #[test]
    fn what_is_listed_is_read_back(
        serials in prop::collection::btree_set(1_u64.., 0..200),
        others in prop::collection::btree_set(1_u64..500, 0..200),
    ) {
        let one = serials.iter().map(|serial| pass(b"one", *serial));
        let krl = Krl::new(1, NOW, one.chain(others.iter().map(|serial| pass(b"two", *serial))));
        let read = Krl::parse(&krl.publish().unwrap()).unwrap();
        prop_assert_eq!(read.len(), serials.len() + others.len());
        prop_assert!(serials.iter().all(|serial| read.revokes(b"one", *serial)));
        prop_assert!((1..500).all(|serial| read.revokes(b"two", serial) == others.contains(&serial)));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let headed = [&list(&[]).publish().unwrap()[..], &bytes].concat();
        for bytes in [bytes, headed] {
            if let Ok(read) = Krl::parse(&bytes) {
                prop_assert!(read.publish().is_ok());
            }
        }
    }
}

/// 20,000 serials in the sequences that other writers stumble over: runs, every second, steps
/// around the widths of a bitmap, the edges of 32 and 64 bits, and a scatter.
pub(super) fn awkward_serials() -> HashSet<u64> {
    let run = 1..=5_000;
    let alternate = (10_000..20_000).step_by(2);
    let bitmaps = (0..2_000).map(|step| 100_000 + step * 16_384 + (step % 3));
    let edges = [32, 53, 62, 63].into_iter().flat_map(|bits| {
        let edge = 1_u64 << bits;
        [edge - 1, edge, edge + 1]
    });
    let mut serials: HashSet<u64> = run.chain(alternate).chain(bitmaps).chain(edges).collect();
    serials.extend([u64::MAX, u64::MAX - 1]);
    let mut scattered = 0x9e37_79b9_7f4a_7c15_u64;
    while serials.len() < 20_000 {
        scattered = scattered
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        serials.insert(scattered >> 20);
    }
    serials
}

#[test]
fn ssh_keygen_finds_exactly_the_listed_serials_revoked() {
    let folder = TempDir::new().unwrap();
    let revoked = awkward_serials();
    let keys =
        ["one", "other"].map(|_| PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap());
    let blob = |key: &PrivateKey| key.public_key().to_bytes().unwrap();
    let [one, other] = &keys;
    let passes = revoked.iter().map(|serial| pass(&blob(one), *serial));
    let krl = Krl::new(9, NOW, passes.chain([pass(&blob(other), 5)]));
    assert_eq!(krl.len(), 20_001);
    fs::write(folder.path().join("krl"), krl.publish().unwrap()).unwrap();

    let near = revoked
        .iter()
        .take(40)
        .flat_map(|serial| [serial.saturating_sub(1), *serial, serial.saturating_add(1)]);
    let chosen = [
        1, 2, 4_999, 5_000, 5_001, 9_999, 10_000, 10_001, 19_998, 19_999, 20_000, 100_000, 99_999,
    ];
    let edges = [32, 53, 62, 63].into_iter().flat_map(|bits| {
        let edge = 1_u64 << bits;
        [edge - 2, edge - 1, edge, edge + 1, edge + 2]
    });
    let samples: HashSet<u64> = chosen
        .into_iter()
        .chain(edges)
        .chain(near)
        .chain([u64::MAX])
        .collect();
    assert!(samples.iter().any(|serial| !revoked.contains(serial)));
    for serial in samples {
        let expected = revoked.contains(&serial);
        assert_eq!(refused(folder.path(), one, serial), expected, "{serial}");
    }
    for (serial, expected) in [(5, true), (6, false), (5_000, false)] {
        assert_eq!(
            refused(folder.path(), other, serial),
            expected,
            "other {serial}"
        );
    }
}

/// Answer of `ssh-keygen -Q` for a certificate with this serial: exit 1 is revoked, 0 is not.
fn refused(folder: &Path, ca: &PrivateKey, serial: u64) -> bool {
    let subject = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let mut builder =
        Builder::new(vec![1; 32], subject.public_key(), NOW.get(), NOW.get() + 60).unwrap();
    builder.cert_type(CertType::User).unwrap();
    builder.serial(serial).unwrap();
    builder.valid_principal("root").unwrap();
    let certificate = builder.sign(ca).unwrap();
    let file = folder.join("pass-cert.pub");
    fs::write(&file, certificate.to_openssh().unwrap()).unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-Q", "-f"])
        .args([&folder.join("krl"), &file])
        .output()
        .expect("ssh-keygen is missing: apt-get install openssh-client");
    match output.status.code() {
        Some(0) => false,
        Some(1) if String::from_utf8_lossy(&output.stdout).contains("REVOKED") => true,
        _ => panic!("{output:?}"),
    }
}
