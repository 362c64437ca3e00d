//! The commands that the manual and the README print, and whether a line that was typed is one of
//! them.

use std::{fs, path::Path};

use regex::Regex;

/// The programs that a command of the manual begins with, where it stands in a sentence.
const PROGRAMS: &str =
    r"^(daypass|daypass-ssh|ssh|scp|sftp|rsync|systemctl|journalctl|usermod|cargo|apt|echo) \S";

/// A command on a page, with the words that stand for something written in capitals.
#[derive(Debug)]
pub(super) struct Printed {
    /// `locks`, or `README`.
    pub(super) page: String,
    pub(super) section: String,
    pub(super) line: String,
}

/// All commands of all pages.
pub(super) fn all() -> Vec<Printed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![("README".to_owned(), root.join("README.md"))];
    for entry in fs::read_dir(root.join("src/cli/manual")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "md") {
            let topic = path.file_stem().unwrap().to_str().unwrap().to_owned();
            pages.push((topic, path));
        }
    }
    let mut found = Vec::new();
    for (page, path) in pages {
        let text = fs::read_to_string(path).unwrap();
        for (section, line) in commands(&text) {
            let page = page.clone();
            found.push(Printed {
                page,
                section,
                line,
            });
        }
    }
    found
}

/// The commands of a page, each with the section that it stands in.
fn commands(text: &str) -> Vec<(String, String)> {
    let text = text.replace(" \\\n", " ");
    let mut found = Vec::new();
    let (mut section, mut prose) = (String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            take_spans(&mut prose, &section, &mut found);
            let block: Vec<&str> = lines.by_ref().take_while(|it| *it != "```").collect();
            // A block that is a program is not typed line by line.
            let is_program = block.first().is_some_and(|it| it.starts_with("#!"));
            if language == "sh" && !is_program {
                let typed = block.iter().map(|line| (section.clone(), plain(line)));
                found.extend(typed.filter(|(_, line)| !line.is_empty()));
            }
        } else if let Some(title) = line.strip_prefix("## ") {
            take_spans(&mut prose, &section, &mut found);
            title.clone_into(&mut section);
        } else {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    take_spans(&mut prose, &section, &mut found);
    found
}

/// The commands within sentences, as code spans.
fn take_spans(prose: &mut String, section: &str, found: &mut Vec<(String, String)>) {
    let programs = Regex::new(PROGRAMS).unwrap();
    for span in prose.split('`').skip(1).step_by(2) {
        let span = plain(span);
        if programs.is_match(&span) {
            found.push((section.to_owned(), span));
        }
    }
    prose.clear();
}

/// A line without its comment, and with single spaces.
fn plain(line: &str) -> String {
    let (line, _) = line.split_once(" # ").unwrap_or((line, ""));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Printed {
    /// Whether a line that was typed has this command, with something in the place of each word in
    /// capitals, each number and each `...`.
    pub(super) fn is_in(&self, typed: &str) -> bool {
        let words: Vec<String> = self.line.split(' ').map(pattern).collect();
        let pattern = format!(r#"(^|[\s("'=]){}($|[\s)"';])"#, words.join(r"\s+"));
        Regex::new(&pattern).unwrap().is_match(typed)
    }
}

/// The pattern of a word that is typed.
fn pattern(word: &str) -> String {
    if word == "..." {
        return ".*".to_owned();
    }
    let stands_for = Regex::new(r"^\[?('?)([A-Z]{2,}|[0-9]+)\]?$").unwrap();
    if let Some(found) = stands_for.captures(word) {
        return format!(r"{}\S+", &found[1]);
    }
    match word.strip_suffix("...") {
        Some(before) => format!(r"{}\S+", regex::escape(before)),
        None => regex::escape(word),
    }
}

#[test]
fn a_command_is_found_in_what_is_typed() {
    let text = "# x: y\n\nSay `daypass help TOPIC` or `daypass`.\n\n## Part\n\n```sh\n\
                ssh a \\\n    -v  # why\n```\n\n```text\nssh no\n```\n";
    let (first, second) = ("daypass help TOPIC".to_owned(), "ssh a -v".to_owned());
    let part = "Part".to_owned();
    assert_eq!(commands(text), [(String::new(), first), (part, second)]);
    for (line, typed, expected) in [
        ("daypass help TOPIC", "daypass help server", true),
        ("daypass help TOPIC", "daypass help", false),
        ("daypass ssh", "daypass ssh web-1", true),
        ("daypass ssh", "daypass ssh-config install", false),
        (
            "daypass approve 12",
            "cd /tmp && daypass approve 7 --yes",
            true,
        ),
        (
            "daypass ledger verify [FILE]",
            "daypass ledger verify x",
            true,
        ),
        ("x SHA256:...", "x SHA256:abc", true),
        ("x SHA256:...", "x abc", false),
        ("x ... --also FILE", "x --a b --also c && y", true),
        ("x ... --also FILE", "x --a b", false),
        (
            "daypass login --print-audience",
            "daypass login --print-audience --issuer ci >audience",
            true,
        ),
        ("daypass pass || exit", "daypass pass || exit", true),
    ] {
        let printed = Printed {
            page: String::new(),
            section: String::new(),
            line: line.to_owned(),
        };
        assert_eq!(printed.is_in(typed), expected, "{line}: {typed}");
    }
}
