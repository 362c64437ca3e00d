//! One word for a shell.

/// Appends `word` to `line` so that a shell reads exactly that word.
///
/// Plain characters stand bare. `'` and `\` are escaped outside of quotes, for fish reads backslashes within single
/// quotes where POSIX shells do not; all the rest stands in single quotes, where nothing has a meaning.
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

/// Characters that mean themselves in every shell, wherever they stand.
pub(super) fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | ',' | '+')
}
