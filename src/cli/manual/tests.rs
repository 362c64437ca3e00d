//! The manual against the program: its examples load, and its lists are those of the code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

use regex::Regex;

use super::{markup::Block, *};
use crate::{
    config::{Config, Example, Surroundings},
    policy::Policy,
};

/// The code blocks of a language, each with its topic.
fn examples(language: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for topic in TOPICS {
        let source = topic.markup();
        for block in topic.page(&source).unwrap().blocks {
            match block {
                Block::Code {
                    language: it,
                    lines,
                } if it == language => {
                    found.push((topic.name, lines.join("\n") + "\n"));
                }
                Block::Code { .. }
                | Block::Heading(_)
                | Block::Paragraph(_)
                | Block::Item { .. } => {}
            }
        }
    }
    found
}

/// The first code span of each entry below a heading.
fn keys(topic: &str, heading: &str) -> BTreeSet<String> {
    let source = find(topic).unwrap().markup();
    let (_, section) = source
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("{topic} has no section {heading:?}"));
    let section = section.split("\n## ").next().unwrap();
    let entries = section.lines().filter(|line| line.starts_with("- `"));
    let mut keys = BTreeSet::new();
    for line in entries {
        let (names, _) = line.split_once(": ").or(line.split_once(':')).unwrap();
        keys.extend(names.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    keys
}

#[test]
fn every_page_is_read_and_fits_a_terminal() {
    for topic in TOPICS {
        assert!(topic.source.is_ascii(), "{}", topic.name);
        let title = format!("# {}: {}\n", topic.name, topic.about());
        assert!(topic.source.starts_with(&title), "{title:?}");
        assert!(topic.text().unwrap().contains("\n\n"));
    }
}

#[test]
fn the_manuals_policies_load_and_keep_their_own_tests() {
    let policies = examples("toml policy");
    assert!(policies.len() >= 3);
    for (topic, text) in policies {
        let policy = Policy::parse(&text, topic).unwrap_or_else(|error| panic!("{error}\n{text}"));
        #[allow(clippy::disallowed_methods, reason = "the tests of a policy run now")]
        let outcomes = policy.run_tests(time::OffsetDateTime::now_utc());
        assert!(outcomes.iter().all(|it| it.passed), "{topic}: {outcomes:?}");
    }
}

/// The server's configuration as `daypass init` writes it, without what is not read here.
pub(super) fn example() -> String {
    let example = Example {
        name: "daypass.example.com".to_owned(),
        listen: "127.0.0.1:7443".parse().unwrap(),
        issuer: "https://id.example.com".to_owned(),
        client_id: "daypass".to_owned(),
        certificate: "tls.pem".to_owned(),
        key: "tls.key".to_owned(),
        store: None,
        passphrase_file: None,
        state: None,
        web: false,
        host_ca_key: None,
        signer: None,
    };
    example.server()
}

pub(super) fn private_file(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_manuals_sections_of_the_configuration_load() {
    let folder = tempfile::tempdir().unwrap();
    private_file(folder.path(), "chat.url", "https://chat.example.com/hook\n");
    private_file(folder.path(), "google_secret", "GOCSPX-example\n");
    let secret = format!("whsec_{}\n", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    private_file(folder.path(), "pager.secret", &secret);
    let around = Surroundings {
        folder: folder.path().to_owned(),
        ..Surroundings::default()
    };
    let sections = examples("toml config");
    assert!(sections.len() >= 3);
    for (topic, text) in sections {
        Config::parse(&format!("{}\n{text}", example()), topic, &around)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

/// The keys that serde names when it meets an unknown one.
fn expected(error: &str) -> BTreeSet<String> {
    let (_, names) = error
        .split_once("expected ")
        .unwrap_or_else(|| panic!("no unknown key was refused: {error}"));
    let name = Regex::new("`([^`]+)`").unwrap();
    name.captures_iter(names)
        .map(|it| it[1].to_owned())
        .collect()
}

const PROBE: &str = "unknown-key = 1";

#[test]
fn the_policy_reference_has_every_key_that_is_read_and_no_other() {
    for (section, before) in [
        ("Top level", ""),
        ("[limits]", "[limits]\n"),
        ("[audit]", "[audit]\n"),
        ("[admin]", "[admin]\n"),
        ("[[role]]", "[[role]]\n"),
        ("params.NAME", "[[role]]\n[role.params.x]\n"),
        ("hours", "[[role]]\n[role.hours]\n"),
        ("require", "[[role]]\n[role.require]\n"),
        ("approval", "[[role]]\n[role.approval]\n"),
        ("emergency", "[[role]]\n[role.emergency]\n"),
        ("[[emergency_identity]]", "[[emergency_identity]]\n"),
        ("[[bastion]]", "[[bastion]]\n"),
        ("[[test]]", "[[test]]\n"),
        ("as", "[[test]]\n[test.as]\n"),
        ("ask", "[[test]]\n[test.ask]\n"),
    ] {
        let Err(error) = Policy::parse(&format!("{before}{PROBE}\n"), "policy.toml") else {
            panic!("{section} takes unknown keys");
        };
        assert_eq!(
            keys("policy", section),
            expected(&error.to_string()),
            "{section}"
        );
    }
    let Err(error) = Policy::parse(PROBE, "policy.toml") else {
        panic!("unknown sections are taken");
    };
    let source = find("policy").unwrap().markup();
    for section in expected(&error.to_string()) {
        let has = |heading: String| source.contains(&format!("\n## {heading}\n"));
        assert!(
            has(format!("[{section}]")) || has(format!("[[{section}]]")),
            "{section}"
        );
    }
}

#[test]
fn the_configuration_reference_has_every_key_that_is_read_and_no_other() {
    let around = Surroundings::default();
    for (section, before) in [
        ("Top level", ""),
        ("[tls]", "[tls]\n"),
        ("[ca]", "[ca]\n"),
        ("[[ca.key]]", "[[ca.key]]\n"),
        ("[ledger]", "[ledger]\n"),
        ("[store]", "[store]\n"),
        ("[[issuer]]", "[[issuer]]\n"),
        ("[limits]", "[limits]\n"),
        ("A rate", "[limits.requests_per_address]\n"),
        ("[[webhook]]", "[[webhook]]\n"),
        ("[metrics]", "[metrics]\n"),
        ("[log]", "[log]\n"),
    ] {
        let text = format!("{before}{PROBE}\n");
        let error = Config::parse(&text, "daypass.toml", &around).unwrap_err();
        assert_eq!(
            keys("configuration", section),
            expected(&error.to_string()),
            "{section}"
        );
    }
}

/// What a key's entry says between these words, if it says that.
fn said<'a>(key: &Key, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = key.about.split_once(before)?;
    Some(rest.split(after).next().unwrap_or(rest).trim())
}

/// The error of `daypass.toml` with this line in a section.
fn refusal(section: &str, line: &str) -> String {
    let text = format!("{}\n{section}\n{line}\n", example());
    let refused = Config::parse(&text, "daypass.toml", &Surroundings::default());
    refused.unwrap_err().to_string()
}

#[test]
fn the_reference_says_the_bounds_and_defaults_that_the_code_has() {
    let sections = config::reference();
    let limits = sections.iter().find(|it| it.heading == "[limits]").unwrap();
    let base = Config::parse(&example(), "daypass.toml", &Surroundings::default()).unwrap();
    let pattern = Regex::new(r"(?:write|from) ([0-9]+s?) to ([0-9]+s?)").unwrap();
    for key in limits.keys {
        if key.kind == "table" {
            continue;
        }
        let default = said(key, "Default: ", ". ").unwrap();
        let default = default.trim_end_matches('.').trim_matches('`');
        let text = format!("{}\n[limits]\n{} = {default}\n", example(), key.name);
        let set = Config::parse(&text, "daypass.toml", &Surroundings::default());
        let set = set.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            format!("{:?}", set.limits),
            format!("{:?}", base.limits),
            "{}",
            key.name
        );

        let nothing = if key.kind == "text" { "\"0s\"" } else { "0" };
        let error = refusal("[limits]", &format!("{} = {nothing}", key.name));
        let bounds = pattern
            .captures(&error)
            .unwrap_or_else(|| panic!("{error}"));
        let exact = format!("{} to {}", &bounds[1], &bounds[2]);
        // A bound may be another key's value.
        let relative = format!("{} to `", &bounds[1]);
        let has = |bounds: &str| key.about.contains(bounds);
        assert!(has(&exact) || has(&relative), "{}: {exact}", key.name);
    }
    let error = refusal(
        "[limits]",
        "requests_per_address = { per_second = 0, burst = 1 }",
    );
    assert!(error.ends_with("write 1 to 1000000"), "{error}");
}

#[test]
fn a_key_is_said_to_be_required_if_the_file_does_not_load_without_it() {
    let required: Vec<String> = config::reference()
        .iter()
        .filter(|section| section.heading == "[[issuer]]")
        .flat_map(|section| section.keys)
        .filter(|key| key.is_required)
        .map(|key| key.name.to_owned())
        .collect();
    assert_eq!(
        required,
        ["name", "url", "client_id", "algorithms", "binding"]
    );
    for key in required {
        let text = example();
        let line = Regex::new(&format!("(?m)^{key} +=")).unwrap();
        let (before, issuer) = text.split_once("[[issuer]]").unwrap();
        let without = format!("{before}[[issuer]]{}", line.replace(issuer, "# $0"));
        let error = Config::parse(&without, "daypass.toml", &Surroundings::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("missing field `{key}`")),
            "{error}"
        );
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

#[test]
fn every_variable_of_ours_is_in_the_manual() {
    /// Of the tests alone.
    const OF_TESTS: [&str; 2] = ["DAYPASS_WRITE_GOLDEN", "DAYPASS_DELIBERATE_BUG"];
    let name = Regex::new(r"\bDAYPASS_[A-Z][A-Z_]*\b").unwrap();
    let sources = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let used: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| name.find_iter(source))
        .map(|found| found.as_str())
        .filter(|name| !OF_TESTS.contains(name))
        .collect();
    let topic = find("files").unwrap().source;
    let told: BTreeSet<&str> = name.find_iter(topic).map(|found| found.as_str()).collect();
    assert_eq!(told, used);
}

#[test]
fn the_exit_codes_are_those_of_the_code() {
    let codes = [
        Code::Failure,
        Code::Usage,
        Code::Denied,
        Code::SignIn,
        Code::Pending,
        Code::Unreachable,
        Code::Contradiction,
        Code::HungUp,
        Code::Interrupted,
        Code::Terminated,
    ];
    // A new one does not compile until it is above.
    for code in codes {
        match code {
            Code::Failure
            | Code::Usage
            | Code::Denied
            | Code::SignIn
            | Code::Pending
            | Code::Unreachable
            | Code::Contradiction
            | Code::HungUp
            | Code::Interrupted
            | Code::Terminated => {}
        }
    }
    let mut expected: BTreeSet<String> = codes.iter().map(|it| (*it as u8).to_string()).collect();
    expected.insert("0".to_owned());
    let source = find("exit-codes").unwrap().source;
    let told = source.lines().filter_map(|line| line.strip_prefix("- `"));
    let told: BTreeSet<_> = told
        .map(|it| it.split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn the_example_of_a_delivery_is_the_golden_one() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/webhooks/requested.json");
    let mut golden: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    // The golden reason is a hostile one, which a manual does not show.
    golden["data"]["reason"] = "INC-7".into();
    let (_, shown) = examples("json requested").pop().unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
        golden
    );
}

#[test]
fn each_command_that_the_manual_names_exists() {
    use clap::CommandFactory;
    let named = Regex::new(r"`(daypass [a-z][^`]*)`").unwrap();
    let mut root = crate::cli::Cli::command();
    root.build();
    for topic in TOPICS {
        let source = topic.markup().replace('\n', " ");
        for found in named.captures_iter(&source) {
            let mut words = found[1].split_whitespace().skip(1);
            let mut command = &root;
            while command.has_subcommands() {
                let Some(word) = words.next().filter(|it| !it.starts_with(['-', '['])) else {
                    break;
                };
                command = command
                    .find_subcommand(word)
                    .unwrap_or_else(|| panic!("{}: {}", topic.name, &found[1]));
            }
            for option in words.filter_map(|word| word.strip_prefix("--")) {
                let has = command
                    .get_arguments()
                    .any(|it| it.get_long() == Some(option));
                assert!(has, "{}: {} has no --{option}", topic.name, &found[1]);
            }
            if command.get_name() == "help"
                && let Some(name) = found[1].split_whitespace().nth(2)
            {
                let known = find(name).is_some() || root.find_subcommand(name).is_some();
                assert!(known || name == "TOPIC", "{}: {}", topic.name, &found[1]);
            }
        }
    }
}
