//! Forms of a signature, what it counts for, and `ssh-keygen -Y` as the other side.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Command, Stdio},
};

use ssh_key::rand_core::OsRng;

use super::*;

const MESSAGE: &[u8] = b"message";

fn key() -> PrivateKey {
    PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
}

fn signed(key: &PrivateKey) -> Signature {
    Signature::sign(key, Namespace::Krl, MESSAGE).unwrap()
}

#[test]
fn a_signature_counts_for_one_key_message_and_namespace() {
    let (key, other) = (key(), key());
    let signature = signed(&key);
    let verifies = |key: &PrivateKey, namespace, message: &[u8]| {
        let verified = signature.verify(key.public_key(), namespace, message);
        verified.is_ok()
    };
    assert!(verifies(&key, Namespace::Krl, MESSAGE));
    assert!(!verifies(&other, Namespace::Krl, MESSAGE));
    assert!(!verifies(&key, Namespace::Krl, b"Message"));
    for namespace in Namespace::ALL {
        let expected = namespace == Namespace::Krl;
        assert_eq!(
            verifies(&key, namespace, MESSAGE),
            expected,
            "{namespace:?}"
        );
    }
}

#[test]
fn every_namespace_has_a_name_of_its_own() {
    let names = BTreeSet::from(Namespace::ALL.map(Namespace::as_str));
    assert_eq!(names.len(), Namespace::ALL.len());
    for name in names {
        assert!(
            name.starts_with("daypass-") && name.ends_with("@v1"),
            "{name}"
        );
    }
}

#[test]
fn every_form_reads_back() {
    let signature = signed(&key());
    let armored = signature.to_armored().unwrap();
    let blob = signature.to_blob().unwrap();
    let in_base64 = STANDARD.encode(&blob);
    assert_eq!(compact(&armored), in_base64);
    for (form, read) in [
        ("armored", Signature::from_armored(&armored)),
        ("blob", Signature::from_blob(&blob)),
        ("compact", Signature::from_compact(&in_base64)),
        ("header", Signature::from_header(&in_base64)),
        (
            "header over armored text",
            Signature::from_header(&STANDARD.encode(&armored)),
        ),
    ] {
        assert_eq!(read.unwrap(), signature, "{form}");
    }
}

#[test]
fn malformed_signatures_are_refused() {
    let blob = signed(&key()).to_blob().unwrap();
    let trailing = [&blob[..], b"x"].concat();
    assert!(matches!(
        Signature::from_blob(&trailing),
        Err(Error::Trailing)
    ));
    for length in 0..blob.len() {
        let cut = Signature::from_blob(blob.get(..length).unwrap());
        assert!(matches!(cut, Err(Error::Malformed(_))), "{length}");
    }
    let long = "A".repeat(MAX_HEADER + 1);
    assert!(matches!(Signature::from_header(&long), Err(Error::TooLong)));
    assert!(matches!(
        Signature::from_armored(&long),
        Err(Error::TooLong)
    ));
    for text in ["", "*", "QQ"] {
        assert!(Signature::from_header(text).is_err(), "{text:?}");
        assert!(Signature::from_compact(text).is_err(), "{text:?}");
        assert!(Signature::from_armored(text).is_err(), "{text:?}");
    }
}

/// The decoder does not compare the length of the last field with what it holds.
#[test]
fn no_changed_byte_gives_a_second_form_of_a_signature() {
    let blob = signed(&key()).to_blob().unwrap();
    let good = Signature::from_blob(&blob).unwrap();
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut changed = blob.clone();
            changed[at] ^= 1 << bit;
            let read = Signature::from_blob(&changed);
            assert!(
                read.is_err() || read.is_ok_and(|read| read != good),
                "byte {at}"
            );
        }
    }
    // 83 bytes: name and bytes of an Ed25519 signature.
    let mut longer = blob.clone();
    let length = blob.len() - 83 - 4;
    longer[length + 1] = 1;
    assert!(matches!(
        Signature::from_blob(&longer),
        Err(Error::Encoding)
    ));
}

#[test]
fn a_signature_that_was_made_elsewhere_is_framed_as_if_made_here() {
    let key = key();
    let data = signed_data(Namespace::Krl, MESSAGE).unwrap();
    let signature: ssh_key::Signature = signature::Signer::try_sign(&key, &data).unwrap();
    let framed = Signature::frame(key.public_key(), Namespace::Krl, signature).unwrap();
    assert_eq!(framed, signed(&key));
}

#[test]
fn ssh_keygen_verifies_each_namespace_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let key = key();
    let line = key.public_key().to_openssh().unwrap();
    fs::write(path("allowed"), format!("daypass {line}\n")).unwrap();
    let verify = |namespace: Namespace| {
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", "daypass", "-n", namespace.as_str()])
            .arg("-f")
            .arg(path("allowed"))
            .arg("-s")
            .arg(path("signature"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(MESSAGE).unwrap();
        child.wait().unwrap().success()
    };
    for namespace in Namespace::ALL {
        let signature = Signature::sign(&key, namespace, MESSAGE).unwrap();
        fs::write(path("signature"), signature.to_armored().unwrap()).unwrap();
        assert!(verify(namespace), "{namespace:?}");
    }
    // The last signature was in the last namespace.
    assert!(!verify(Namespace::Issue));
}

/// The quick reader of OpenSSH's own form takes nothing that the general one refuses, and reads the
/// same.
#[test]
fn every_change_of_an_armored_signature_is_read_as_by_the_general_decoder() {
    let keys = [
        key(),
        PrivateKey::random(
            &mut OsRng,
            Algorithm::Ecdsa {
                curve: ssh_key::EcdsaCurve::NistP521,
            },
        )
        .unwrap(),
    ];
    let mut taken = 0;
    for key in keys {
        let whole = signed(&key).to_armored().unwrap();
        assert!(as_openssh_writes(whole.as_bytes()).is_some());
        let mut changed = vec![
            whole.clone(),
            whole.trim_end().to_owned(),
            format!("{whole}\n"),
            format!("\n{whole}"),
            whole.replace('\n', "\r\n"),
            whole.replace("=\n", "\n"),
            whole.replacen('\n', "\n\n", 2),
            whole.replace("SSH SIGNATURE", "SSH  SIGNATURE"),
            whole.lines().collect::<Vec<_>>().join("\n\n"),
        ];
        for at in 0..whole.len() {
            let (before, after) = (&whole[..at], &whole[at + 1..]);
            for by in ["", "A", "=", "\n", "/A", " "] {
                changed.push(format!("{before}{by}{after}"));
            }
            changed.push(before.to_owned());
        }
        for text in changed {
            let read = Signature::from_armored(&text).ok();
            let expected = SshSig::from_pem(&text).ok().map(Signature);
            assert_eq!(read, expected, "{text}");
            taken += usize::from(read.is_some());
        }
    }
    assert!(taken > 100, "{taken}");
}
