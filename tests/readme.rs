//! The README against the program: its transcript, its topics, its policy, and its chapters on
//! server and host. The chapters run as they stand on a machine of their own, where a user then
//! logs in.
//!
//! The machine is a set of namespaces (mounts, network, processes) with its own `/etc`, `/home`,
//! `/run` and `/var`. [`SUBSTITUTES`] has what is replaced. `systemctl` is a script that starts
//! each unit's ExecStart as the unit's user.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Lines of the chapters that cannot run as they stand, and what runs instead. `walk.sh` sets the
/// variables.
const SUBSTITUTES: [(&str, &str); 3] = [
    (
        "cargo build --release && install -m 755 target/release/daypass /usr/local/bin/",
        "ln -s /mnt/daypass /usr/local/bin/daypass",
    ),
    ("https://id.example.com", "\"$ISSUER\""),
    ("SHA256:...", "\"$FINGERPRINT\""),
];

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

fn daypass(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_daypass"))
        .args(words)
        .env("COLUMNS", "200")
        .output()
        .unwrap();
    let (said, complaints) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {complaints}");
    String::from_utf8(said).unwrap()
}

/// The first shell block of a chapter.
fn block(readme: &str, chapter: &str) -> String {
    let (_, text) = readme
        .split_once(&format!("\n## {chapter}\n"))
        .unwrap_or_else(|| panic!("the README has no chapter {chapter:?}"));
    let (_, text) = text.split_once("\n```sh\n").unwrap();
    let (block, _) = text.split_once("\n```\n").unwrap();
    format!("{block}\n")
}

fn id(option: &str) -> String {
    let id = Command::new("id").arg(option).output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

fn login() -> String {
    match &*id("-u") {
        "0" => "deploy".to_owned(),
        _ => id("-un"),
    }
}

fn expect_root() {
    assert_eq!(
        id("-u"),
        "0",
        "this test makes a machine of namespaces, which only root may: run it as root, as in `sudo tests/run --test readme`"
    );
}

/// Runs `walk.sh` in the machine, with the chapters beside it. All of it ends with the command.
fn walk(folder: &Path) -> Output {
    let scripts = Path::new(ROOT).join("tests/readme");
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "--pid"])
        .args(["--fork", "--kill-child", "--mount-proc"])
        .args(["timeout", "--signal=KILL", "300", "/bin/bash"])
        .arg(scripts.join("machine.sh"))
        .args([Path::new(ROOT), Path::new(env!("CARGO_BIN_EXE_daypass"))])
        .args([folder, &scripts])
        .stdin(Stdio::null())
        .output()
        .expect("unshare is missing: apt-get install util-linux")
}

