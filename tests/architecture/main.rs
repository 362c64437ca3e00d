//! Holds the structure of `src/`: what a module may import, which files are pure, what makes a
//! receipt, how long a file or function may be, that no files use each other in a loop, the
//! language, and what licences and sources the dependencies have.
//!
//! The checks read plain text. Each has a test here of what it must find.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod circles;
mod dependencies;
mod source;
mod tidy;

use regex::Regex;

use circles::circles;
use source::{Source, above_tests, imports, sources};
use tidy::untidy;

/// What each module may import of ours: a module, or one submodule of it.
#[rustfmt::skip]
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("reason", &[]),
    // Compiled for tests alone.
    ("deliberate", &[]),
    ("reference", &[]),
    ("finding", &[]),
    ("os_error", &[]),
    ("ticks", &[]),
    ("file_lock", &[]),
    ("ssh", &[]),
    (GROUND, &[]),
    ("ledger", &["ssh", "reason", "deliberate"]),
    ("modes", &[]),
    ("outbound", &["modes"]),
    ("identity", &["outbound", "ssh", "reason"]),
    ("proto", &["ssh", "reason"]),
    ("policy", &["identity", "reference", "ssh", "reason", "deliberate"]),
    ("ca", &["identity", "policy", "ledger", "modes", "ssh"]),
    ("keepers", &["ca", "ledger", "outbound"]),
    // The other side of `keepers::signer`, in a process of its own.
    ("signer", &["ca", "file_lock", "ledger", "modes"]),
    ("store", &["ca", "policy", "ledger", "modes", "ssh", "deliberate"]),
    // It reads the ledger from the store and tells it. It decides nothing, so it needs no policy.
    ("notify", &["ledger", "store", "modes", "ssh"]),
    ("operations", &["identity", "policy", "ledger", "ca", "store", "notify", "ssh", "reason", "deliberate"]),
    ("server", &["operations", "identity", "proto", "policy", "ledger", "ca", "modes", "outbound", "ssh", "reason", "ticks"]),
    // The page is a caller of the server's own handlers, in the same process. It decides nothing.
    ("web", &["server", "operations", "identity", "proto", "ledger"]),
    ("client", &["proto", "ledger", "identity::proof", "identity::web_url", "file_lock", "os_error", "outbound", "ssh", "reason", "ticks"]),
    ("host", &["finding", "proto", "ledger", "identity::proof", "file_lock", "os_error", "outbound", "ssh"]),
    ("config", &["identity", "policy", "ledger", "ca", "store", "server", "notify", "modes", "outbound", "reference", "ssh", "web"]),
    ("daemon", &["config", "finding", "identity", "keepers", "policy", "ledger", "ca", "store", "notify", "operations", "server", "signer", "modes", "outbound", "ssh", "ticks", "web"]),
];

/// Every module may import it: a type of time that knows no other module.
const GROUND: &str = "unix_seconds";

/// They wire the rest together, so they import what they like.
const WIRING: &[&str] = &["dev", "cli", "main", "lib"];

/// Files, and folders of files, that compute and do nothing else.
const PURE: &[&str] = &[
    "unix_seconds.rs",
    "finding.rs",
    "os_error.rs",
    "ssh.rs",
    "ssh/",
    "ledger.rs",
    "ledger/",
    "policy.rs",
    "policy/",
    "identity/claims.rs",
    "identity/proof.rs",
    "identity/web_url.rs",
    "ca/draft.rs",
    "ca/draft/",
    "ca/lint.rs",
    "ca/to_sign.rs",
    "ca/signer/",
    // A webhook's text, signature, address and schedule are tested without sending one.
    "notify/address.rs",
    "notify/chat.rs",
    "notify/kind.rs",
    "notify/message.rs",
    "notify/notification.rs",
    "notify/outbox/mailbox.rs",
    "notify/schedule.rs",
    "notify/settings.rs",
    "notify/signature.rs",
    "operations/record.rs",
    "host/certificate.rs",
    "host/drop_in.rs",
    "host/keys.rs",
];

