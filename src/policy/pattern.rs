//! Regular expressions of the policy file: always over the whole text, always bounded.

use regex::{Regex, RegexBuilder};
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

/// Largest pattern, in bytes.
pub(crate) const MAX_PATTERN: usize = 512;

/// Largest compiled pattern, in bytes. The `regex` crate matches in linear time.
const MAX_COMPILED: usize = 256 * 1024;

/// Deepest nesting of groups and repetitions.
const NEST_LIMIT: u32 = 32;

/// A pattern that must match a whole text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles `source`, anchored at both ends.
    ///
    /// # Errors
    /// Returns a sentence for the policy's author if the text is too long, too large when compiled,
    /// or not a regular expression.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        // Compile it alone first: `a)|(b` is balanced only within the anchors' parentheses, and
        // would escape them.
        compile(source)?;
        let regex = build(&format!(r"\A(?:{source})\z"))?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    /// The source text, as in the policy file.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// A character of a matching text for which `is_allowed` is false.
    ///
    /// Examines each part of the pattern alone: it may return a character that the whole pattern
    /// rules out, but it misses none.
    pub(crate) fn beyond(&self, is_allowed: impl Fn(char) -> bool) -> Option<char> {
        self.parsed()
            .map_or(Some(char::REPLACEMENT_CHARACTER), |hir| {
                beyond(&hir, &is_allowed)
            })
    }

    /// Whether the empty text could match.
    pub(crate) fn may_be_empty(&self) -> bool {
        self.matches("")
    }

    fn parsed(&self) -> Option<Hir> {
        let mut parser = ParserBuilder::new().nest_limit(NEST_LIMIT).build();
        parser.parse(&self.source).ok()
    }
}

fn beyond(hir: &Hir, is_allowed: &impl Fn(char) -> bool) -> Option<char> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            text.chars().find(|c| !is_allowed(*c))
        }
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges().iter();
            let mut all = ranges.flat_map(|range| range.start()..=range.end());
            all.find(|c| !is_allowed(*c))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let ranges = class.ranges().iter();
            let mut all = ranges.flat_map(|range| range.start()..=range.end());
            all.find_map(|byte| Some(char::from(byte)).filter(|c| !is_allowed(*c)))
        }
        HirKind::Repetition(repeated) if repeated.max == Some(0) => None,
        HirKind::Repetition(repeated) => beyond(&repeated.sub, is_allowed),
        HirKind::Capture(group) => beyond(&group.sub, is_allowed),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().find_map(|part| beyond(part, is_allowed))
        }
    }
}

/// Compiles an unanchored regular expression within the limits.
///
/// # Errors
/// Returns a sentence for the policy's author.
pub(crate) fn compile(source: &str) -> Result<Regex, String> {
    if source.len() > MAX_PATTERN {
        return Err(format!(
            "the pattern has {} bytes; shorten it to {MAX_PATTERN}",
            source.len()
        ));
    }
    build(source)
}

/// Compiles a pattern whose source was measured without its anchors.
fn build(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(NEST_LIMIT)
        .build()
        .map_err(|error| explain(source, &error))
}

/// The error on one line, without the picture that the crate draws.
fn explain(source: &str, error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => format!(
            "the pattern {source:?} is too big; use fewer or smaller counts such as {{1,100}}"
        ),
        _ => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!(
                "{source:?} is not a regular expression: {}",
                last.trim_start_matches("error: ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_pattern_matches_whole_texts_only() {
        let cases = [
            ("the text", "[a-z]+", "nginx", true),
            ("a longer text", "[a-z]+", "nginx; reboot", false),
            ("a text before it", "[a-z]+", " nginx", false),
            ("a trailing newline", "[a-z]+", "nginx\n", false),
            ("an alternative", "a|b", "b", true),
            ("an unanchored alternative", "a|b", "xb", false),
            ("a shorter alternative first", "a|ab", "ab", true),
            ("multi-line anchors", "(?m)^a$", "a\nrm", false),
            ("a newline after its own anchor", "^a$", "a\n", false),
            ("nothing", "", "", true),
            ("something for nothing", "", "x", false),
            (
                "an added digit of another script",
                "[0-9]+",
                "\u{0661}",
                false,
            ),
        ];
        for (case, pattern, text, expected) in cases {
            assert_eq!(
                Pattern::compile(pattern).unwrap().matches(text),
                expected,
                "{case}"
            );
        }
    }

    #[test]
    fn patterns_that_escape_or_exceed_their_bounds_do_not_compile() {
        let long = "a".repeat(513);
        let nested = "(".repeat(100) + &")".repeat(100);
        for (case, pattern) in [
            ("closes our group", "a)|(b"),
            ("comments our group away", "(?x)a #"),
            ("unbalanced", "(a"),
            ("big counts", "(a{1000}){1000}"),
            ("too long", long.as_str()),
            ("too deep", nested.as_str()),
            ("look-ahead", "(?=a)"),
        ] {
            let error = Pattern::compile(pattern).unwrap_err();
            assert!(
                !error.contains('\n') && !error.is_empty(),
                "{case}: {error}"
            );
        }
    }

    #[test]
    fn characters_beyond_the_allowed_ones_are_found_wherever_a_pattern_has_them() {
        for (pattern, expected) in [
            ("[a-z]+", None),
            ("a|bc", None),
            ("(a(b[c-e]){2,3})?", None),
            ("^[a-z]$", None),
            ("[a-z ]{0}a", None),
            ("", None),
            ("[a-z ]+", Some(' ')),
            ("a|b c", Some(' ')),
            ("(a( [c-e]){2,3})?", Some(' ')),
            (".", Some('\0')),
            ("[^a]", Some('\0')),
            (r"\s", Some('\t')),
            (r"[a-z]\w", Some('0')),
            ("a\u{e9}", Some('\u{e9}')),
            ("(?i)[a-k]", Some('A')),
        ] {
            let found = Pattern::compile(pattern)
                .unwrap()
                .beyond(|c| c.is_ascii_lowercase());
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
