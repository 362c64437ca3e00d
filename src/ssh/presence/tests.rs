//! The three forms, what each field is checked for, and `ssh-keygen -Y verify` as the other side.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::ssh::wire::{put_string, strings};

const MESSAGE: &[u8] = b"message";
const ORIGIN: &str = "https://ca.example.com:7443";
const DOMAIN: &str = "ca.example.com";

/// A key in software.
enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
}

/// A signature that a test changes before it is put together.
struct Draft {
    pair: Pair,
    application: String,
    version: u32,
    namespace: &'static str,
    hash: &'static str,
    algorithm: &'static str,
    message: &'static [u8],
    flags: u8,
    /// Origin, client data and extensions.
    web: Option<(String, String, Vec<u8>)>,
}

fn challenge(message: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sshsig::signed_data(Namespace::Approve, message).unwrap())
}

fn client_data(challenge: &str, origin: &str, more: &str) -> String {
    format!(
        r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}","crossOrigin":false{more}}}"#
    )
}

fn passkey() -> Draft {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref()).unwrap();
    let data = client_data(&challenge(MESSAGE), ORIGIN, "");
    Draft {
        pair: Pair::Ecdsa(Box::new(pair)),
        application: DOMAIN.to_owned(),
        version: 1,
        namespace: Namespace::Approve.as_str(),
        hash: "sha512",
        algorithm: "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        message: MESSAGE,
        flags: USER_PRESENT,
        web: Some((ORIGIN.to_owned(), data, Vec::new())),
    }
}

fn ecdsa_key() -> Draft {
    Draft {
        application: "ssh:".to_owned(),
        algorithm: "sk-ecdsa-sha2-nistp256@openssh.com",
        web: None,
        ..passkey()
    }
}

fn ed25519_key() -> Draft {
    let pair = Ed25519KeyPair::generate().unwrap();
    Draft {
        pair: Pair::Ed25519(Box::new(pair)),
        algorithm: "sk-ssh-ed25519@openssh.com",
        ..ecdsa_key()
    }
}

impl Draft {
    fn key(&self) -> Vec<u8> {
        let application = self.application.as_bytes();
        match &self.pair {
            Pair::Ed25519(pair) => strings(&[
                b"sk-ssh-ed25519@openssh.com",
                pair.public_key().as_ref(),
                application,
            ]),
            Pair::Ecdsa(pair) => strings(&[
                b"sk-ecdsa-sha2-nistp256@openssh.com",
                b"nistp256",
                pair.public_key().as_ref(),
                application,
            ]),
        }
    }

    fn line(&self) -> String {
        let key = PublicKey::from_bytes(&self.key()).unwrap();
        key.to_openssh().unwrap()
    }

    fn blob(&self) -> Vec<u8> {
        let data = [
            MAGIC.to_vec(),
            strings(&[
                self.namespace.as_bytes(),
                b"",
                self.hash.as_bytes(),
                &sha2::Sha512::digest(self.message),
            ]),
        ];
        let (hashed, extensions) = match &self.web {
            Some((_, data, extensions)) => (data.clone().into_bytes(), extensions.clone()),
            None => (data.concat(), Vec::new()),
        };
        let signed = [
            Sha256::digest(&self.application).to_vec(),
            vec![self.flags],
            7_u32.to_be_bytes().to_vec(),
            extensions,
            Sha256::digest(hashed).to_vec(),
        ]
        .concat();
        let raw = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(&signed).as_ref().to_vec(),
            Pair::Ecdsa(pair) => {
                let der = pair.sign(&SystemRandom::new(), &signed).unwrap();
                let der = der.as_ref();
                let length = usize::from(der[3]);
                strings(&[&der[4..4 + length], &der[6 + length..]])
            }
        };
        let mut signature = strings(&[self.algorithm.as_bytes(), &raw]);
        signature.push(self.flags);
        signature.extend(7_u32.to_be_bytes());
        if let Some((origin, data, extensions)) = &self.web {
            for part in [origin.as_bytes(), data.as_bytes(), extensions] {
                put_string(&mut signature, part);
            }
        }
        let parts = strings(&[
            &self.key(),
            self.namespace.as_bytes(),
            b"",
            self.hash.as_bytes(),
            &signature,
        ]);
        [MAGIC, &self.version.to_be_bytes(), &parts].concat()
    }

    fn verify(&self) -> Result<Presence, Error> {
        verified(&self.blob())
    }
}

fn verified(blob: &[u8]) -> Result<Presence, Error> {
    verify(&STANDARD.encode(blob), Namespace::Approve, MESSAGE)
}