/// What a pure file has no business with: (what it is, how it looks).
#[rustfmt::skip]
const IMPURE: &[(&str, &str)] = &[
    ("the clock", r"\bnow_utc\b|\bSystemTime\b|\bInstant\b|\bnow_local\b"),
    ("randomness", r"\bOsRng\b|\bthread_rng\b|\brand::|\bgetrandom\b"),
    ("files", r"\bstd::fs\b|\bfs::|\bFile::"),
    ("the network", r"\breqwest\b|\bhyper\b|\btonic\b|\bTcp(Stream|Listener)\b|\bUdpSocket\b"),
    ("a database", r"\bsqlx\b"),
    ("the process", r"\bstd::(process|env|thread)\b|\benv::var|\bCommand::new\b"),
    ("a terminal", r"\be?print(ln)?!|\bdbg!"),
    ("waiting", r"\btokio\b|\.await\b|\basync\b"),
];

/// The most lines of a file above its tests.
const LONGEST: usize = 400;

/// The most lines of a function, from its `fn` line to its closing brace.
const LONGEST_FUNCTION: usize = 60;

#[test]
fn modules_import_only_what_is_below_them() {
    demand_nothing(sources().iter().flat_map(forbidden_imports));
}

#[test]
fn pure_files_read_neither_clock_nor_chance_nor_the_world() {
    demand_nothing(sources().iter().flat_map(impurities));
}

#[test]
fn every_rule_is_of_something_that_there_is() {
    let sources = sources();
    let is_there = |rule: &str| {
        let mut paths = sources.iter().map(|source| source.path.as_str());
        paths.any(|path| path == rule || rule.ends_with('/') && path.starts_with(rule))
    };
    let pure = PURE.iter().filter(|rule| !is_there(rule));
    let modules = MAY_IMPORT
        .iter()
        .filter(|(module, _)| !is_there(&format!("{module}.rs")));
    demand_nothing(
        pure.map(|rule| format!("PURE names {rule}, which is not there"))
            .chain(modules.map(|(module, _)| format!("MAY_IMPORT names {module}"))),
    );
}

#[test]
fn only_the_writer_makes_receipts_and_only_the_memory_says_what_is_remembered() {
    demand_nothing(sources().iter().flat_map(forged_receipts));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    demand_nothing(sources().iter().flat_map(untidiness));
}

#[test]
fn no_function_is_long() {
    demand_nothing(sources().iter().flat_map(long_functions));
}

#[test]
fn files_of_a_module_form_no_circles() {
    demand_nothing(circles(&sources()).into_iter());
}

#[test]
fn comments_are_tidy_and_sentences_say_who() {
    demand_nothing(untidy().into_iter());
}

