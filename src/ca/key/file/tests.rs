//! Key files made by the real ssh-keygen.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::{super::sample::at_once, *};

const PASSPHRASE: &str = "correct horse";

/// Runs the real `ssh-keygen` and answers with the private key's path.
fn ssh_keygen(folder: &tempfile::TempDir, arguments: &[&str]) -> PathBuf {
    let path = folder.path().join("key");
    let status = Command::new("ssh-keygen")
        .args(["-q", "-C", "ca", "-f"])
        .arg(&path)
        .args(arguments)
        .status()
        .expect("ssh-keygen is missing: apt-get install openssh-client");
    assert!(status.success(), "ssh-keygen {arguments:?}");
    path
}

#[test]
fn keys_made_by_ssh_keygen_load() {
    let cases = [
        ("Ed25519", vec!["-t", "ed25519", "-N", ""]),
        ("ECDSA P-256", vec!["-t", "ecdsa", "-b", "256", "-N", ""]),
        ("encrypted Ed25519", vec!["-t", "ed25519", "-N", PASSPHRASE]),
        ("encrypted P-256", vec!["-t", "ecdsa", "-N", PASSPHRASE]),
    ];
    for (case, arguments) in cases {
        let folder = tempfile::tempdir().unwrap();
        // About one ECDSA key in 512 has a private number that begins with nine zero bits: OpenSSH
        // leaves its first byte out, and ssh-key 0.6 does not read it then.
        let mut path = ssh_keygen(&folder, &arguments);
        for _ in 0..4 {
            if load(&path, Some(&PASSPHRASE.into())).is_err() {
                fs::remove_file(&path).unwrap();
                path = ssh_keygen(&folder, &arguments);
            }
        }
        let key = load(&path, Some(&PASSPHRASE.into())).unwrap();
        let stored = fs::read_to_string(path.with_extension("pub")).unwrap();
        let public = PublicKey::from_openssh(&stored).unwrap();
        assert_eq!(key.public().key_data(), public.key_data(), "{case}");
        assert_eq!(key.public().comment(), "", "{case}");
        let signature = at_once(key.sign(b"message".as_slice().into())).unwrap();
        assert!(
            super::super::is_signed_by(&public, b"message", &signature),
            "{case}"
        );
    }
}

#[test]
fn keys_that_must_not_sign_are_refused_with_what_to_do() {
    let cases = [
        (
            "RSA",
            vec!["-t", "rsa", "-b", "3072", "-N", ""],
            "ssh-keygen -t ed25519",
        ),
        (
            "P-384",
            vec!["-t", "ecdsa", "-b", "384", "-N", ""],
            "ssh-keygen -t ed25519",
        ),
        (
            "encrypted",
            vec!["-t", "ed25519", "-N", PASSPHRASE],
            "passphrase_file",
        ),
    ];
    for (case, arguments, advice) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = ssh_keygen(&folder, &arguments);
        let error = load(&path, None).unwrap_err().to_string();
        assert!(error.contains(advice), "{case}: {error}");
        assert!(error.contains(path.to_str().unwrap()), "{case}: {error}");
    }
}

#[test]
fn dsa_keys_are_refused() {
    // OpenSSH 10 cannot make one any more; this one was made by 9.2 and has never been used.
    let text = include_str!("../../../../tests/golden/keys/dsa");
    let problem = parse(text, None).unwrap_err();
    assert!(matches!(problem, Problem::Algorithm), "{problem:?}");
}

#[test]
fn a_wrong_passphrase_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = ssh_keygen(&folder, &["-t", "ed25519", "-N", PASSPHRASE]);
    let error = load(&path, Some(&"battery staple".into())).unwrap_err();
    assert!(error.to_string().contains("does not open"), "{error}");
    assert!(!format!("{error:?}").contains("staple"), "{error:?}");
}

#[test]
fn files_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = ssh_keygen(&folder, &["-t", "ed25519", "-N", ""]);
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = load(&path, None).unwrap_err().to_string();
        assert!(error.contains(&format!("mode {mode:03o}")), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    load(&path, None).unwrap();
}

#[test]
fn what_is_no_private_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = fs::read_to_string(ssh_keygen(&folder, &["-t", "ed25519", "-N", ""])).unwrap();
    let public = fs::read_to_string(folder.path().join("key.pub")).unwrap();
    let half: String = good.chars().take(good.len() / 2).collect();
    let cases = [
        ("empty", String::new()),
        ("public key", public),
        ("half a key", half),
        ("over 16 KiB", "#".repeat(20_000)),
    ];
    for (case, text) in cases {
        let path = folder.path().join("other");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = load(&path, None).unwrap_err().to_string();
        assert!(
            error.contains("not an OpenSSH private key"),
            "{case}: {error}"
        );
    }
    assert!(load(folder.path(), None).is_err(), "a folder");
    assert!(
        load(&folder.path().join("none"), None).is_err(),
        "a missing file"
    );
}