fn armored(blob: &[u8]) -> String {
    let text = STANDARD.encode(blob);
    let lines: Vec<_> = text.as_bytes().chunks(70).collect();
    let lines = lines.join(&b'\n');
    let lines = String::from_utf8(lines).unwrap();
    format!("-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n")
}

#[test]
fn a_passkey_and_both_security_keys_show_presence() {
    for (draft, origin) in [
        (passkey(), Some(ORIGIN)),
        (ecdsa_key(), None),
        (ed25519_key(), None),
    ] {
        let shown = draft.verify().unwrap();
        assert_eq!(shown.origin.as_deref(), origin);
        assert_eq!(
            (shown.counter, shown.key.to_bytes().unwrap()),
            (7, draft.key())
        );
        let again = verify(&armored(&draft.blob()), Namespace::Approve, MESSAGE);
        assert_eq!(again, Ok(shown), "armored");
        let line = format!("{} passkey:AAAA", draft.line());
        let (key, kind, comment) = parse(&line).unwrap();
        assert_eq!(key.to_bytes().unwrap(), draft.key());
        assert_eq!(kind == Kind::Passkey, origin.is_some());
        assert_eq!(comment, "passkey:AAAA");
    }
}

#[test]
fn ssh_keygen_verifies_the_three_forms() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let verify = |draft: &Draft, message: &[u8]| {
        fs::write(path("allowed"), format!("daypass {}\n", draft.line())).unwrap();
        fs::write(path("signature"), armored(&draft.blob())).unwrap();
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", "daypass", "-n"])
            .arg(Namespace::Approve.as_str())
            .arg("-f")
            .arg(path("allowed"))
            .arg("-s")
            .arg(path("signature"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        child.wait_with_output().unwrap()
    };
    for draft in [passkey(), ecdsa_key(), ed25519_key()] {
        let output = verify(&draft, MESSAGE);
        assert!(output.status.success(), "{}: {output:?}", draft.algorithm);
        assert!(!verify(&draft, b"other").status.success());
    }
}

type Change = fn(&mut Draft);

#[test]
fn each_field_of_a_passkeys_signature_counts() {
    let changes: [(&str, Change, Error); 21] = [
        ("not touched", |it| it.flags = 0x04, Error::Absent),
        ("attested data", |it| it.flags |= ATTESTED, Error::Malformed),
        (
            "a flag of extensions without any",
            |it| it.flags |= EXTENSIONS,
            Error::Malformed,
        ),
        (
            "extensions without their flag",
            |it| it.web.as_mut().unwrap().2 = vec![0xa0],
            Error::Malformed,
        ),
        ("another version", |it| it.version = 2, Error::Malformed),
        (
            "another purpose",
            |it| it.namespace = Namespace::Admin.as_str(),
            Error::Malformed,
        ),
        ("another hash", |it| it.hash = "sha256", Error::Malformed),
        (
            "a registration",
            |it| {
                let data = &mut it.web.as_mut().unwrap().1;
                *data = data.replace("webauthn.get", "webauthn.create");
            },
            Error::NotSigned,
        ),
        (
            "another challenge",
            |it| it.web.as_mut().unwrap().1 = client_data(&challenge(b"other"), ORIGIN, ""),
            Error::NotSigned,
        ),
        (
            "the challenge of another purpose",
            |it| {
                let data = sshsig::signed_data(Namespace::Admin, MESSAGE).unwrap();
                let data = URL_SAFE_NO_PAD.encode(data);
                it.web.as_mut().unwrap().1 = client_data(&data, ORIGIN, "");
            },
            Error::NotSigned,
        ),
        (
            "another origin in the client data",
            |it| {
                let other = "https://evil.example";
                it.web.as_mut().unwrap().1 = client_data(&challenge(MESSAGE), other, "");
            },
            Error::NotSigned,
        ),
        (
            "another site",
            |it| on(it, "https://evil.example"),
            Error::Origin,
        ),
        (
            "a site that begins alike",
            |it| on(it, "https://ca.example.com.evil.example"),
            Error::Origin,
        ),
        (
            "a site that ends alike",
            |it| on(it, "https://evilca.example.com"),
            Error::Origin,
        ),
        (
            "plain http",
            |it| on(it, "http://ca.example.com"),
            Error::Origin,
        ),
        (
            "a user in the origin",
            |it| on(it, "https://ca.example.com:x@evil.example"),
            Error::Origin,
        ),
        (
            "a quotation mark in the origin",
            |it| on(it, r#"https://ca.example.com","x":""#),
            Error::Malformed,
        ),
        (
            "a frame of another site",
            |it| {
                let data = &mut it.web.as_mut().unwrap().1;
                *data = data.replace("\"crossOrigin\":false", "\"crossOrigin\":true");
            },
            Error::Origin,
        ),
        (
            "a field twice",
            |it| more(it, r#","origin":"https://evil.example""#),
            Error::Malformed,
        ),
        (
            "client data without end",
            |it| {
                let long = format!(r#","x":"{}""#, "x".repeat(MAX_CLIENT_DATA));
                more(it, &long);
            },
            Error::Malformed,
        ),
        (
            "a security key's form for a passkey",
            |it| {
                it.algorithm = "sk-ecdsa-sha2-nistp256@openssh.com";
                it.web = None;
            },
            Error::Key,
        ),
    ];
    for (case, change, expected) in changes {
        let mut draft = passkey();
        change(&mut draft);
        assert_eq!(draft.verify(), Err(expected), "{case}");
    }
}

/// A page of another origin has it signed.
fn on(draft: &mut Draft, origin: &str) {
    let data = client_data(&challenge(MESSAGE), origin, "");
    draft.web = Some((origin.to_owned(), data, Vec::new()));
}

fn more(draft: &mut Draft, more: &str) {
    let data = client_data(&challenge(MESSAGE), ORIGIN, more);
    draft.web.as_mut().unwrap().1 = data;
}

#[test]
fn what_browsers_add_and_pages_below_the_domain_are_accepted() {
    let mut draft = passkey();
    more(
        &mut draft,
        r#","other_keys_can_be_added_here":"do not compare clientDataJSON against a template""#,
    );
    draft.flags = 0x1d;
    assert!(draft.verify().is_ok());
    on(&mut draft, "https://page.ca.example.com");
    assert!(draft.verify().is_ok());
    draft.flags |= EXTENSIONS;
    draft.web.as_mut().unwrap().2 = vec![0xa0];
    assert!(draft.verify().is_ok());
}

#[test]
fn keys_of_other_kinds_show_no_presence() {
    let mut draft = passkey();
    draft.application = "ssh:".to_owned();
    assert_eq!(draft.verify(), Err(Error::Key), "a page with OpenSSH's key");
    let mut draft = ecdsa_key();
    draft.application = DOMAIN.to_owned();
    assert_eq!(draft.verify(), Err(Error::Key), "OpenSSH with a page's key");
    for application in ["127.0.0.1", "", "A.example", "a..example", "x y", "a/b"] {
        let mut draft = passkey();
        application.clone_into(&mut draft.application);
        assert_eq!(draft.verify(), Err(Error::Key), "{application:?}");
        assert_eq!(parse(&draft.line()), None, "{application:?}");
    }
    let plain = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    for line in [plain, "", "x", "sk-ssh-ed25519@openssh.com AAAA", "a b\nc"] {
        assert_eq!(parse(line), None, "{line:?}");
    }
    let line = passkey().line();
    let (_, encoded) = line.split_once(' ').unwrap();
    assert_eq!(
        parse(&format!("sk-ssh-ed25519@openssh.com {encoded}")),
        None
    );
}

#[test]
fn no_changed_bit_of_any_form_is_accepted() {
    for draft in [passkey(), ecdsa_key(), ed25519_key()] {
        let blob = draft.blob();
        for at in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed[at] ^= 1 << bit;
                assert!(verified(&changed).is_err(), "byte {at} bit {bit}");
            }
        }
        for length in 0..blob.len() {
            assert!(verified(&blob[..length]).is_err(), "{length}");
        }
        assert!(verified(&[&blob[..], b"x"].concat()).is_err());
        assert!(verify(&STANDARD.encode(&blob), Namespace::Admin, MESSAGE).is_err());
        assert!(verify(&STANDARD.encode(&blob), Namespace::Approve, b"other").is_err());
    }
}

#[test]
fn a_long_signature_is_refused_by_its_length() {
    let long = "A".repeat(MAX_TEXT + 1);
    assert_eq!(
        verify(&long, Namespace::Approve, MESSAGE),
        Err(Error::TooLong)
    );
}

proptest! {
    #[test]
    fn no_text_breaks_the_readers(text in ".{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&text, Namespace::Approve, MESSAGE).is_err());
        prop_assert!(verified(&bytes).is_err());
        prop_assert!(verified(&[MAGIC, &bytes].concat()).is_err());
        let _ = parse(&text);
        let _ = parse(&format!("sk-ecdsa-sha2-nistp256@openssh.com {}", STANDARD.encode(&bytes)));
    }
}
