//! Text of an identity provider in messages to the user. Pure.

/// Characters of such a text at most.
const LONGEST: usize = 300;

/// The text in quotes, as one line: bounded, white space made one blank, everything else that does
/// not print escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut words = String::new();
    for word in text.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().take(LONGEST));
        if words.chars().count() >= LONGEST {
            break;
        }
    }
    if words.chars().count() < LONGEST {
        return format!("{words:?}");
    }
    let start: String = words.chars().take(LONGEST).collect();
    format!("{:?}", start + " ...")
}
