//! Checkpoints against a note that another implementation made, and against damaged ones.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests: a panic is the failure"
)]

use super::super::tree::{Frontier, leaf_hash};
use super::*;

/// Made by `tests/golden/checkpoint.py`.
const NOTE: &str = include_str!("../../../tests/golden/checkpoint.txt");
const KEY: &str = include_str!("../../../tests/golden/checkpoint.vkey");
const ORIGIN: &str = "daypass.example.com/ledger";

fn signer() -> Signer {
    let mut seed = [0; 32];
    for (byte, value) in seed.iter_mut().zip(0..) {
        *byte = value;
    }
    Signer::new(ORIGIN, &seed).unwrap()
}

fn head() -> (u64, Hash) {
    let mut frontier = Frontier::default();
    for leaf in ["leaf 0", "leaf 1", "leaf 2"] {
        frontier.push(leaf_hash(leaf.as_bytes()));
    }
    (frontier.size(), frontier.root())
}

#[test]
fn the_bytes_are_those_of_the_independent_implementation() {
    let (size, root) = head();
    assert_eq!(signer().sign(size, root), NOTE);
    assert_eq!(format!("{}\n", signer().verifier()), KEY);
    let verifier = Verifier::parse(KEY.trim_end()).unwrap();
    assert_eq!(verifier, signer().verifier());
    let origin = ORIGIN.to_owned();
    assert_eq!(
        verifier.verify(NOTE).unwrap(),
        Checkpoint { origin, size, root }
    );
}

#[test]
fn the_empty_ledger_has_a_checkpoint() {
    let root = super::super::tree::empty_root();
    let note = signer().sign(0, root);
    assert_eq!(signer().verifier().verify(&note).unwrap().size, 0);
}

#[test]
fn other_signatures_may_stand_beside_ours() {
    let other = Signer::new("witness.example.com", &[9; 32]).unwrap();
    let (size, root) = head();
    let theirs = other.sign(size, root);
    let line = theirs.rsplit_once("\n\n").unwrap().1;
    assert!(signer().verifier().verify(&format!("{NOTE}{line}")).is_ok());
    let before = NOTE.replace("\n\n", &format!("\n\n{line}"));
    assert!(signer().verifier().verify(&before).is_ok());
}

#[test]
fn every_single_bit_matters() {
    let verifier = signer().verifier();
    for at in 0..NOTE.len() * 8 {
        let mut bytes = NOTE.as_bytes().to_vec();
        *bytes.get_mut(at / 8).unwrap() ^= 1 << (at % 8);
        let Ok(note) = String::from_utf8(bytes) else {
            continue;
        };
        assert!(verifier.verify(&note).is_err(), "bit {at} is flipped");
    }
}

/// A note over any text, signed by the test's key.
fn signed(text: &str) -> String {
    let signer = signer();
    let mut bytes = signer.verifier.hash().to_vec();
    bytes.extend_from_slice(signer.pair.sign(text.as_bytes()).as_ref());
    let signature = STANDARD.encode(bytes);
    format!("{text}\n{SIGNATURE_MARK}{ORIGIN} {signature}\n")
}

#[test]
fn truly_signed_texts_of_another_form_are_refused() {
    let root = STANDARD.encode([7; 32]);
    assert!(
        signer()
            .verifier()
            .verify(&signed(&format!("{ORIGIN}\n3\n{root}\n")))
            .is_ok()
    );
    let cases = [
        ("another origin", format!("other/ledger\n3\n{root}\n")),
        ("no origin", format!("\n3\n{root}\n")),
        ("a leading zero", format!("{ORIGIN}\n03\n{root}\n")),
        ("a plus sign", format!("{ORIGIN}\n+3\n{root}\n")),
        ("no size", format!("{ORIGIN}\n\n{root}\n")),
        ("a negative size", format!("{ORIGIN}\n-3\n{root}\n")),
        (
            "a size over 64 bits",
            format!("{ORIGIN}\n18446744073709551616\n{root}\n"),
        ),
        ("a short root", format!("{ORIGIN}\n3\nAAAA\n")),
        (
            "a root without padding",
            format!("{ORIGIN}\n3\n{}\n", root.trim_end_matches('=')),
        ),
        ("an extension line", format!("{ORIGIN}\n3\n{root}\nextra\n")),
        ("two lines only", format!("{ORIGIN}\n3\n")),
        ("carriage returns", format!("{ORIGIN}\r\n3\r\n{root}\r\n")),
        ("nothing", String::new()),
    ];
    for (case, text) in cases {
        assert!(
            signer().verifier().verify(&signed(&text)).is_err(),
            "{case}"
        );
    }
}

