//! Size limits on callers' text in the ledger, measured as stored. Pure.
//!
//! A leaf is printable ASCII, so one character of a caller can take twelve bytes (`\udbff\udfff`).
//! A granted ask or one that waits for approval is recorded whole or refused ([`stored`] measures
//! it). A denial is cut to its limits and marked (`cut`).

use std::io;

use serde::Serialize;
use serde_json::{Serializer, Value};

use super::{Actor, Ascii, EventKind, ForeignLogin, RequestDetails};

/// Largest stored size of a granted or waiting ask, in bytes.
pub(crate) const ASK_BYTES: usize = 4096;

/// Largest stored size of a force-command, in bytes.
pub(crate) const COMMAND_BYTES: usize = 8192;

/// Largest stored size of the claims of a pass, request or decision, in bytes.
///
/// A token has 16 KiB at most, so only a token full of escaped characters exceeds this.
pub(crate) const CLAIMS_BYTES: usize = 16 * 1024;

/// Largest stored size of a denial's ask, in bytes. With [`DENIED_DETAIL_BYTES`]: 4 KiB of the
/// caller's text.
const DENIED_ASK_BYTES: usize = 3072;

/// Largest stored size of a denial's sentence, in bytes.
const DENIED_DETAIL_BYTES: usize = 1024;

/// Largest stored size of a denial's claims, in bytes.
///
/// Larger claims are dropped as a whole: a part of them could be decided differently.
const DENIED_CLAIMS_BYTES: usize = 4096;

/// Largest stored size of a subject or label, in bytes. Tokens with a longer subject are refused.
const NAME_BYTES: usize = 1536;

/// Largest stored size of each text of a login that the ledger does not explain, in bytes; twice
/// that of its sentence.
const LOGIN_BYTES: usize = 320;

/// The beginning of a text that version 0.1.0 has cut; `None` for a whole text.
///
/// That version kept up to 1,024 bytes, cut at a character's boundary, and added three dots.
/// Later versions mark what they cut ([`EventKind::Denied`], `cut`).
pub(crate) fn beginning(text: &str) -> Option<&str> {
    let beginning = text.strip_suffix("...")?;
    (1021..=1024)
        .contains(&beginning.len())
        .then_some(beginning)
}

/// Size of `value` as stored in the ledger, in bytes.
pub(crate) fn stored(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    let mut serializer = Serializer::with_formatter(&mut count, Ascii);
    match value.serialize(&mut serializer) {
        Ok(()) => count.0,
        // A value that cannot be encoded exceeds every limit.
        Err(_) => usize::MAX,
    }
}

/// A writer that only counts bytes.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl EventKind {
    /// Cuts a denial to its limits. Returns any other event unchanged.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        if let Self::Denied {
            who,
            ask,
            detail,
            cut,
            by,
            ..
        } = &mut self
        {
            let mut scissors = Scissors::default();
            scissors.who(who);
            if let Some(by) = by {
                scissors.who(by);
            }
            scissors.ask(ask);
            scissors.text(detail, DENIED_DETAIL_BYTES);
            *cut |= scissors.has_cut;
        }
        self
    }
}

impl ForeignLogin {
    /// Whether each text is within its bound.
    pub(crate) fn is_bounded(&self) -> bool {
        let seen = self.certificate.iter();
        let seen = seen.flat_map(|it| [&it.key_id, &it.key, &it.ca]);
        let mut texts = [&self.login, &self.from].into_iter().chain(seen);
        // With its quotes.
        let fits = |text: &String, most: usize| stored(text) <= most + 2;
        texts.all(|text| fits(text, LOGIN_BYTES)) && fits(&self.why, 2 * LOGIN_BYTES)
    }

    /// The same with each text cut to its bound.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        let mut scissors = Scissors::default();
        scissors.text(&mut self.why, 2 * LOGIN_BYTES);
        let seen = self.certificate.iter_mut();
        let seen = seen.flat_map(|it| [&mut it.key_id, &mut it.key, &mut it.ca]);
        for text in [&mut self.login, &mut self.from].into_iter().chain(seen) {
            scissors.text(text, LOGIN_BYTES);
        }
        self
    }
}

/// Cuts texts and records whether it cut any.
#[derive(Default)]
struct Scissors {
    has_cut: bool,
}

impl Scissors {
    fn who(&mut self, who: &mut Actor) {
        self.text(&mut who.subject, NAME_BYTES);
        self.text(&mut who.label, NAME_BYTES);
        if stored(&who.claims) > DENIED_CLAIMS_BYTES {
            who.claims = Value::Object(serde_json::Map::new()).into();
            self.has_cut = true;
        }
    }

    /// Fills the available space in this order: names, reason, lists, parameters.
    fn ask(&mut self, ask: &mut RequestDetails) {
        self.text(&mut ask.role, 256);
        if let Some(host) = &mut ask.host {
            self.text(host, 512);
        }
        if let Some(caller) = &mut ask.caller {
            self.text(caller, 64);
        }
        if let Some(reason) = &mut ask.reason {
            self.text(reason, 768);
        }
        self.list(&mut ask.source_addresses, 384);
        self.list(&mut ask.extensions, 384);
        let params = std::mem::take(&mut ask.params);
        let mut room = DENIED_ASK_BYTES
            .saturating_sub(stored(ask))
            .saturating_sub(PARAMS_FRAME);
        for (name, value) in params {
            let size = stored(&name)
                .saturating_add(stored(&value))
                .saturating_add(2);
            match room.checked_sub(size) {
                Some(left) => {
                    room = left;
                    ask.params.insert(name, value);
                }
                None => self.has_cut = true,
            }
        }
    }