#[test]
#[rustfmt::skip]
fn forbidden_imports_are_found_however_they_are_spelled() {
    for (case, path, text, found) in [
        ("a plain path", "server/issue.rs", "use crate::store::Store;", 1),
        ("in a group", "server/issue.rs", "use crate::{identity::Identity, store::{self, Store}};", 1),
        ("over lines", "server.rs", "use crate::{\n    policy::{Ask, Context},\n    store::Store,\n};", 1),
        ("inside a function", "policy/grant.rs", "fn f() { let x = crate::ca::Ca::new(); }", 1),
        ("through super", "policy.rs", "use super::store;", 1),
        ("through two supers", "policy/grant.rs", "use super::super::{ledger, identity};", 1),
        ("more than the one submodule", "client/login.rs", "use crate::identity::{proof, Issuers};", 1),
        ("a whole module for one submodule", "client/login.rs", "use crate::identity;", 1),
        ("configuration from below", "ca/key.rs", "use crate::config::Config;", 1),
        ("a module without a rule", "novelty.rs", "", 1),
        ("what is allowed", "store/writer.rs", "use crate::{ca::Draft, ledger, policy};", 0),
        ("the one submodule", "client/login.rs", "use crate::identity::proof::commitment;", 0),
        ("its own module", "policy/grant.rs", "use crate::policy::Ask; use super::template;", 0),
        ("macros and items of the root", "policy.rs", "use crate::Nothing;", 0),
        ("a comment", "policy.rs", "// use crate::store::Store;\n/* crate::ca */", 0),
        ("a string", "policy.rs", r#"const A: &str = "crate::store::Store \" crate::ca";"#, 0),
        ("tests", "policy.rs", "#[cfg(test)]\nmod tests {\n use crate::store::Store;\n}", 0),
        ("wiring", "cli/serve.rs", "use crate::{daemon, store, client};", 0),
    ] {
        let complaints = forbidden_imports(&Source::new(path, text));
        assert_eq!(!complaints.is_empty(), found == 1, "{case}: {complaints:?}");
    }
}

#[test]
#[rustfmt::skip]
fn impurity_is_found_in_pure_files_only() {
    for (case, path, text, found) in [
        ("the clock", "policy/explain.rs", "let now = OffsetDateTime::now_utc();", 1),
        ("randomness", "ca/draft.rs", "OsRng.fill_bytes(&mut nonce);", 1),
        ("a file", "ledger/verify.rs", "std::fs::read(path)", 1),
        ("a request", "identity/claims.rs", "reqwest::get(url)", 1),
        ("waiting", "policy.rs", "async fn decide() {}", 1),
        ("the edge", "server/issue.rs", "let now = OffsetDateTime::now_utc();", 0),
        ("an address", "policy.rs", "use std::net::IpAddr;", 0),
        ("a word in a sentence", "policy.rs", "//! Never reads SystemTime.", 0),
        ("a variable named like a crate", "policy.rs", "let operand::X = brand::Y;", 0),
    ] {
        let complaints = impurities(&Source::new(path, text));
        assert_eq!(complaints.len(), found, "{case}: {complaints:?}");
    }
}

#[test]
fn a_forged_receipt_is_found() {
    let forged = "let receipt = Receipt::committed(7, hash);";
    for (path, found) in [
        ("operations/issue.rs", 1),
        ("ca.rs", 1),
        ("store/writer.rs", 0),
    ] {
        let complaints = forged_receipts(&Source::new(path, forged));
        assert_eq!(complaints.len(), found, "{path}: {complaints:?}");
    }
    let renamed = "use crate::ledger::Receipt as Proof; let it = Proof::committed(7, hash);";
    assert_eq!(forged_receipts(&Source::new("ca.rs", renamed)).len(), 1);
    let forged = "let remembered = Remembered::written(head);";
    for (path, found) in [("signer/serve.rs", 1), ("signer/memory.rs", 0)] {
        let complaints = forged_receipts(&Source::new(path, forged));
        assert_eq!(complaints.len(), found, "{path}: {complaints:?}");
    }
}

#[test]
fn untidiness_is_found() {
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(LONGEST));
    let tested = format!(
        "//! Tests.\n#[cfg(test)]\nmod tests {{\n{}}}",
        "fn f() {}\n".repeat(LONGEST)
    );
    for (case, text, found) in [
        ("no purpose", "use std::fmt;", 1),
        ("too long", long.as_str(), 1),
        ("long tests", tested.as_str(), 0),
        ("in order", "//! Adds.\nfn add() {}", 0),
    ] {
        let complaints = untidiness(&Source::new("policy.rs", text));
        assert_eq!(complaints.len(), found, "{case}: {complaints:?}");
    }
}

#[test]
fn a_long_function_is_found() {
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    let method = |lines: usize| {
        let body = "        g();\n".repeat(lines - 2);
        format!("impl A {{\n    pub(crate) async fn f(\n        a: A) {{\n{body}    }}\n}}\n")
    };
    let short = function(LONGEST_FUNCTION);
    for (case, text, found) in [
        ("as long as may be", short.clone(), 0),
        ("two of them", short.repeat(2), 0),
        ("one line more", function(LONGEST_FUNCTION + 1), 1),
        ("a method", method(LONGEST_FUNCTION), 1),
        ("the second", short + &function(LONGEST_FUNCTION + 1), 1),
        ("no body", "trait A {\n    fn f();\n}\n".repeat(LONGEST), 0),
        (
            "a test",
            format!("#[cfg(test)]\nmod tests {{\n{}}}", function(99)),
            0,
        ),
    ] {
        let complaints = long_functions(&Source::new("policy.rs", &text));
        assert_eq!(complaints.len(), found, "{case}: {complaints:?}");
    }
}

