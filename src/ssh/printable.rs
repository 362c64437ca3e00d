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

/// [`line()`], in which `…` stands for what is left out of the middle if there is more. What went
/// wrong stands at the end of most sentences, and where at their start.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    const LEFT_OUT: char = '…';
    let whole = line(text, usize::MAX);
    if whole.len() <= most {
        return whole;
    }
    let kept = most.saturating_sub(LEFT_OUT.len_utf8());
    let start = whole.floor_char_boundary(kept / 2);
    let end = whole.ceil_char_boundary(whole.len() - (kept - start));
    format!("{}{LEFT_OUT}{}", &whole[..start], &whole[end..])
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

    /// A fault of a host ended in the middle of a sentence, as if that were all. Then a long path
    /// in it left out the reason.
    #[test]
    fn an_excerpt_says_that_there_is_more_and_keeps_the_end() {
        for (text, most, expected) in [
            ("whole", 5, "whole"),
            ("longer", 5, "l…r"),
            ("a\nb", 3, "a b"),
            ("äöüß", 7, "ä…ß"),
            ("äöüß", 6, "…ß"),
            ("longer", 3, "…"),
            (
                "sshd rejects /long/path/: Bad keyword",
                29,
                "sshd rejects …: Bad keyword",
            ),
        ] {
            assert_eq!(excerpt(text, most), expected, "{text:?} {most}");
            assert!(expected.len() <= most);
        }
    }
}
