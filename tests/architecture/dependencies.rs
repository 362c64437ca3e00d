//! Holds the dependencies to `deny.toml`: licences, banned crates and sources. `cargo deny check`
//! does it too, and knows advisories; this check needs no other program and no network.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The rules of `deny.toml`.
struct Rules {
    licences: Vec<String>,
    banned: Vec<String>,
    registries: Vec<String>,
}

#[test]
fn dependencies_have_allowed_licences_and_sources_and_none_is_banned() {
    let rules = Rules::load();
    let packages = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    let complaints: Vec<_> = packages.iter().filter_map(|it| rules.fault(it)).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_exception_of_an_advisory_has_its_reason() {
    let file = deny_toml();
    for exception in file["advisories"]["ignore"].as_array().unwrap() {
        let reason = exception.get("reason").and_then(toml::Value::as_str);
        assert!(
            reason.is_some_and(|reason| reason.len() > 10),
            "{exception}"
        );
    }
}

#[test]
fn the_licence_files_are_those_that_the_manifest_names() {
    let text = std::fs::read_to_string(format!("{ROOT}/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    let licence = manifest["package"]["license"].as_str().unwrap();
    assert_eq!(licence, "MIT OR Apache-2.0");
    for (file, title) in [
        ("LICENSE-MIT", "MIT License"),
        ("LICENSE-APACHE", "Apache License"),
    ] {
        let text = std::fs::read_to_string(format!("{ROOT}/{file}")).unwrap();
        assert_eq!(text.trim_start().lines().next().unwrap().trim(), title);
    }
}

#[test]
#[rustfmt::skip]
fn licences_are_judged_as_spdx_has_them() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("(ISC AND GPL-3.0) OR GPL-2.0", false),
        ("GPL-2.0 OR ISC AND MIT", true),
        ("MIT WITH some-exception", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn a_banned_crate_and_a_foreign_source_are_found() {
    let rules = Rules::load();
    let package = |name: &str, licence: &str, source: &str| -> Value {
        serde_json::json!({ "name": name, "version": "1.0.0", "license": licence, "source": source })
    };
    let registry = format!("registry+{}", rules.registries[0]);
    assert_eq!(rules.fault(&package("url", "MIT", &registry)), None);
    for (case, found) in [
        ("banned", package("ring", "ISC", &registry)),
        ("licence", package("url", "GPL-3.0-only", &registry)),
        (
            "from",
            package("url", "MIT", "git+https://git.example.com/url"),
        ),
    ] {
        let fault = rules.fault(&found).unwrap();
        assert!(fault.contains(case), "{fault}");
    }
}

impl Rules {
    fn load() -> Self {
        let file = deny_toml();
        let words = |value: &toml::Value| -> Vec<String> {
            let words = value.as_array().unwrap().iter();
            words.map(|it| it.as_str().unwrap().to_owned()).collect()
        };
        let banned = file["bans"]["deny"].as_array().unwrap().iter();
        Self {
            licences: words(&file["licenses"]["allow"]),
            banned: banned
                .map(|it| it["crate"].as_str().unwrap().to_owned())
                .collect(),
            registries: words(&file["sources"]["allow-registry"]),
        }
    }

    fn fault(&self, package: &Value) -> Option<String> {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap());
        let licence = package["license"].as_str().unwrap_or_default();
        let source = package["source"].as_str();
        let is_known = |source: &str| {
            let registry = source.strip_prefix("registry+");
            registry.is_some_and(|it| self.registries.iter().any(|known| known == it))
        };
        if self.banned.iter().any(|banned| banned == name) {
            return Some(format!("{name} {version} is banned: see deny.toml"));
        }
        if !is_allowed(licence, &self.licences) {
            return Some(format!("{name} {version} has the licence {licence:?}"));
        }
        match source {
            // The package of this folder.
            None => None,
            Some(source) if is_known(source) => None,
            Some(source) => Some(format!("{name} {version} comes from {source}")),
        }
    }
}

/// Whether an SPDX expression can be satisfied by these licences. Old crates write `/` for `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let text = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut rest = words.as_slice();
    let answer = any(&mut rest, allowed);
    answer && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut answer = all(words, allowed);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        answer |= all(words, allowed);
    }
    answer
}

fn all(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut answer = one(words, allowed);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        answer &= one(words, allowed);
    }
    answer
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    if *first == "(" {
        let answer = any(words, allowed);
        let is_closed = words.first() == Some(&")");
        *words = words.get(1..).unwrap_or_default();
        return answer && is_closed;
    }
    let mut licence = (*first).to_owned();
    if words.len() >= 2 && words[0] == "WITH" {
        licence = format!("{licence} WITH {}", words[1]);
        *words = &words[2..];
    }
    allowed.contains(&licence)
}

/// The packages that this machine's build is made of, tests and build scripts included.
fn packages() -> Vec<Value> {
    let host = command("rustc", &["-vV"]);
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let said = command(
        env!("CARGO"),
        &[
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
            host.unwrap(),
        ],
    );
    let metadata: Value = serde_json::from_str(&said).unwrap();
    let used = used();
    let is_used = |package: &&Value| {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap());
        used.contains(&format!("{name} v{version}"))
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.filter(is_used).cloned().collect()
}

/// Name and version of each package of the build. `cargo metadata` also lists optional packages
/// that no feature asks for.
fn used() -> BTreeSet<String> {
    let tree = [
        "tree",
        "--locked",
        "--offline",
        "--edges=all",
        "--prefix=none",
    ];
    let said = command(env!("CARGO"), &tree);
    let words = said.lines().map(|line| line.split(' ').take(2));
    words
        .map(|words| words.collect::<Vec<_>>().join(" "))
        .collect()
}

fn command(program: &str, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .current_dir(ROOT)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

fn deny_toml() -> toml::Table {
    let text = std::fs::read_to_string(format!("{ROOT}/deny.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// `src/deliberate.rs` breaks the CA for `tests/chaos`. A release build with it does not compile
/// (`compile_error!` there); no script may ask for it.
#[test]
fn nothing_that_is_shipped_has_the_deliberate_bugs() {
    let read = |path: String| std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap();
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml".to_owned())).unwrap();
    let features = manifest["features"].as_table().unwrap();
    let names: Vec<_> = features.keys().map(String::as_str).collect();
    assert_eq!(names, ["deliberate-bugs"], "no feature may switch it on");
    let packaging = std::fs::read_dir(format!("{ROOT}/packaging")).unwrap();
    let files = packaging
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file());
    let mut files: Vec<_> = files
        .map(|entry| format!("packaging/{}", entry.file_name().display()))
        .collect();
    files.extend(["Containerfile", ".ci/run", "tests/run"].map(str::to_owned));
    for file in files {
        let text = read(file.clone());
        for word in ["deliberate", "--all-features", "-all-features"] {
            assert!(!text.contains(word), "{file} builds with {word}");
        }
    }
    assert!(
        read("src/deliberate.rs".to_owned())
            .contains("#[cfg(not(debug_assertions))]\ncompile_error!")
    );
}
