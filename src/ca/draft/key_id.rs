//! Key ids: what a host's log line says of a pass. Pure.

use sha2::{Digest, Sha256};

use crate::ssh::certificate::MAX_KEY_ID;

/// Number of hex digits of a reduced label's digest.
const DIGEST: usize = 12;

/// `LABEL/ROLE` in printable ASCII without spaces, at most [`MAX_KEY_ID`] bytes.
///
/// A label with other characters, or too long, keeps what it can and gets `~` and a digest of the
/// whole: labels that differ stay different, and none can pass for another's, for `~` is not kept
/// either.
pub(super) fn compose(label: &str, role: &str) -> String {
    let room = MAX_KEY_ID.saturating_sub(role.len().saturating_add(1));
    let kept: String = label.chars().map(printable).collect();
    if kept == label && !label.is_empty() && label.len() <= room {
        return format!("{label}/{role}");
    }
    let mut digest = base16ct::lower::encode_string(&Sha256::digest(label));
    digest.truncate(DIGEST);
    let short: String = kept.chars().take(room.saturating_sub(DIGEST + 1)).collect();
    format!("{short}~{digest}/{role}")
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
            assert_eq!(compose(label, "shell"), format!("{label}/shell"));
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
            let key_id = compose(label, "shell");
            assert!(is_key_id(&key_id), "{case}: {key_id}");
            assert!(key_id.ends_with("/shell"), "{case}: {key_id}");
        }
    }

    #[test]
    fn labels_that_differ_stay_different() {
        let reduced = compose("al\u{131}ce", "shell");
        let pairs = [
            ("al\u{131}ce", "al_ce"),
            ("al\u{131}ce", "al\u{456}ce"),
            (reduced.strip_suffix("/shell").unwrap(), "al\u{131}ce"),
        ];
        for (one, other) in pairs {
            assert_ne!(
                compose(one, "shell"),
                compose(other, "shell"),
                "{one} {other}"
            );
        }
        let (long, longer) = ("a".repeat(300), "a".repeat(301));
        assert_ne!(compose(&long, "shell"), compose(&longer, "shell"));
    }
}
