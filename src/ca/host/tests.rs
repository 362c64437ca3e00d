//! Host certificates: `ssh-keygen -L` as an outside oracle, and every field that must not leave.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: a panic is the failure"
)]

use std::{fs, process::Command, time::Duration};

use ssh_key::{Algorithm, EcdsaCurve, PrivateKey, rand_core::OsRng};
use time::OffsetDateTime;

use ssh_key::{Certificate, PublicKey};

use super::{draft::Subject, *};
use crate::{
    ca::{
        error::Error,
        key::{Key, sample::at_once},
        keys::{Ca, KeyState},
        lint::Problem,
    },
    ledger::Receipt,
};

const NOW: OffsetDateTime = time::macros::datetime!(2026-11-30 01:00 UTC);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn users() -> Ca {
    Ca::new(vec![(Key::sample(Algorithm::Ed25519), KeyState::Active)]).unwrap()
}

fn hosts() -> HostCa {
    let key = Key::sample(Algorithm::Ed25519);
    HostCa::new(vec![(key, KeyState::Active)], &users()).unwrap()
}

fn public(algorithm: Algorithm) -> PublicKey {
    let key = PrivateKey::random(&mut OsRng, algorithm).unwrap();
    key.public_key().clone()
}

fn drafted(name: &str, aliases: &[&str], lifetime: Duration) -> Result<HostDraft, Error> {
    drafted_by(&hosts(), name, aliases, lifetime)
}

fn drafted_by(
    ca: &HostCa,
    name: &str,
    aliases: &[&str],
    lifetime: Duration,
) -> Result<HostDraft, Error> {
    let key = public(Algorithm::Ed25519);
    let aliases: Vec<String> = aliases.iter().map(|it| (*it).to_owned()).collect();
    let subject = Subject {
        name,
        aliases: &aliases,
        key: &key,
        lifetime,
    };
    HostDraft::new(subject, ca, [7; 32], NOW)
}

fn receipt(draft: &HostDraft, serial: u64) -> Receipt {
    Receipt::committed(serial, draft.to_be_signed_hash(serial))
}

/// The lines that `ssh-keygen -L` prints.
fn shown(certificate: &Certificate) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host-cert.pub");
    fs::write(&file, certificate.to_openssh().unwrap()).unwrap();
    let output = Command::new("ssh-keygen")
        .arg("-L")
        .arg("-f")
        .arg(&file)
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn openssh_reads_a_host_certificate_with_its_names_and_nothing_else() {
    let curves = [
        EcdsaCurve::NistP256,
        EcdsaCurve::NistP384,
        EcdsaCurve::NistP521,
    ];
    let curves = curves.map(|curve| Algorithm::Ecdsa { curve });
    for algorithm in [Algorithm::Ed25519].into_iter().chain(curves) {
        let (ca, key) = (hosts(), public(algorithm.clone()));
        let aliases = ["10.0.0.7".to_owned(), "web-1.example.com".to_owned()];
        let subject = Subject {
            name: "web-1",
            aliases: &aliases,
            key: &key,
            lifetime: 14 * DAY,
        };
        let draft = HostDraft::new(subject, &ca, [7; 32], NOW).unwrap();
        let receipt = receipt(&draft, 42);
        let certificate = at_once(ca.sign(draft, receipt)).unwrap();
        let shown = shown(&certificate);
        for line in [
            "host certificate",
            "Key ID: \"host/web-1\"",
            "Serial: 42",
            "Principals: \n                10.0.0.7\n                web-1\n                web-1.example.com\n",
            "Critical Options: (none)",
            "Extensions: (none)",
        ] {
            assert!(shown.contains(line), "{algorithm}: {line}: {shown}");
        }
    }
}

#[test]
fn a_name_that_is_no_exact_host_name_makes_no_certificate() {
    for name in ["", "web-*", "web-?", "!web", "a,b", "web\nx", "Web", "a b"] {
        for (name, aliases) in [(name, &[][..]), ("web-1", &[name])] {
            let draft = drafted(name, aliases, DAY);
            let is_refused = matches!(draft, Err(Error::Lint(Problem::HostNames)));
            assert!(is_refused, "{name:?} {aliases:?}");
        }
    }
    let many: Vec<String> = (0..32).map(|at| format!("alias-{at:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(drafted("web-1", &many[..31], DAY).is_ok());
    assert!(drafted("web-1", &many, DAY).is_err(), "33 names");
}

#[test]
fn a_certificate_of_over_90_days_or_none_is_not_made() {
    for (days, is_made) in [(1, true), (90, true), (91, false)] {
        assert_eq!(drafted("web-1", &[], days * DAY).is_ok(), is_made, "{days}");
    }
}

#[test]
fn a_receipt_of_another_draft_or_serial_signs_nothing() {
    let ca = hosts();
    let draft = drafted_by(&ca, "web-1", &[], DAY).unwrap();
    let other = drafted_by(&ca, "web-2", &[], DAY).unwrap();
    let wrong = receipt(&other, 42);
    assert!(matches!(
        at_once(ca.sign(draft.clone(), wrong)),
        Err(Error::Receipt)
    ));
    let wrong = Receipt::committed(43, draft.to_be_signed_hash(42));
    assert!(matches!(
        at_once(ca.sign(draft, wrong)),
        Err(Error::Receipt)
    ));
}

#[test]
fn a_key_of_the_user_ca_signs_no_hosts() {
    let [one, twin] = Key::twins();
    let users = Ca::new(vec![(one, KeyState::Active)]).unwrap();
    assert!(HostCa::new(vec![(twin, KeyState::Active)], &users).is_err());
}

#[test]
fn a_certificate_by_another_key_than_the_configured_one_does_not_leave() {
    let [right, wrong] = [(); 2].map(|()| Key::sample(Algorithm::Ed25519));
    let key = right.answering_with(wrong);
    let ca = HostCa::new(vec![(key, KeyState::Active)], &users()).unwrap();
    let draft = drafted_by(&ca, "web-1", &[], DAY).unwrap();
    let receipt = receipt(&draft, 42);
    assert!(matches!(
        at_once(ca.sign(draft, receipt)),
        Err(Error::Signature)
    ));
}

#[test]
fn no_byte_of_the_signed_part_can_be_changed_into_a_user_certificate_or_an_option() {
    let ca = hosts();
    let draft = drafted_by(&ca, "web-1", &[], DAY).unwrap();
    let bytes = draft.to_be_signed(42);
    assert_eq!(lint::to_be_signed(&bytes, ca.active()), Ok(()));
    // The linter of passes takes none of it, and this one takes no pass.
    assert!(crate::ca::lint::to_be_signed(&bytes, ca.active()).is_err());
    let type_at = bytes
        .windows(4 + 4 + 10)
        .position(|it| it.ends_with(b"host/web-1"))
        .unwrap();
    let mut user = bytes.clone();
    user[type_at + 3] = 1;
    assert_eq!(
        lint::to_be_signed(&user, ca.active()),
        Err(Problem::HostType)
    );
    for cut in 0..bytes.len() {
        assert!(
            lint::to_be_signed(&bytes[..cut], ca.active()).is_err(),
            "{cut}"
        );
    }
}