    /// Keeps the first items that fit into `most` bytes.
    fn list(&mut self, items: &mut Vec<String>, most: usize) {
        let mut room = most;
        items.retain(
            |item| match room.checked_sub(stored(item).saturating_add(1)) {
                Some(left) => {
                    room = left;
                    true
                }
                None => {
                    self.has_cut = true;
                    false
                }
            },
        );
    }

    /// Keeps the beginning that fits into `most` bytes as stored.
    fn text(&mut self, text: &mut String, most: usize) {
        let mut size = 0_usize;
        let fits = |(_, character): &(usize, char)| {
            size = size.saturating_add(stored_character(*character));
            size <= most
        };
        let kept = text.char_indices().take_while(fits).last();
        let end = kept.map_or(0, |(at, character)| at + character.len_utf8());
        self.has_cut |= end < text.len();
        text.truncate(end);
    }
}

/// `"params":{},`
const PARAMS_FRAME: usize = 12;

/// Size of one character as stored in the ledger, in bytes.
fn stored_character(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        ' '..='~' => 1,
        other => 6 * other.len_utf16(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::json;
    use time::macros::datetime;

    use super::{super::Event, *};

    /// 4 KiB of the caller's text, 4 KiB of claims, two names, and the fixed field names.
    const DENIED_BYTES: usize = 12 * 1024;

    fn denied(text: &str, count: usize) -> EventKind {
        let many = |n: usize| format!("{n:03}{text}");
        EventKind::Denied {
            who: Actor {
                issuer: "https://id.example.com".to_owned(),
                subject: text.chars().take(512).collect(),
                label: text.chars().take(512).collect(),
                claims: json!({"groups": vec![text; count]}).into(),
            },
            ask: RequestDetails {
                role: text.to_owned(),
                host: Some(text.to_owned()),
                params: (0..count).map(|n| (many(n), many(n))).collect(),
                reason: Some(text.to_owned()),
                ttl_seconds: Some(u64::MAX),
                source_addresses: (0..count).map(many).collect(),
                extensions: (0..count).map(many).collect(),
                caller: Some(text.to_owned()),
                request: Some(u64::MAX),
                emergency: true,
            },
            key: Some("SHA256:0123456789012345678901234567890123456789012".to_owned()),
            reason: "SUBJECT_KEY".to_owned(),
            detail: text.to_owned(),
            policy: "ab".repeat(32),
            cut: false,
            unbound: false,
            by: None,
        }
    }

    fn size(what: EventKind) -> usize {
        let at = datetime!(2026-11-22 15:32:51.123456789 UTC);
        let index = u64::MAX;
        Event { index, at, what }.to_bytes().unwrap().len()
    }

    #[test]
    fn a_denial_of_the_worst_characters_stays_within_its_bound() {
        let texts = [
            "\u{10ffff}",
            "\0",
            "\"",
            "\\",
            "\u{7f}",
            "\u{20ac}",
            "x",
            "\n",
        ];
        for text in texts {
            for (length, count) in [(20_000, 0), (4096, 32), (1024, 64), (3, 512)] {
                let what = denied(&text.repeat(length), count).bounded();
                let EventKind::Denied { ask, cut, .. } = &what else {
                    unreachable!()
                };
                assert!(*cut, "{text:?} {length} {count}");
                assert!(stored(ask) <= DENIED_ASK_BYTES, "{text:?} {length} {count}");
                let size = size(what);
                assert!(size <= DENIED_BYTES, "{text:?} {length} {count}: {size}");
            }
        }
    }

    #[test]
    fn a_denial_on_behalf_of_a_user_has_two_bounded_people() {
        for text in ["\u{10ffff}", "x"] {
            let mut what = denied(&text.repeat(4096), 32);
            let EventKind::Denied { who, by, .. } = &mut what else {
                unreachable!()
            };
            *by = Some(Box::new(who.clone()));
            let size = size(what.bounded());
            assert!(size <= DENIED_BYTES * 3 / 2, "{text:?}: {size}");
        }
    }

    #[test]
    fn a_usual_denial_is_recorded_whole() {
        let what = denied("na\u{ef}ve caf\u{e9} \"7\"", 2);
        assert_eq!(what.clone().bounded(), what);
    }

    #[test]
    fn other_events_are_left_alone() {
        for what in super::super::tests::samples() {
            assert_eq!(what.clone().bounded(), what);
        }
    }

    proptest! {
        #[test]
        fn no_denial_is_larger_than_its_bound(
            text in "(?s).{0,200}",
            repeat in 0_usize..60,
            count in 0_usize..80,
        ) {
            let what = denied(&text.repeat(repeat), count).bounded();
            prop_assert!(size(what.clone()) <= DENIED_BYTES);
            prop_assert_eq!(what.clone().bounded(), what, "cutting twice changes nothing");
        }

        #[test]
        fn a_characters_size_is_the_serializers(text in "(?s).{0,40}", odd in collection::vec(0_u8..128, 0..20)) {
            let text: String = text.chars().chain(odd.into_iter().map(char::from)).collect();
            let expected: usize = text.chars().map(stored_character).sum();
            prop_assert_eq!(stored(&text), expected + 2);
        }
    }
}
