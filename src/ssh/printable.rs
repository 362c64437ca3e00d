//! Text on one line of a terminal or a log: which characters it has none of. Pure.

/// Tells whether a terminal or a line reader would act on a character: controls (C0, DEL, C1), line
/// and paragraph separators, bidirectional marks, zero-width characters.
pub(crate) fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text as one line of printable characters, of at most so many bytes. A space stands for each
/// [active](is_active) character.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let c = if is_active(c) { ' ' } else { c };
        if line.len() + c.len_utf8() > most {
            break;
        }
        line.push(c);
    }
    line
}

/// [`line()`], of which the last character is `…` if there is more.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    const MORE: char = '…';
    let whole = line(text, usize::MAX);
    if whole.len() <= most {
        return whole;
    }
    let mut cut = line(text, most.saturating_sub(MORE.len_utf8()));
    cut.push(MORE);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_character_that_a_reader_acts_on() {
        for active in
            "\n\u{1b}\u{9b}\u{061c}\u{200b}\u{200f}\u{2028}\u{202e}\u{2060}\u{206f}\u{feff}".chars()
        {
            assert_eq!(line(&format!("a{active}b"), 9), "a b", "{active:?}");
        }
        assert_eq!(line("äöü", 5), "äö");
    }

    /// A fault of a host ended in the middle of a sentence, as if that were all.
    #[test]
    fn an_excerpt_says_that_there_is_more() {
        for (text, most, expected) in [
            ("whole", 5, "whole"),
            ("longer", 5, "lo…"),
            ("a\nb", 3, "a b"),
            ("äöüß", 7, "äö…"),
            ("äöüß", 6, "ä…"),
        ] {
            assert_eq!(excerpt(text, most), expected, "{text:?} {most}");
            assert!(expected.len() <= most);
        }
    }
}