#[test]
fn the_server_and_host_chapters_work_as_they_stand_and_a_user_with_another_name_logs_in() {
    expect_root();
    let readme = readme();
    let (server, host) = (
        block(&readme, "Set up a server"),
        block(&readme, "Set up a host"),
    );
    for (topic, chapter) in [("server", &server), ("host", &host)] {
        let page = Path::new(ROOT).join(format!("src/cli/manual/{topic}.md"));
        let page = fs::read_to_string(page).unwrap();
        assert_eq!(&block(&page, "Set up"), chapter, "the manual says the same");
    }
    let both = format!("{server}{host}");
    for (said, _) in SUBSTITUTES {
        assert_eq!(both.matches(said).count(), 1, "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, mut text) in [("server.sh", server), ("host.sh", host)] {
        for (said, instead) in SUBSTITUTES {
            text = text.replace(said, instead);
        }
        fs::write(folder.path().join(name), format!("set -ex\n{text}")).unwrap();
    }
    let output = walk(folder.path());
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{told}");
    assert!(said.ends_with("the walk is done\n"), "{said}\n{told}");
}

#[test]
fn the_readme_is_a_front_page() {
    assert!(readme().lines().count() <= 250);
}

#[test]
fn the_readme_names_the_topics_that_help_lists() {
    let (_, chapter) = readme().split_once("\n## The manual\n").map(owned).unwrap();
    let (chapter, _) = chapter.split_once("\n## ").map(owned).unwrap();
    let rows = chapter.lines().filter(|line| line.starts_with("| `"));
    let told: Vec<String> = rows.map(|row| row.replace(['|', '`'], " ")).collect();
    let help = daypass(&["help"]);
    let (_, topics) = help.split_once("Topics of the manual").unwrap();
    let (topics, _) = topics.split_once("\n\n").unwrap();
    let listed: Vec<&str> = topics.lines().skip(1).collect();
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(listed.len() > 10, "{topics}");
    assert_eq!(
        told.iter().map(|row| words(row)).collect::<Vec<_>>(),
        listed.iter().map(|line| words(line)).collect::<Vec<_>>()
    );
}

fn owned((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

#[test]
fn the_role_of_the_readme_loads() {
    let readme = readme();
    let (_, role) = readme.split_once("```toml\n").unwrap();
    let (role, _) = role.split_once("```\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let groups = "[limits]\nprincipals = [\"weblogs\"]\n[hosts]\nweb = [\"web-*\"]\n";
    fs::write(&policy, format!("{groups}{role}")).unwrap();
    daypass(&["policy", "check", policy.to_str().unwrap()]);
}

/// A command of a transcript, and what it printed.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    output: Vec<String>,
}

/// What differs from run to run: (pattern, placeholder). Each pattern is as narrow as what it
/// replaces.
const VARYING: [(&str, &str); 5] = [
    (r"/tmp/daypass-dev-\w{6}/", "/tmp/daypass-dev-XXXXXX/"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "TIME"),
    // A slow machine takes a second of the hour.
    (r"\b(59|60)m \(until TIME", "60m (until TIME"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:FINGERPRINT"),
    (r" port \d+ ssh2", " port PORT ssh2"),
];

fn steps(transcript: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in transcript.lines() {
        let line = VARYING
            .iter()
            .fold(line.to_owned(), |line, (pattern, word)| {
                let pattern = regex::Regex::new(pattern).unwrap();
                pattern.replace_all(&line, *word).into_owned()
            });
        if let Some(command) = line.strip_prefix("    $ ") {
            steps.push(Step {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if let Some(shown) = line
            .strip_prefix("    | ")
            .or(line.strip_prefix("    …").map(|_| LEFT_OUT))
        {
            steps.last_mut().unwrap().output.push(shown.to_owned());
        }
    }
    steps
}

/// In a transcript: lines, or a part of one, that are not shown.
const LEFT_OUT: &str = "…";

/// Whether `shown` is `line`, except for what [`LEFT_OUT`] stands for.
fn is_line(shown: &str, line: &str) -> bool {
    let parts: Vec<String> = shown.split(LEFT_OUT).map(regex::escape).collect();
    let pattern = format!("^{}$", parts.join(".+"));
    regex::Regex::new(&pattern).unwrap().is_match(line)
}

/// Whether `shown` is all of `output`, except for what [`LEFT_OUT`] stands for.
fn is_output(shown: &[String], output: &[String]) -> bool {
    match (shown, output) {
        ([], rest) => rest.is_empty(),
        ([gap, shown @ ..], rest) if gap == LEFT_OUT => {
            (0..=rest.len()).any(|skip| is_output(shown, &rest[skip..]))
        }
        ([first, shown @ ..], [line, rest @ ..]) => is_line(first, line) && is_output(shown, rest),
        ([_, ..], []) => false,
    }
}

#[test]
fn the_demo_does_what_it_says_and_prints_what_the_readme_shows() {
    let said = daypass(&["demo"]);
    assert!(!said.contains('\u{1b}'), "no terminal, no escapes");
    assert!(said.contains("steps did what they said"), "{said}");
    let readme = readme();
    let (_, transcript) = readme.split_once("```text\n").unwrap();
    let (transcript, _) = transcript.split_once("\n```\n").unwrap();
    // The login of the demo's host is `deploy` for root, and else the user's own.
    let transcript = &transcript.replace("deploy", &login());
    let printed = steps(&said);
    let shown = steps(transcript);
    assert!(shown.len() >= 7, "{shown:?}");
    let mut later = printed.iter();
    for step in shown {
        let Some(real) = later.find(|it| it.command == step.command) else {
            panic!(
                "the demo does not run {:?} (any more)\n{said}",
                step.command
            );
        };
        assert!(
            is_output(&step.output, &real.output),
            "{step:#?}\n{real:#?}"
        );
    }
    for title in transcript
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
    {
        assert!(said.lines().any(|line| line == title), "{title}");
    }
}

#[test]
fn a_transcript_that_differs_is_noticed() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (shown, printed, same) in [
        ("a\nb", "a\nb", true),
        ("a", "a\nb", false),
        ("a\n…", "a\nb\nc", true),
        ("…\nc", "a\nb\nc", true),
        ("…\nd", "a\nb\nc", false),
        ("a … d", "a b c d", true),
        ("a … d", "a b c", false),
        ("a\nb", "a", false),
    ] {
        assert_eq!(is_output(&lines(shown), &lines(printed)), same, "{shown:?}");
    }
}
