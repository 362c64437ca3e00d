//! Drafts against what ssh-keygen writes and reads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
use std::{collections::BTreeSet, fs, path::Path, process::Command};

use ssh_key::{Algorithm, Certificate};

use super::*;
use crate::ssh::permissions::Permissions;
use crate::unix_seconds::UnixSeconds;
use crate::{
    ca::{KeyState, key::Key},
    identity::Identity,
    ledger::Receipt,
    ssh::{key::InvalidKey, options::Extension},
};

const NOW: u64 = 1_800_000_000;

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/certificates");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn key(name: &str) -> PublicKey {
    ssh::key::parse(&golden(name)).unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW.cast_signed()).unwrap()
}

fn ca() -> Ca {
    Ca::new(vec![(Key::sample(Algorithm::Ed25519), KeyState::Active)]).unwrap()
}

fn holder(label: &str, key: &PublicKey) -> KeyHolder {
    KeyHolder::sample(Identity::sample(serde_json::json!({ "sub": label })), key)
}

/// Bytes that the signature of `certificate` covers.
fn signed_part(certificate: &Certificate) -> Vec<u8> {
    let mut bytes = certificate.to_bytes().unwrap();
    let signature = Vec::<u8>::try_from(certificate.signature().clone()).unwrap();
    bytes.truncate(bytes.len() - signature.len() - 4);
    bytes
}

/// Fields that the golden certificates share.
fn golden_permissions() -> Permissions {
    Permissions {
        principals: ["alice", "deploy@web", "root"].map(str::to_owned).into(),
        extensions: [Extension::Pty].into(),
        ..Permissions::default()
    }
}

fn from_networks(networks: &[&str]) -> Option<BTreeSet<ipnet::IpNet>> {
    Some(networks.iter().map(|text| text.parse().unwrap()).collect())
}

