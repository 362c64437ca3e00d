//! A sound certificate, and one thing wrong with it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use ssh_key::Algorithm;

use super::*;
use crate::{
    ca::key::{Key, sample::at_once},
    ssh::wire::string,
};

// Written out: the names that sshd knows, independent of the tables of `ssh::options`.
const FORCE_COMMAND: &str = "force-command";
const SOURCE_ADDRESS: &str = "source-address";

/// The fields of a certificate as bytes, each of them sound until a test changes it.
#[derive(Clone)]
struct Fields {
    kind: Vec<u8>,
    nonce: Vec<u8>,
    subject: Vec<u8>,
    serial: u64,
    cert_type: u32,
    key_id: Vec<u8>,
    principals: Vec<u8>,
    valid: (u64, u64),
    critical: Vec<u8>,
    extensions: Vec<u8>,
    reserved: Vec<u8>,
    ca: Vec<u8>,
}

impl Fields {
    fn sound(ca: &Key) -> Self {
        Self {
            kind: b"ssh-ed25519-cert-v01@openssh.com".to_vec(),
            nonce: vec![7; 32],
            subject: string(&[9; 32]),
            serial: 1,
            cert_type: USER,
            key_id: b"alice/shell".to_vec(),
            principals: strings(&["alice", "deploy@web"]),
            valid: (1_800_000_000, 1_800_003_600),
            critical: [
                option(FORCE_COMMAND, &string(b"/usr/bin/true")),
                option(SOURCE_ADDRESS, &string(b"10.0.0.0/8,2001:db8::/32")),
            ]
            .concat(),
            extensions: [
                option("permit-X11-forwarding", b""),
                option("permit-pty", b""),
            ]
            .concat(),
            reserved: Vec::new(),
            ca: ca.public().to_bytes().unwrap(),
        }
    }

    fn to_be_signed(&self) -> Vec<u8> {
        [
            string(&self.kind),
            string(&self.nonce),
            self.subject.clone(),
            self.serial.to_be_bytes().to_vec(),
            self.cert_type.to_be_bytes().to_vec(),
            string(&self.key_id),
            string(&self.principals),
            self.valid.0.to_be_bytes().to_vec(),
            self.valid.1.to_be_bytes().to_vec(),
            string(&self.critical),
            string(&self.extensions),
            string(&self.reserved),
            string(&self.ca),
        ]
        .concat()
    }

    fn signed(&self, ca: &Key) -> Vec<u8> {
        let bytes = self.to_be_signed();
        let signature =
            Vec::<u8>::try_from(at_once(ca.sign(bytes.as_slice().into())).unwrap()).unwrap();
        [bytes, string(&signature)].concat()
    }
}

fn strings(names: &[&str]) -> Vec<u8> {
    names
        .iter()
        .flat_map(|name| string(name.as_bytes()))
        .collect()
}

fn option(name: &str, data: &[u8]) -> Vec<u8> {
    [string(name.as_bytes()), string(data)].concat()
}

/// Both doors agree: the bytes to be signed and the complete certificate.
fn check(fields: &Fields, ca: &Key) -> Result<(), Problem> {
    let before = to_be_signed(&fields.to_be_signed(), ca.public());
    let after = certificate(&fields.signed(ca), ca.public()).map(|_| ());
    assert_eq!(before, after);
    before
}

mod options;

type Change<'a> = Box<dyn Fn(&mut Fields) + 'a>;

