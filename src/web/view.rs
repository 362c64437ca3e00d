//! A request for people to read: its content from its event, and the server's word on its state.
//! Pure.

use std::{borrow::Cow, fmt::Write as _};

use crate::{
    ledger::{content::RequestContent, event::Event, state::Verb},
    proto::v1::{self, request::State},
    server::log::is_active,
    unix_seconds::UnixSeconds,
};

/// Characters of one text that are shown.
const LONGEST: usize = 4096;

/// Characters of a text of many lines that are shown.
const LONGEST_OF_LINES: usize = 65_536;

/// A request.
pub(super) struct RequestView {
    pub(super) id: u64,
    pub(super) state: State,
    pub(super) content: RequestContent,
    /// When it expires; 0 for a review.
    pub(super) expires_at: UnixSeconds,
    pub(super) decisions: Vec<v1::request::Decision>,
    /// Whether this person may decide it now.
    pub(super) may_decide: bool,
    /// The serial of the pass that it was redeemed for; 0 before.
    pub(super) serial: u64,
    /// If an approval needs presence: the lines of this person's keys that show it.
    pub(super) presence: Option<Vec<String>>,
    /// The event: one line of printable ASCII, the bytes that a decision signs.
    pub(super) event: String,
}

/// The server sent what is no request. It is a bug of the server.
#[derive(Debug, thiserror::Error)]
#[error("request {0} has another event")]
pub(super) struct Unreadable(u64);

impl RequestView {
    /// Reads a request that a gRPC handler answered.
    ///
    /// # Errors
    /// Returns [`Unreadable`] if its event opens no request.
    pub(super) fn read(wire: v1::Request) -> Result<Self, Unreadable> {
        let unreadable = || Unreadable(wire.id);
        let event = Event::parse(&wire.event).map_err(|_| unreadable())?;
        if event.index != wire.id {
            return Err(unreadable());
        }
        let (content, expires_at) = RequestContent::of(event).ok_or_else(unreadable)?;
        Ok(Self {
            state: wire.state(),
            event: String::from_utf8(wire.event).map_err(|_| Unreadable(wire.id))?,
            id: wire.id,
            content,
            expires_at,
            decisions: wire.decisions,
            may_decide: wire.may_decide,
            presence: wire.presence.then_some(wire.presence_keys),
            serial: wire.serial,
        })
    }

    /// The decisions that this person may take now.
    pub(super) fn verbs(&self) -> &'static [Verb] {
        match (self.may_decide, self.content.is_review) {
            (false, _) => &[],
            (true, true) => &[Verb::Review],
            (true, false) => &[Verb::Approve, Verb::Deny],
        }
    }

    /// The number of approvals so far.
    pub(super) fn approvals(&self) -> usize {
        let mut verbs = self.decisions.iter().map(|one| one.verb.as_str());
        verbs.by_ref().filter(|verb| *verb == "approve").count()
    }

    /// The state in words.
    pub(super) fn state_text(&self) -> &'static str {
        match self.state {
            State::Pending => "Waits for approval",
            State::Approved => "Approved, not used yet",
            State::Denied => "Denied",
            State::Cancelled => "Withdrawn",
            State::Expired => "Expired",
            State::Redeemed => "Approved and used",
            State::ReviewOpen => "Waits for review",
            State::Reviewed => "Reviewed",
            State::Unspecified => "Unknown",
        }
    }
}

/// A text of a caller for a page: characters that change the direction of text, or are not seen,
/// are written out, and a text that is too long is cut visibly. HTML is escaped by the template.
pub(super) fn plain(text: &str) -> String {
    shown(text, LONGEST, is_active)
}

/// As [`plain`], of a text whose lines are shown as lines.
pub(super) fn lines(text: &str) -> String {
    let is_unseen = |character| is_active(character) && !matches!(character, '\n' | '\t');
    shown(text, LONGEST_OF_LINES, is_unseen)
}

fn shown(text: &str, longest: usize, is_unseen: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        if index == longest {
            shown.push_str(" \u{2026} (cut here: the whole text is in the event below)");
            break;
        }
        match is_unseen(character) {
            true => {
                let _ = write!(shown, "{}", character.escape_unicode());
            }
            false => shown.push(character),
        }
    }
    shown
}

/// A text of which [`plain`] shows at most so many characters, and then dots.
pub(super) fn short(text: &str, most: usize) -> String {
    let start: String = text.chars().take(most).collect();
    let dots = if start.len() < text.len() {
        "\u{2026}"
    } else {
        ""
    };
    format!("{}{dots}", escaped(&start))
}

/// A text in which characters that are not seen are written out.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let escape = |character: char| match is_active(character) {
        true => character.escape_unicode().to_string(),
        false => character.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// A duration in words, such as `30m` or `1h 30m`.
pub(super) fn duration(seconds: u64) -> String {
    let duration = std::time::Duration::from_secs(seconds);
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_is_shown_as_it_is() {
        for (text, expected) in [
            ("INC-7 disk full", "INC-7 disk full"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\nb\0", "a\\u{a}b\\u{0}"),
            ("\u{200b}", "\\u{200b}"),
            ("Größe <b>", "Größe <b>"),
        ] {
            assert_eq!(plain(text), expected);
        }
        let long = plain(&"x".repeat(100_000));
        assert!(long.len() < LONGEST + 100 && long.contains("cut here"));
    }

    #[test]
    fn a_text_of_lines_keeps_them_and_nothing_else_that_is_not_seen() {
        let text = "\n[[role]]\r\n\tname = \"a\u{202e}b\"\0\n";
        let expected = "\n[[role]]\\u{d}\n\tname = \"a\\u{202e}b\"\\u{0}\n";
        assert_eq!(lines(text), expected);
        let long = lines(&"x\n".repeat(100_000));
        assert!(long.len() < LONGEST_OF_LINES + 100 && long.contains("cut here"));
    }

    #[test]
    fn a_short_text_is_cut_visibly_and_never_within_a_letter() {
        for (text, expected) in [
            ("INC-7", "INC-7"),
            ("INC-78", "INC-7\u{2026}"),
            ("Gr\u{f6}\u{df}e", "Gr\u{f6}\u{df}e"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("", ""),
        ] {
            assert_eq!(short(text, 5), expected);
        }
        assert_eq!(escaped("a\r\u{200b}"), "a\\u{d}\\u{200b}");
    }
}
