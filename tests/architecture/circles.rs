//! Finds circles: files of one module that use each other in a loop, straight or through others.
//!
//! A file uses another if it names an item that the other defines. What a parent re-exports counts
//! as the file that defines it; a `mod` line alone is no use.

use std::{collections::HashMap, sync::LazyLock};

use regex::Regex;

use crate::source::{Source, expand};

/// How many re-exports in a row are followed. A longer chain would be a loop.
const LONGEST_CHAIN: usize = 8;

/// One complaint per circle.
pub(crate) fn circles(sources: &[Source]) -> Vec<String> {
    let graph = ImportGraph::new(sources);
    let mut uses = vec![Vec::new(); sources.len()];
    for (from, used) in uses.iter_mut().enumerate() {
        *used = graph.uses(from);
    }
    let reach: Vec<Vec<bool>> = (0..sources.len()).map(|from| reach(&uses, from)).collect();
    let mut told = vec![false; sources.len()];
    let mut complaints = Vec::new();
    for first in 0..sources.len() {
        if told[first] || !reach[first][first] {
            continue;
        }
        let circle: Vec<usize> = (first..sources.len())
            .filter(|&other| reach[first][other] && reach[other][first])
            .collect();
        circle.iter().for_each(|&member| told[member] = true);
        complaints.push(describe(sources, &uses, &circle));
    }
    complaints
}

/// Which files `from` uses, straight or through others. Its own entry tells of a circle.
fn reach(uses: &[Vec<(usize, String)>], from: usize) -> Vec<bool> {
    let mut reached = vec![false; uses.len()];
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for (to, _) in &uses[file] {
            if !reached[*to] {
                reached[*to] = true;
                open.push(*to);
            }
        }
    }
    reached
}

/// The files of a circle, and for each pair the names that tie it.
fn describe(sources: &[Source], uses: &[Vec<(usize, String)>], circle: &[usize]) -> String {
    let mut lines = vec![format!("a circle of {} files:", circle.len())];
    for &from in circle {
        for &to in circle {
            let mut names: Vec<&str> = uses[from]
                .iter()
                .filter(|(used, _)| *used == to)
                .map(|(_, name)| name.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            if !names.is_empty() {
                let (from, to) = (&sources[from].path, &sources[to].path);
                lines.push(format!("  {from} uses {to}: {}", names.join(", ")));
            }
        }
    }
    lines.join("\n")
}

/// The files by their module paths, with what each imports.
struct ImportGraph<'a> {
    sources: &'a [Source],
    files: HashMap<Vec<&'a str>, usize>,
    imports: Vec<Vec<Vec<String>>>,
}

impl<'a> ImportGraph<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let files = (0..)
            .zip(sources)
            .map(|(at, source)| (source.modules(), at));
        Self {
            sources,
            files: files.collect(),
            imports: sources.iter().map(imported).collect(),
        }
    }

    /// The files of the same module that a file uses, each with a name it takes from there.
    fn uses(&self, from: usize) -> Vec<(usize, String)> {
        let home = self.sources[from].modules();
        let named = named(&self.sources[from]).into_iter();
        self.imports[from]
            .iter()
            .cloned()
            .chain(named)
            .filter_map(|path| Some((self.file_of(&home, &path, 0)?, path.last()?.clone())))
            .filter(|(to, _)| *to != from && self.sources[*to].modules()[0] == home[0])
            .collect()
    }

    /// The file that defines what `path` names in the module `home`, if it is one of ours.
    fn file_of(&self, home: &[&'a str], path: &[String], followed: usize) -> Option<usize> {
        let mut here = home.to_vec();
        for (at, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" => here.clear(),
                "self" => {}
                "super" => {
                    here.pop();
                }
                name => {
                    let mut child = here.clone();
                    let known = self.files.get_key_value(&[&here[..], &[name]].concat());
                    if let Some((module, _)) = known {
                        child.clone_from(module);
                        here = child;
                        continue;
                    }
                    // Not a module: an item of this file, or one that this file imports.
                    let owner = *self.files.get(&here)?;
                    let imported = self.imports[owner]
                        .iter()
                        .find(|import| import.last().is_some_and(|last| last == name));
                    return match imported {
                        Some(import) if followed < LONGEST_CHAIN => {
                            let whole = [&import[..], &path[at + 1..]].concat();
                            self.file_of(&here, &whole, followed + 1)
                        }
                        _ if at == 0 => None,
                        _ => Some(owner),
                    };
                }
            }
        }
        self.files.get(&here).copied()
    }
}

/// The paths of a file's `use` declarations.
fn imported(source: &Source) -> Vec<Vec<String>> {
    static USE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\buse\s+([a-z_][^;]*);").unwrap());
    USE.captures_iter(&source.code)
        .flat_map(|hit| paths(&hit[1]))
        .collect()
}

/// The other paths that a file spells: `super::locks::Lock`, or `locks::Lock`.
fn named(source: &Source) -> Vec<Vec<String>> {
    static PATH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[a-z_0-9]+::").unwrap());
    PATH.find_iter(&source.code)
        .filter(|hit| {
            // The middle of a path, an import (`imported` has it), or `pub(in super::super)`.
            let before = &source.code[..hit.start()];
            !["::", "use ", "(in "]
                .iter()
                .any(|end| before.ends_with(end))
        })
        .flat_map(|hit| paths(&source.code[hit.start()..]))
        .collect()
}

fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    expand("", text, &mut found);
    let words = |path: String| path.split("::").map(str::to_owned).collect();
    found.into_iter().map(words).collect()
}

#[test]
#[rustfmt::skip]
fn circles_are_found_however_they_are_tied() {
    let parent = ("ca.rs", "mod a;\nmod b;\npub use a::A;\npub struct P;");
    for (case, files, found) in [
        ("siblings", vec![("ca/a.rs", "use super::b::B;"), ("ca/b.rs", "use crate::ca::a::A;")], 1),
        ("three in a row", vec![("ca/a.rs", "use super::b::B;"), ("ca/b.rs", "use super::c::C;"), ("ca/c.rs", "use super::a::A;")], 1),
        ("parent and child", vec![parent, ("ca/a.rs", "use super::P;")], 1),
        ("without an import", vec![parent, ("ca/a.rs", "fn f() -> super::P {}")], 1),
        ("through a re-export", vec![parent, ("ca/a.rs", "use super::b::B;"), ("ca/b.rs", "use super::A;")], 1),
        ("the parent declares only", vec![("ca.rs", "mod a;\npub struct P;"), ("ca/a.rs", "use super::P;")], 0),
        ("the parent re-exports only", vec![parent, ("ca/a.rs", "struct A;"), ("ca/b.rs", "use super::A;")], 0),
        ("the parent's own import", vec![("ca.rs", "mod a;\nuse std::fmt;\nuse a::A;"), ("ca/a.rs", "use super::fmt;")], 0),
        ("a visibility", vec![parent, ("ca/a.rs", "pub(in crate::ca) struct A;")], 0),
        ("another module", vec![("ca/a.rs", "use crate::ssh::a::A;"), ("ssh/a.rs", "use crate::ca::a::A;")], 0),
    ] {
        let modules = [("ca.rs", ""), ("ssh.rs", "")];
        let sources: Vec<Source> = modules.iter().chain(&files).map(|(path, text)| Source::new(path, text)).collect();
        let complaints = circles(&sources);
        assert_eq!(complaints.len(), found, "{case}: {complaints:#?}");
    }
}
