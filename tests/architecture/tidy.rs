//! Checks the language: no comment line over 100 columns, and no word that hides the actor.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

/// All that people read: code with its comments and messages, documents, units, examples.
const READ: &[&str] = &[
    ".ci",
    "benches",
    "build.rs",
    "CHANGELOG.md",
    "Containerfile",
    "Cargo.toml",
    "deny.toml",
    "packaging",
    "proto",
    "README.md",
    "src",
    "systemd",
    "tests",
];

/// Written by tools, or from elsewhere. A migration never changes: databases hold its checksum.
const FOREIGN: &[&str] = &["migrations", "node_modules", "package-lock.json"];

/// This file must spell the words.
const SELF: &str = "tests/architecture/tidy.rs";

/// The longest a comment line may be, in characters.
const COLUMNS: usize = 100;

/// Each hides who does something: a caller, a client, an approver, another process.
const WORDS: &str = r"(?i)(?:^|[^a-z])(somebody|nobody|whoever|anybody|whatever)(?:[^a-z]|$)";

/// Texts in which `nobody` is the name of the system account: (file, text).
#[rustfmt::skip]
const ACCOUNT: &[(&str, &str)] = &[
    (
        "src/cli/manual/host.md",
        "AuthorizedPrincipalsCommandUser nobody",
    ),
    ("src/host/settings.rs", r#"USUAL_USER: &str = "nobody""#),
    ("src/host/drop_in.rs", r#"principals_user: "nobody""#),
    ("src/host/drop_in.rs", "AuthorizedPrincipalsCommandUser nobody"),
    ("src/host/sshd.rs", r#"user: "nobody""#),
    ("tests/bastions/lan.rs", "AuthorizedPrincipalsCommandUser nobody"),
    ("tests/bastions/network.rs", r#"principals = ["deploy", "jump", "nobody"]"#),
    ("tests/bastions/network.rs", r#"Site::with_login("nobody")"#),
    ("tests/bastions/network.rs", r#""-l", "nobody""#),
    ("tests/host/doctor.rs", "AuthorizedPrincipalsCommandUser nobody"),
    ("tests/host/setup.rs", "AuthorizedPrincipalsCommandUser nobody"),
    ("tests/host/setup.rs", r#""nobody x""#),
    ("tests/host/sshd.rs", r#""root" => "nobody""#),
    ("tests/daemon/init.rs", r#"me == "root" => "nobody""#),
    ("tests/daemon/init.rs", r#"        "nobody""#),
    ("tests/daemon/init.rs", r#"other == "nobody""#),
    ("tests/daemon/init.rs", "runuser -u nobody"),
    ("tests/daemon/init.rs", "chown nobody:"),
];

/// The complaints about all that people read.
pub(crate) fn untidy() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    READ.iter()
        .for_each(|name| collect(&root.join(name), &mut files));
    let mut complaints = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap();
        if path != SELF {
            // A file that is not text has no language.
            let text = fs::read_to_string(&file).unwrap_or_default();
            complaints.extend(complain(path, &text));
        }
    }
    complaints
}

fn complain(path: &str, text: &str) -> Vec<String> {
    static FOUND: LazyLock<Regex> = LazyLock::new(|| Regex::new(WORDS).unwrap());
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let columns = line.chars().count();
        if columns > COLUMNS && is_comment(path, line) {
            complaints.push(format!("{path}:{number}: {columns} columns"));
        }
        let mut rest = line.to_owned();
        for (_, account) in ACCOUNT.iter().filter(|(file, _)| *file == path) {
            rest = rest.replace(account, "");
        }
        if let Some(hit) = FOUND.captures(&rest) {
            complaints.push(format!("{path}:{number}: say who, not `{}`", &hit[1]));
        }
    }
    complaints
}

/// Whether a line is a comment and nothing else.
fn is_comment(path: &str, line: &str) -> bool {
    let line = line.trim_start();
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "rs" | "proto" | "mjs" => line.starts_with("//"),
        "sql" => line.starts_with("--"),
        "md" | "pub" | "json" | "jsonl" => false,
        _ => line.starts_with('#'),
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let name = path.file_name().unwrap_or_default();
    if FOREIGN.iter().any(|foreign| name == *foreign) {
        return;
    }
    if !path.is_dir() {
        return files.push(path.to_owned());
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries.iter().for_each(|entry| collect(entry, files));
}

#[test]
fn untidy_language_is_found() {
    let long = format!("    // {}", "x".repeat(COLUMNS));
    let string = format!("    \"{}\"", "x".repeat(COLUMNS));
    let umlauts = format!("// {}", "ä".repeat(COLUMNS - 3));
    for (case, path, text, found) in [
        ("a word in a comment", "src/a.rs", "/// If nobody asks.", 1),
        ("a word in a message", "src/a.rs", r#""whoever asks""#, 1),
        ("a word in a name", "src/a.rs", "fn nobody_asks() {}", 1),
        ("a capital", "README.md", "Nobody's business.", 1),
        ("a longer word", "README.md", "whatevers", 0),
        (
            "the account",
            "src/cli/manual/host.md",
            "AuthorizedPrincipalsCommandUser nobody",
            0,
        ),
        (
            "the account and more",
            "src/host/sshd.rs",
            r#"user: "nobody", // nobody"#,
            1,
        ),
        ("the account elsewhere", "src/a.rs", r#"user: "nobody""#, 1),
        ("a long comment", "src/a.rs", &long, 1),
        ("a long string", "src/a.rs", &string, 0),
        ("characters, not bytes", "src/a.rs", &umlauts, 0),
        ("a heading", "README.md", &long.replace("//", "#"), 0),
        (
            "a long comment of a script",
            "tests/run",
            &long.replace("//", "#"),
            1,
        ),
    ] {
        let complaints = complain(path, text);
        assert_eq!(complaints.len(), found, "{case}: {complaints:?}");
    }
}