fn forbidden_imports(source: &Source) -> Vec<String> {
    let home = source.modules()[0];
    if WIRING.contains(&home) {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == home) else {
        return vec![format!(
            "{}: tests/architecture has no rule for `{home}`",
            source.path
        )];
    };
    let permitted = |import: &str| {
        let below = |rule: &&str| *rule == import || import.starts_with(&format!("{rule}::"));
        import.split("::").next() == Some(GROUND) || allowed.iter().any(below)
    };
    imports(source)
        .into_iter()
        .filter(|import| import.split("::").next() != Some(home))
        .filter(|import| is_ours(import) && !permitted(import))
        .map(|import| format!("{}: `{home}` must not import `{import}`", source.path))
        .collect()
}

/// Whether a path from the root starts with one of our modules.
fn is_ours(import: &str) -> bool {
    let first = import.split("::").next().unwrap_or_default();
    WIRING.contains(&first) || MAY_IMPORT.iter().any(|(module, _)| *module == first)
}

fn impurities(source: &Source) -> Vec<String> {
    let listed =
        |rule: &&str| source.path == *rule || rule.ends_with('/') && source.path.starts_with(rule);
    if !PURE.iter().copied().any(|rule| listed(&rule)) {
        return Vec::new();
    }
    IMPURE
        .iter()
        .filter_map(|(what, pattern)| {
            let hit = Regex::new(pattern).unwrap().find(&source.code)?;
            Some(format!(
                "{}: a pure file knows {what}: `{}`",
                source.path,
                hit.as_str()
            ))
        })
        .collect()
}

/// Proofs that something is on disk: how each is made, where alone, and when.
const PROOFS: &[(&str, &str, &str)] = &[
    (
        r"::\s*committed\s*\(",
        "store/writer.rs",
        "a Receipt, after COMMIT",
    ),
    (
        r"::\s*written\s*\(",
        "signer/memory.rs",
        "a Remembered, after fsync",
    ),
];

fn forged_receipts(source: &Source) -> Vec<String> {
    let proofs = PROOFS.iter().filter(|(call, maker, _)| {
        source.path != *maker && Regex::new(call).unwrap().is_match(&source.code)
    });
    proofs
        .map(|(_, maker, what)| format!("{}: only {maker} makes {what}", source.path))
        .collect()
}

fn untidiness(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    if !source.text.starts_with("//!") {
        complaints.push(format!(
            "{}: the first line must say what the file is for",
            source.path
        ));
    }
    let lines = above_tests(&source.text).lines().count();
    if lines > LONGEST {
        complaints.push(format!(
            "{}: {lines} lines are a design question",
            source.path
        ));
    }
    complaints
}

/// The functions above the tests that are longer than [`LONGEST_FUNCTION`]. Relies on rustfmt: the
/// closing brace stands below the first character of the signature, alone on its line.
fn long_functions(source: &Source) -> Vec<String> {
    let start =
        Regex::new(r#"^( *)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern "C" )*fn (\w+)"#)
            .unwrap();
    let lines: Vec<&str> = above_tests(&source.text).lines().collect();
    let mut complaints = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(function) = start.captures(line) else {
            continue;
        };
        let closing = format!("{}}}", &function[1]);
        let is_end = |line: &&&str| {
            **line == closing
                || line.ends_with(';') && line.find(|c| c != ' ') == Some(function[1].len())
        };
        let length = match line.ends_with('}') || line.ends_with(';') {
            true => 1,
            false => 1 + lines[at..].iter().take_while(|line| !is_end(line)).count(),
        };
        if length > LONGEST_FUNCTION {
            complaints.push(format!(
                "{}:{}: `{}` has {length} lines",
                source.path,
                at + 1,
                &function[2]
            ));
        }
    }
    complaints
}

fn demand_nothing(complaints: impl Iterator<Item = String>) {
    let complaints: Vec<String> = complaints.collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