#[test]
fn damaged_notes_are_refused() {
    let cases = [
        (
            "no signature part",
            NOTE.split_once("\n\n").unwrap().0.to_owned(),
        ),
        ("no newline at the end", NOTE.trim_end().to_owned()),
        ("an empty line after it", format!("{NOTE}\n")),
        ("a hyphen for the dash", NOTE.replace('\u{2014}', "-")),
        ("text after the signature", format!("{NOTE}more\n")),
        (
            "our signature twice, once broken",
            format!("{NOTE}{}", {
                let line = NOTE.rsplit_once("\n\n").unwrap().1;
                let (head, tail) = line.split_at(line.len() - 6);
                format!(
                    "{head}{}",
                    tail.replace(|c: char| c.is_ascii_alphanumeric(), "A")
                )
            }),
        ),
        ("another key of the same name", {
            let (size, root) = head();
            Signer::new(ORIGIN, &[1; 32]).unwrap().sign(size, root)
        }),
        ("too long", format!("{NOTE}{}", "x".repeat(NOTE_LIMIT))),
    ];
    for (case, note) in cases {
        assert!(signer().verifier().verify(&note).is_err(), "{case}");
    }
}

#[test]
fn damaged_verifier_keys_are_refused() {
    let key = KEY.trim_end();
    let (head, data) = key.split_at(ORIGIN.len() + "+b494b4ec".len());
    let data = data.trim_start_matches('+');
    let cases = [
        ("empty", String::new()),
        ("no hash", key.replace('+', " ")),
        ("another name", key.replace("daypass", "dayparse")),
        ("upper-case hash", key.replace(head, &head.to_uppercase())),
        ("a short key", format!("{head}+{}", data.get(..40).unwrap())),
        (
            "another algorithm",
            format!("{head}+{}", data.replacen("AQ", "Ag", 1)),
        ),
        ("a newline", format!("{key}\n")),
        ("a space in the name", key.replace("example", "exa mple")),
    ];
    for (case, text) in cases {
        assert!(Verifier::parse(&text).is_err(), "{case}");
    }
    for name in ["", "a b", "a+b", "a\nb", "a\u{2028}b"] {
        assert!(Signer::new(name, &[1; 32]).is_err(), "{name:?} as a name");
    }
}

#[test]
fn debug_output_has_no_secret() {
    assert_eq!(
        format!("{:?}\n", signer()),
        format!("Signer({KEY})\n").replace("\n)", ")")
    );
}

/// Servers of one ledger derive the same secret, so that one accepts the challenge of another.
#[test]
fn a_secret_follows_from_the_key_and_its_label() {
    let of = |origin: &str, key: u8, label: &str| {
        let signer = Signer::new(origin, &[key; 32]).unwrap();
        signer.secret(label).as_ref().to_vec()
    };
    let secret = of(ORIGIN, 1, "challenges");
    assert_eq!(secret.len(), 32);
    assert_eq!(secret, of(ORIGIN, 1, "challenges"));
    assert_ne!(secret, of(ORIGIN, 2, "challenges"));
    assert_ne!(secret, of(ORIGIN, 1, "others"));
}
