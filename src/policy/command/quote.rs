//! Shell quoting of one word.

/// Appends `word` to `line` so that a shell reads exactly that word.
///
/// Plain characters stay bare. `'` and `\` are escaped outside of quotes, because fish interprets
/// backslashes within single quotes and POSIX shells do not. All other characters go into single
/// quotes.
pub(super) fn quote(word: &str, line: &mut String) {
    if word.is_empty() {
        line.push_str("''");
    }
    let bare_word = word.chars().all(is_bare);
    let mut quoted = false;
    for c in word.chars() {
        let escape = matches!(c, '\'' | '\\');
        let wants_quotes = !bare_word && !escape;
        if wants_quotes != quoted {
            line.push('\'');
            quoted = wants_quotes;
        }
        if escape {
            line.push('\\');
        }
        line.push(c);
    }
    if quoted {
        line.push('\'');
    }
}

/// Whether a character has no special meaning in any shell, at any place.
pub(super) fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | ',' | '+')
}
