//! Reads the files of `src/` as plain text, without comments, strings and test code.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

/// One source file: its path below `src/`, and its code without comments, strings and tests.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            code: code_of(text),
        }
    }

    /// The module path: `policy/grant.rs` is `[policy, grant]`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        self.path.trim_end_matches(".rs").split('/').collect()
    }
}

/// Every path of our crate that the code names, from the root: `store::Store`.
pub(crate) fn imports(source: &Source) -> Vec<String> {
    static START: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(crate|(?:super::)*super)::").unwrap());
    let depth = source.modules().len();
    let mut found = Vec::new();
    for hit in START.captures_iter(&source.code) {
        let supers = hit[1].matches("super").count();
        if hit[1] == *"crate" || supers >= depth {
            let rest = &source.code[hit.get(0).unwrap().end()..];
            expand("", rest, &mut found);
        }
    }
    found
}

/// Spells out `a::{b, c::d}` at the start of `text`.
pub(crate) fn expand(prefix: &str, text: &str, found: &mut Vec<String>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        for item in split_group(group) {
            expand(prefix, item, found);
        }
        return;
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let name = &text[..end];
    let path = match (prefix, name) {
        (_, "self" | "") => prefix.to_owned(),
        ("", _) => name.to_owned(),
        _ => format!("{prefix}::{name}"),
    };
    match text[end..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c == '{' || c.is_alphabetic()) => {
            expand(&path, rest, found);
        }
        _ => found.push(path),
    }
}

/// The items of a group whose `{` is already gone, split at its own commas.
fn split_group(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(text[start..at].trim());
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// Comments, strings and characters.
const DULL_TEXT: &str = r##"(?s)//[^\n]*|/\*.*?\*/|r#".*?"#|b?"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'"##;

/// The code without comments, string literals and tests. Lines stay lines.
fn code_of(text: &str) -> String {
    static DULL: LazyLock<Regex> = LazyLock::new(|| Regex::new(DULL_TEXT).unwrap());
    let bare = DULL.replace_all(text, "\"\"").into_owned();
    above_tests(&bare).to_owned()
}

/// Tests come last in a file, under `#[cfg(test)]`.
pub(crate) fn above_tests(text: &str) -> &str {
    static TESTS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^#\[cfg\(test\)\]\s*(#\[[^\]]*\]\s*)*mod ").unwrap());
    TESTS.find(text).map_or(text, |hit| &text[..hit.start()])
}

/// Every source file but those of tests.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "where is src/?");
    let read = |file: &PathBuf| {
        let path = file
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        Source::new(&path, &fs::read_to_string(file).unwrap())
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