fn expect(cases: Vec<(&str, Change<'_>, Problem)>, ca: &Key) {
    for (case, change, problem) in cases {
        let mut fields = Fields::sound(ca);
        change(&mut fields);
        assert_eq!(check(&fields, ca), Err(problem), "{case}");
    }
}

fn ca() -> Key {
    Key::sample(Algorithm::Ed25519)
}

#[test]
fn a_sound_certificate_passes() {
    let ca = ca();
    check(&Fields::sound(&ca), &ca).unwrap();
}

#[test]
fn fields_out_of_bounds_are_found() {
    let ca = ca();
    let other = Key::sample(Algorithm::Ed25519).public().to_bytes().unwrap();
    let cases: Vec<(&str, Change<'_>, Problem)> = vec![
        (
            "serial 0 cannot be revoked",
            Box::new(|f| f.serial = 0),
            Problem::Serial,
        ),
        (
            "host certificate",
            Box::new(|f| f.cert_type = 2),
            Problem::Type,
        ),
        ("unknown type", Box::new(|f| f.cert_type = 0), Problem::Type),
        ("no nonce", Box::new(|f| f.nonce.clear()), Problem::Nonce),
        (
            "short nonce",
            Box::new(|f| f.nonce.truncate(15)),
            Problem::Nonce,
        ),
        (
            "plain key's type",
            Box::new(|f| f.kind = b"ssh-ed25519".to_vec()),
            Problem::Layout("type"),
        ),
        (
            "DSA",
            Box::new(|f| f.kind = b"ssh-dss-cert-v01@openssh.com".to_vec()),
            Problem::Layout("type"),
        ),
        (
            "type of another version",
            Box::new(|f| f.kind = b"ssh-ed25519-cert-v00@openssh.com".to_vec()),
            Problem::Layout("type"),
        ),
        (
            "no subject key",
            Box::new(|f| f.subject = string(b"")),
            Problem::SubjectKey(ssh::key::InvalidKey::Malformed),
        ),
        (
            "the subject key of another user",
            Box::new(|f| f.subject = string(&[0; 32])),
            Problem::SubjectKey(ssh::key::InvalidKey::Weak),
        ),
        (
            "reserved field in use",
            Box::new(|f| f.reserved = b"x".to_vec()),
            Problem::Reserved,
        ),
        (
            "another CA",
            Box::new(move |f| f.ca.clone_from(&other)),
            Problem::CaKey,
        ),
        ("no CA", Box::new(|f| f.ca.clear()), Problem::CaKey),
        (
            "valid forever",
            Box::new(|f| f.valid.1 = u64::MAX),
            Problem::Validity,
        ),
        (
            "valid since ever",
            Box::new(|f| f.valid.0 = 0),
            Problem::Validity,
        ),
        (
            "never valid",
            Box::new(|f| f.valid.1 = f.valid.0),
            Problem::Validity,
        ),
        (
            "ends before it begins",
            Box::new(|f| f.valid.1 = f.valid.0 - 1),
            Problem::Validity,
        ),
        (
            "a second over 31 days",
            Box::new(|f| f.valid.1 = f.valid.0 + MAX_VALIDITY + 1),
            Problem::Validity,
        ),
        (
            "over 64 KiB",
            Box::new(|f| f.nonce = vec![7; 65_536]),
            Problem::Size,
        ),
    ];
    expect(cases, &ca);
}

#[test]
fn key_ids_that_could_forge_a_log_line_are_found() {
    let ca = ca();
    let long = format!("{}/shell", "a".repeat(251));
    let key_ids: [&[u8]; 12] = [
        b"",
        b"/",
        b"alice",
        b"alice/shell\nAccepted publickey for root",
        b"alice/shell\r",
        b"alice\x1b[2J/shell",
        b"alice\0/shell",
        b"alice smith/shell",
        b"alice\"/shell",
        "\u{e4}lice/shell".as_bytes(),
        b"\xff\xfe/shell",
        long.as_bytes(),
    ];
    for key_id in key_ids {
        let fields = Fields {
            key_id: key_id.to_vec(),
            ..Fields::sound(&ca)
        };
        assert_eq!(check(&fields, &ca), Err(Problem::KeyId), "{key_id:?}");
    }
}

#[test]
fn principals_outside_the_grammar_are_found() {
    let ca = ca();
    let many: Vec<String> = (0..257).map(|n| format!("user{n:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "a".repeat(65);
    let lists: [(&str, &[&str]); 12] = [
        ("none: any user (CVE-2024-7594)", &[]),
        ("257 of them", &many),
        ("empty", &[""]),
        ("comma (CVE-2026-35414)", &["x,root"]),
        ("space", &["alice root"]),
        ("NUL", &["root\0"]),
        ("newline", &["root\n"]),
        ("pattern", &["*"]),
        ("option", &["-root"]),
        ("too long", &[&long]),
        ("not in order", &["root", "alice"]),
        ("twice", &["alice", "alice"]),
    ];
    for (case, list) in lists {
        let fields = Fields {
            principals: strings(list),
            ..Fields::sound(&ca)
        };
        assert_eq!(check(&fields, &ca), Err(Problem::Principals), "{case}");
    }
    let most: Vec<&str> = many.iter().take(256).copied().collect();
    let fields = Fields {
        principals: strings(&most),
        ..Fields::sound(&ca)
    };
    check(&fields, &ca).unwrap();
}

#[test]
fn bytes_after_the_end_are_found() {
    let ca = ca();
    let fields = Fields::sound(&ca);
    let trailing = [fields.to_be_signed(), vec![0]].concat();
    assert_eq!(
        to_be_signed(&trailing, ca.public()),
        Err(Problem::Layout("end"))
    );
    let trailing = [fields.signed(&ca), vec![0]].concat();
    let found = certificate(&trailing, ca.public()).unwrap_err();
    assert_eq!(found, Problem::Layout("signature"));
}

#[test]
fn a_certificate_cut_anywhere_is_found() {
    let ca = ca();
    let whole = Fields::sound(&ca).signed(&ca);
    for length in 0..whole.len() {
        let (part, _) = whole.split_at(length);
        assert!(certificate(part, ca.public()).is_err(), "{length} bytes");
    }
}

#[test]
fn a_signature_that_is_none_is_found() {
    let ca = ca();
    let bytes = Fields::sound(&ca).to_be_signed();
    for signature in [&b""[..], b"\0\0\0\x0bssh-ed25519", &[0xff; 80]] {
        let whole = [bytes.clone(), string(signature)].concat();
        let found = certificate(&whole, ca.public()).unwrap_err();
        assert_eq!(found, Problem::NotCanonical, "{signature:?}");
    }
}