#[test]
fn ssh_keygen_encodes_the_same_fields_to_the_same_bytes() {
    let base = golden_permissions;
    let nothing = || Permissions {
        extensions: [].into(),
        ..base()
    };
    let cases = [
        ("subject-ed25519", "ed25519", "ca-ed25519", base()),
        ("subject-p256", "p256", "ca-ed25519", base()),
        ("subject-p384", "p384", "ca-ed25519", base()),
        ("subject-p521", "p521", "ca-ed25519", base()),
        ("subject-rsa3072", "rsa3072", "ca-ed25519", base()),
        ("subject-sk-ed25519", "sk-ed25519", "ca-ed25519", base()),
        ("subject-sk-p256", "sk-p256", "ca-ed25519", base()),
        ("signed-by-p256", "ed25519", "ca-p256", base()),
        ("nothing-allowed", "ed25519", "ca-ed25519", nothing()),
        (
            "all-extensions",
            "ed25519",
            "ca-ed25519",
            Permissions {
                extensions: Extension::ALL.into(),
                ..base()
            },
        ),
        (
            "force-command",
            "ed25519",
            "ca-ed25519",
            Permissions {
                force_command: Some("/bin/echo 'logs of' 'nginx'".to_owned()),
                ..base()
            },
        ),
        (
            "source-address",
            "ed25519",
            "ca-ed25519",
            Permissions {
                source_addresses: from_networks(&["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]),
                ..nothing()
            },
        ),
        (
            "both-options",
            "ed25519",
            "ca-ed25519",
            Permissions {
                force_command: Some("/usr/bin/true".to_owned()),
                source_addresses: from_networks(&["127.0.0.1/32"]),
                ..nothing()
            },
        ),
    ];
    for (name, subject, ca, permissions) in cases {
        let theirs = Certificate::from_openssh(&golden(&format!("{name}-cert.pub"))).unwrap();
        let ca = key(&format!("{ca}.pub"));
        assert_eq!(
            Permissions::of(&theirs).as_ref(),
            Ok(&permissions),
            "{name}"
        );
        let fields = Fields {
            kind: USER,
            nonce: theirs.nonce(),
            subject: &key(&format!("{subject}.pub")).to_bytes().unwrap(),
            key_id: "alice@example.com/shell",
            // 2027-01-01 00:00:00 to 08:01:00 UTC.
            valid_after: UnixSeconds(1_798_761_600),
            valid_before: UnixSeconds(1_798_790_460),
            permissions: &permissions,
            ca: &ca.to_bytes().unwrap(),
        };
        let ours = fields.encode().unwrap().with(4242);
        assert_eq!(ours, signed_part(&theirs), "{name}");
        let bytes = theirs.to_bytes().unwrap();
        lint::certificate(&bytes, &ca).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
}

#[test]
fn every_kind_of_pass_is_read_by_ssh_keygen() {
    let subjects = [
        "ed25519",
        "p256",
        "p384",
        "p521",
        "rsa3072",
        "sk-ed25519",
        "sk-p256",
    ];
    let grant = Grant::sample(
        &["alice", "deploy@web"],
        Some("/bin/echo 'logs of' 'nginx'"),
        Some(&["10.0.0.0/8", "2001:db8::/32"]),
        &Extension::ALL,
    );
    for algorithm in crate::ca::key::sample::ALGORITHMS {
        let ca = Ca::new(vec![(Key::sample(algorithm), KeyState::Active)]).unwrap();
        for subject in subjects {
            let holder = holder("alice@example.com", &key(&format!("{subject}.pub")));
            let draft = Draft::new(&holder, &grant, &ca, [5; 32], now()).unwrap();
            let receipt = Receipt::committed(77, draft.to_be_signed_hash(77));
            let certificate = crate::ca::key::sample::at_once(ca.sign(draft, receipt)).unwrap();
            let shown = ssh_keygen_list(&certificate);
            for expected in [
                "user certificate",
                "Key ID: \"alice@example.com/shell\"",
                "Serial: 77",
                "alice\n",
                "deploy@web\n",
                "force-command /bin/echo 'logs of' 'nginx'",
                "source-address 10.0.0.0/8,2001:db8::/32",
                "permit-X11-forwarding",
                "permit-pty",
                "from 2027-01-15T07:59:00 to 2027-01-15T09:00:00",
            ] {
                assert!(shown.contains(expected), "{subject}: {expected} in {shown}");
            }
        }
    }
}

fn ssh_keygen_list(certificate: &Certificate) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pass-cert.pub");
    fs::write(&path, certificate.to_openssh().unwrap()).unwrap();
    let output = Command::new("ssh-keygen")
        .arg("-Lf")
        .arg(&path)
        .env("TZ", "UTC")
        .output()
        .expect("ssh-keygen is missing: apt-get install openssh-client");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_pass_reaches_back_a_minute_and_lasts_from_now() {
    let grant = Grant::sample(&["alice"], None, None, &[]);
    let draft = Draft::new(
        &holder("alice", &key("ed25519.pub")),
        &grant,
        &ca(),
        [1; 32],
        now(),
    );
    let draft = draft.unwrap();
    assert_eq!(draft.valid_after().get(), NOW - 60);
    assert_eq!(draft.valid_before().get(), NOW + grant.ttl().as_secs());
}

#[test]
fn every_key_of_the_ca_is_refused_as_a_subject() {
    let keys = [KeyState::Active, KeyState::Staged, KeyState::Retired]
        .map(|state| (Key::sample(Algorithm::Ed25519), state));
    let ca = Ca::new(keys.into()).unwrap();
    let grant = Grant::sample(&["alice"], None, None, &[]);
    for (key, state) in ca.keys() {
        let draft = Draft::new(&holder("alice", key), &grant, &ca, [1; 32], now());
        assert!(
            matches!(draft, Err(Error::SubjectKey(InvalidKey::CaKey))),
            "{state:?}"
        );
    }
}

#[test]
fn a_subject_key_that_was_parsed_elsewhere_is_refused_alike() {
    let weak = PublicKey::from_openssh(&golden("rsa2048.pub")).unwrap();
    let grant = Grant::sample(&["alice"], None, None, &[]);
    let draft = Draft::new(&holder("alice", &weak), &grant, &ca(), [1; 32], now());
    assert!(matches!(
        draft,
        Err(Error::SubjectKey(InvalidKey::RsaSize(_)))
    ));
}

#[test]
fn a_grant_that_makes_no_sound_certificate_is_never_drafted() {
    let cases = [
        (
            "no principal (CVE-2024-7594)",
            Grant::sample(&[], None, None, &[]),
            lint::Problem::Principals,
        ),
        (
            "comma in a principal (CVE-2026-35414)",
            Grant::sample(&["x,root"], None, None, &[]),
            lint::Problem::Principals,
        ),
        (
            "NUL in a principal",
            Grant::sample(&["root\0"], None, None, &[]),
            lint::Problem::Principals,
        ),
        (
            "empty principal",
            Grant::sample(&["", "alice"], None, None, &[]),
            lint::Problem::Principals,
        ),
        (
            "newline in a command",
            Grant::sample(&["alice"], Some("true\nid"), None, &[]),
            lint::Problem::Command,
        ),
        (
            "empty command",
            Grant::sample(&["alice"], Some(""), None, &[]),
            lint::Problem::Command,
        ),
    ];
    let (ca, key) = (ca(), key("ed25519.pub"));
    for (case, grant, expected) in cases {
        match Draft::new(&holder("alice", &key), &grant, &ca, [1; 32], now()) {
            Err(Error::Lint(problem)) => assert_eq!(problem, expected, "{case}"),
            other => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn a_clock_before_1970_makes_no_pass() {
    let grant = Grant::sample(&["alice"], None, None, &[]);
    let early = OffsetDateTime::from_unix_timestamp(-5).unwrap();
    let draft = Draft::new(
        &holder("alice", &key("ed25519.pub")),
        &grant,
        &ca(),
        [1; 32],
        early,
    );
    assert!(matches!(draft, Err(Error::Lint(lint::Problem::Validity))));
}
