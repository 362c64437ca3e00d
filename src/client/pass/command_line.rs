//! The check of a force-command against the role's words. Pure.
//!
//! The server quotes each word for the shell. Here the line is split again, so that the words are
//! compared and not how they are quoted. Words that a shell would not read as plain text do not
//! fit.

use std::collections::BTreeMap;

/// The piece of a word between two braces, or around them.
#[derive(Debug, PartialEq)]
enum Piece {
    /// Text that must be there.
    Text(String),
    /// The value of a claim, which only the server knows.
    Claim,
}

/// Whether `line` runs the words of `command`, whose holes are filled from `params`.
pub(super) fn fits(line: &str, command: &[String], params: &BTreeMap<&str, &str>) -> bool {
    let Some(words) = split(line) else {
        return false;
    };
    words.len() == command.len()
        && words
            .iter()
            .zip(command)
            .all(|(word, template)| pieces(template, params).is_some_and(|it| matches(word, &it)))
}

/// The words that a shell makes of `line`; none if it would do more than split and unquote.
fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next()? {
                        '\'' => break,
                        c if c.is_control() => return None,
                        c => word.push(c),
                    }
                }
            }
            '\\' => {
                let c = rest.next().filter(|c| !c.is_control())?;
                word.get_or_insert_default().push(c);
            }
            c if is_plain(c) => word.get_or_insert_default().push(c),
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

/// Whether no shell gives the character a meaning, at any place.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:@,+".contains(c)
}

/// A word of the role with its parameters filled in; none if one has no value or a brace is open.
fn pieces(template: &str, params: &BTreeMap<&str, &str>) -> Option<Vec<Piece>> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            text.extend(from.chars().next());
            rest = after;
            continue;
        }
        let (hole, after) = from.strip_prefix('{')?.split_once('}')?;
        match hole.starts_with("claims.") {
            true => pieces.extend([Piece::Text(std::mem::take(&mut text)), Piece::Claim]),
            false => text.push_str(params.get(hole)?),
        }
        rest = after;
    }
    text.push_str(rest);
    pieces.push(Piece::Text(text));
    Some(pieces)
}

fn matches(word: &str, pieces: &[Piece]) -> bool {
    match pieces {
        [] => word.is_empty(),
        [Piece::Text(text)] => word == text,
        [Piece::Text(text), rest @ ..] => {
            let after = word.strip_prefix(text.as_str());
            after.is_some_and(|after| matches(after, rest))
        }
        [Piece::Claim, rest @ ..] => {
            let mut ends = word.char_indices().map(|(at, _)| at).chain([word.len()]);
            ends.any(|at| word.get(at..).is_some_and(|after| matches(after, rest)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_decide_and_not_how_they_are_quoted() {
        let params = BTreeMap::from([("unit", "it's"), ("empty", "")]);
        for (line, command, expected) in [
            ("/bin/date", &["/bin/date"][..], true),
            ("/bin/x 'a b'", &["/bin/x", "a b"], true),
            ("/bin/x 'a'\\ b", &["/bin/x", "a b"], true),
            ("/bin/x it\\'s", &["/bin/x", "{unit}"], true),
            ("/bin/x '-u=it'\\''s'", &["/bin/x", "-u={unit}"], true),
            ("/bin/x ''", &["/bin/x", "{empty}"], true),
            ("/bin/x '{}'", &["/bin/x", "{{}}"], true),
            ("/bin/x alice-7", &["/bin/x", "{claims.sub}-7"], true),
            ("/bin/x alice-8", &["/bin/x", "{claims.sub}-7"], false),
            ("/bin/x a b", &["/bin/x", "{claims.sub}"], false),
            ("/bin/x other", &["/bin/x", "{unit}"], false),
            ("/bin/x", &["/bin/x", "{unit}"], false),
            ("/bin/x it\\'s more", &["/bin/x", "{unit}"], false),
            ("/bin/x x", &["/bin/x", "{unknown}"], false),
            ("/bin/x;id", &["/bin/x;id"], false),
            ("/bin/x $(id)", &["/bin/x", "{claims.sub}"], false),
            ("/bin/x a\nid", &["/bin/x", "{claims.sub}"], false),
            ("/bin/x 'a\nid'", &["/bin/x", "{claims.sub}"], false),
            ("/bin/x 'a", &["/bin/x", "a"], false),
            ("/bin/x a\\", &["/bin/x", "a"], false),
            ("", &["/bin/x"], false),
        ] {
            let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(fits(line, &command, &params), expected, "{line:?}");
        }
    }
}
