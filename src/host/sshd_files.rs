//! sshd's configuration files: those that `sshd_config` includes, and the `Match` blocks in them.
//! Only sshd itself knows which values are in force; this says what to ask it about.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    drop_in::{is_keyword, name_matches, words},
    files::{Layout, read},
};

/// The most files that are read. sshd itself includes 16 levels.
const MOST_FILES: usize = 256;

/// The most levels of `Include`.
const MOST_LEVELS: usize = 16;

/// A configuration file.
#[derive(Clone, Debug)]
pub(crate) struct ConfigFile {
    /// Its path.
    pub path: PathBuf,
    /// Its text; other than UTF-8 is replaced.
    pub text: String,
}

/// A `Match` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MatchBlock {
    /// Where it begins, `FILE line N`.
    pub place: String,
    /// Its criteria in lower case, each with its value; `all` has an empty value.
    pub criteria: Vec<(String, String)>,
    /// The keywords that it sets, in lower case.
    pub keywords: Vec<String>,
}

impl MatchBlock {
    /// The block's first line, as an administrator would write it.
    pub(crate) fn title(&self) -> String {
        let criteria = self.criteria.iter();
        let words = criteria.map(|(name, value)| format!("{name} {value}"));
        format!("Match {}", words.collect::<Vec<_>>().join(" "))
            .trim_end()
            .to_owned()
    }
}

/// `sshd_config` and all files that it includes, each once. A file that cannot be read is left out:
/// sshd's own test reports it.
pub(crate) fn files(layout: &Layout) -> Vec<ConfigFile> {
    let mut found = Vec::new();
    collect(
        &layout.sshd_config(),
        &layout.ssh_folder(),
        MOST_LEVELS,
        &mut found,
    );
    found
}

fn collect(path: &Path, folder: &Path, levels: usize, found: &mut Vec<ConfigFile>) {
    let is_known = found.iter().any(|file| file.path == path);
    if is_known || levels == 0 || found.len() >= MOST_FILES {
        return;
    }
    let Ok(Some(bytes)) = read(path) else {
        return;
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let included: Vec<PathBuf> = patterns(&text, folder).flat_map(|it| expand(&it)).collect();
    found.push(ConfigFile {
        path: path.to_owned(),
        text,
    });
    for path in included {
        collect(&path, folder, levels - 1, found);
    }
}

/// The absolute patterns of all `Include` lines.
fn patterns(text: &str, folder: &Path) -> impl Iterator<Item = PathBuf> {
    let lines = text.lines().map(words);
    lines
        .filter(|words| is_keyword(words, "include"))
        .flat_map(|words| words.into_iter().skip(1))
        .map(|pattern| folder.join(pattern))
}

/// The files that a pattern names, sorted. Only its last component may have wildcards.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let Some(entries) = pattern.parent().and_then(|it| fs::read_dir(it).ok()) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| name_matches(pattern, path)).collect();
    paths.sort();
    paths
}

/// The `Match` blocks of a file, in its order. A block ends at the next one, or with the file.
pub(crate) fn match_blocks(file: &ConfigFile) -> Vec<MatchBlock> {
    let mut blocks: Vec<MatchBlock> = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let words = words(line);
        if is_keyword(&words, "match") {
            blocks.push(MatchBlock {
                place: format!("{} line {}", file.path.display(), at + 1),
                criteria: criteria(words.get(1..).unwrap_or_default()),
                keywords: Vec::new(),
            });
        } else if let (Some(block), Some(keyword)) = (blocks.last_mut(), words.first()) {
            block.keywords.push(keyword.to_ascii_lowercase());
        }
    }
    blocks
}

/// `Criterion value` pairs; newer versions of OpenSSH also read `Criterion=value`.
fn criteria(words: &[String]) -> Vec<(String, String)> {
    let words = words.iter().flat_map(|word| word.split('='));
    let mut words = words.filter(|word| !word.is_empty());
    let mut criteria = Vec::new();
    while let Some(name) = words.next() {
        let name = name.to_ascii_lowercase();
        let value = match name.as_str() {
            "all" | "invalid-user" => "",
            _ => words.next().unwrap_or_default(),
        };
        criteria.push((name, value.to_owned()));
    }
    criteria
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn included_files_are_found_once_and_in_order() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let folder = layout.ssh_folder();
        fs::create_dir_all(folder.join("sshd_config.d")).unwrap();
        for (name, text) in [
            (
                "sshd_config",
                "include sshd_config.d/*.conf other missing/*\nPort 1",
            ),
            ("sshd_config.d/20.conf", "Include sshd_config.d/*.conf"),
            ("sshd_config.d/10.conf", ""),
            ("sshd_config.d/10.conf.old", ""),
            ("other", "Include sshd_config"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let found = files(&layout).into_iter().map(|file| file.path);
        let expected = [
            "sshd_config",
            "sshd_config.d/10.conf",
            "sshd_config.d/20.conf",
            "other",
        ];
        let expected = expected.map(|name| folder.join(name));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn match_blocks_are_read_with_their_criteria_and_keywords() {
        let file = ConfigFile {
            path: PathBuf::from("f"),
            text: "Port 1\nMatch User=a,b Address 10.0.0.0/8\n  ForceCommand x # why\n\nmatch all\nPermitTTY=no\n"
                .to_owned(),
        };
        let blocks = match_blocks(&file);
        assert_eq!(blocks.len(), 2, "{blocks:?}");
        assert_eq!(blocks[0].title(), "Match user a,b address 10.0.0.0/8");
        assert_eq!(blocks[0].place, "f line 2");
        assert_eq!(blocks[0].keywords, ["forcecommand"]);
        assert_eq!(blocks[1].title(), "Match all");
        assert_eq!(blocks[1].keywords, ["permittty"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(?s).{0,400}") {
            let file = ConfigFile { path: PathBuf::from("f"), text };
            let _ = match_blocks(&file);
        }
    }
}
