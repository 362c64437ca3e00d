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
}
