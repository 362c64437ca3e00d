//! Key ids: what a host's log line says of a pass. Pure.

use sha2::{Digest, Sha256};

use crate::ssh::certificate::MAX_KEY_ID;

/// Between the holder's label and that of the identity that asked on their behalf.
const VIA: &str = "~via~";

/// Number of hex digits of a reduced label's digest.
const DIGEST: usize = 12;

/// `LABEL/ROLE` in printable ASCII without spaces, at most [`MAX_KEY_ID`] bytes.
///
/// A label with other characters, or too long, keeps what it can and gets `~` and a digest of the
/// whole: labels that differ stay different, and none can pass for another's, for `~` is not kept
/// either.
///
/// A pass that `via` asked for on behalf of the label's holder is `LABEL~via~LABEL/ROLE`. No label
/// can pass for that: `~` is not kept, and `via` is no digest.
pub(in crate::ca) fn compose(label: &str, via: Option<&str>, role: &str) -> String {
    let room = MAX_KEY_ID.saturating_sub(role.len().saturating_add(1));
    match via {
        None => format!("{}/{role}", reduced(label, room)),
        Some(via) => {
            let room = room.saturating_sub(VIA.len()) / 2;
            let (label, via) = (reduced(label, room), reduced(via, room));
            format!("{label}{VIA}{via}/{role}")
        }
    }
}

/// The label, if it is plain and has at most `room` bytes; else what it can keep, and a digest.
fn reduced(label: &str, room: usize) -> String {
    let kept: String = label.chars().map(printable).collect();
    if kept == label && !label.is_empty() && label.len() <= room {
        return kept;
    }
    let mut digest = base16ct::lower::encode_string(&Sha256::digest(label));
    digest.truncate(DIGEST);
    let short: String = kept.chars().take(room.saturating_sub(DIGEST + 1)).collect();
    format!("{short}~{digest}")
}

/// Quotes and backslashes would let a label end the field that a log line puts it in.
fn printable(character: char) -> char {
    match character {
        '"' | '\\' | '~' => '_',
        graphic if graphic.is_ascii_graphic() => graphic,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ssh::certificate::is_key_id;

    #[test]
    fn ordinary_labels_stand_as_they_are() {
        for label in [
            "alice@example.com",
            "repo:acme/site:ref:refs/heads/main",
            "auth0|5f7c",
        ] {
            assert_eq!(compose(label, None, "shell"), format!("{label}/shell"));
        }
    }

    #[test]
    fn the_key_id_of_any_label_is_within_the_grammar() {
        let long = "a".repeat(64 * 1024);
        let long_unicode = "\u{1f511}".repeat(9000);
        let cases = [
            ("empty", ""),
            (
                "newline forges a log line",
                "eve\nAccepted publickey for root",
            ),
            ("carriage return", "eve\r"),
            ("escape sequence", "\u{1b}[2Jeve"),
            ("NUL", "eve\0"),
            ("C1 control", "eve\u{9b}31m"),
            ("line separator", "eve\u{2028}x"),
            ("right-to-left override", "\u{202e}eve"),
            ("space", "eve root"),
            ("quote", "eve\" (serial 1)"),
            ("backslash", "eve\\n"),
            ("only odd characters", "\u{43e}\u{43e}"),
            ("64 KiB", long.as_str()),
            ("36 KB of four-byte characters", long_unicode.as_str()),
        ];
        for (case, label) in cases {
            let key_id = compose(label, None, "shell");
            assert!(is_key_id(&key_id), "{case}: {key_id}");
            assert!(key_id.ends_with("/shell"), "{case}: {key_id}");
        }
    }

    #[test]
    fn a_key_id_names_who_asked_on_behalf_and_no_label_can_pass_for_that() {
        let two = compose("alice@example.com", Some("edge"), "shell");
        assert_eq!(two, "alice@example.com~via~edge/shell");
        let forged = compose("alice@example.com~via~edge", None, "shell");
        assert!(!forged.contains("~via~"), "{forged}");
        let long = "a".repeat(300);
        for (label, via) in [
            (long.as_str(), long.as_str()),
            ("", ""),
            ("eve\n", "x/y z"),
            (long.as_str(), "edge"),
        ] {
            let role = "r".repeat(64);
            let key_id = compose(label, Some(via), &role);
            assert!(is_key_id(&key_id), "{key_id}");
            assert_eq!(key_id.matches("~via~").count(), 1, "{key_id}");
            assert!(key_id.ends_with(&format!("/{role}")), "{key_id}");
        }
    }

    #[test]
    fn labels_that_differ_stay_different() {
        let reduced = compose("al\u{131}ce", None, "shell");
        let pairs = [
            ("al\u{131}ce", "al_ce"),
            ("al\u{131}ce", "al\u{456}ce"),
            (reduced.strip_suffix("/shell").unwrap(), "al\u{131}ce"),
        ];
        for (one, other) in pairs {
            assert_ne!(
                compose(one, None, "shell"),
                compose(other, None, "shell"),
                "{one} {other}"
            );
        }
        let (long, longer) = ("a".repeat(300), "a".repeat(301));
        assert_ne!(
            compose(&long, None, "shell"),
            compose(&longer, None, "shell")
        );
    }
}
