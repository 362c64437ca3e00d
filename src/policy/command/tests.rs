//! Quoting against the real shell, and the rule about options.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::policy::{parameter::Rule, pattern::Pattern};
use proptest::prelude::*;
use serde_json::json;

/// A command of one program and `words`, with parameters `a` and `b` that accept any value.
fn command(words: &[&str]) -> Command {
    let words = ["/usr/bin/printf"].iter().chain(words);
    Command::of(words.map(|word| Template::parse(word).unwrap()).collect()).unwrap()
}

fn parameters(option: bool) -> BTreeMap<String, Parameter> {
    ["a", "b"]
        .into_iter()
        .map(|name| {
            let rule = Rule::Pattern(Pattern::compile("(?s).*").unwrap());
            (
                name.to_owned(),
                Parameter::new(name.to_owned(), rule, option),
            )
        })
        .collect()
}

fn line(words: &[&str], a: &str, b: &str, option: bool) -> Result<String, String> {
    let values = BTreeMap::from([
        ("a".to_owned(), a.to_owned()),
        ("b".to_owned(), b.to_owned()),
    ]);
    let claims = json!({ "team": "web", "flag": "-rf", "list": ["x"], "line": "a\nb" });
    command(words).line(&parameters(option), &values, claims.as_object().unwrap())
}

/// The words that a real shell makes of `line`, which must begin with `printf '%s\0'`.
fn words_of(line: &str) -> Vec<String> {
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", line])
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words: Vec<_> = text.split('\0').map(str::to_owned).collect();
    assert_eq!(words.pop().as_deref(), Some(""), "{line}");
    words
}

#[test]
fn plain_words_stand_bare_and_the_rest_is_quoted() {
    for (words, a, expected) in [
        (
            vec!["--unit", "{a}"],
            "nginx",
            "/usr/bin/printf --unit nginx",
        ),
        (
            vec!["logs of", "{a}"],
            "web@1.service",
            "/usr/bin/printf 'logs of' web@1.service",
        ),
        (vec!["{a}"], "x; reboot", "/usr/bin/printf 'x; reboot'"),
        (vec!["{a}"], "", "/usr/bin/printf ''"),
        (vec!["{a}"], "it's", r"/usr/bin/printf 'it'\''s'"),
        (vec!["{a}"], r"a\", r"/usr/bin/printf 'a'\\"),
        (vec!["--unit={a}"], "x", "/usr/bin/printf '--unit=x'"),
        (vec!["{a}"], "~root", "/usr/bin/printf '~root'"),
        (vec!["{a}"], "$(id)`id`", "/usr/bin/printf '$(id)`id`'"),
        (vec!["{claims.team}"], "", "/usr/bin/printf web"),
        (vec!["{{{a}}}"], "x", "/usr/bin/printf '{x}'"),
    ] {
        assert_eq!(line(&words, a, "", false).unwrap(), expected);
    }
}

#[test]
fn every_odd_value_is_one_word_for_the_real_shell() {
    for value in [
        "",
        " ",
        "a b",
        "'",
        "''",
        "\\",
        "\\'",
        "'\\''",
        "\"",
        "$HOME",
        "$(id)",
        "`id`",
        "; reboot",
        "&& id",
        "| id",
        "> /tmp/x",
        "a\nb",
        "\n",
        "\r\n",
        "\t",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "~",
        "~root",
        "!!",
        "#x",
        "\u{1b}[31m",
        "caf\u{e9}",
        "\u{2028}",
        "\u{a0}",
        "%s",
        "\\0",
        "=",
        "X=1",
        "$'\\n'",
        "-",
        "--",
    ] {
        let line = line(&["%s\\0", "x{a}", "{b}."], value, value, true).unwrap();
        assert_eq!(
            words_of(&line),
            [format!("x{value}"), format!("{value}.")],
            "{line}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_two_values_arrive_byte_exact(a in "[^\0]{0,40}", b in "(?s)[\\x01-\\x7f]{0,40}") {
        let line = line(&["%s\\0", "x{a}", "{b}", "{a}{b}", "end"], &a, &b, true).unwrap();
        let expected = [format!("x{a}"), b.clone(), format!("{a}{b}"), "end".into()];
        prop_assert_eq!(words_of(&line), expected);
    }
}

#[test]
fn a_value_never_becomes_an_option_unless_the_policy_says_so() {
    for (case, words, a, b, taken) in [
        ("it opens the word", vec!["{a}"], "-rf", "", false),
        ("a lone dash", vec!["{a}"], "-", "", false),
        ("behind an empty value", vec!["{b}{a}"], "-rf", "", false),
        ("behind text", vec!["--unit={a}"], "-rf", "", true),
        ("behind a value", vec!["{b}{a}"], "-rf", "x", true),
        ("a dash inside", vec!["{a}"], "a-b", "", true),
        ("a claim", vec!["{claims.flag}"], "", "", false),
        ("a claim behind text", vec!["x{claims.flag}"], "", "", true),
    ] {
        assert_eq!(line(&words, a, b, false).is_ok(), taken, "{case}");
    }
    assert!(line(&["{a}"], "-rf", "", true).is_ok(), "option = true");
}

#[test]
fn claims_that_are_no_word_are_refused() {
    for word in ["{claims.missing}", "{claims.list}", "{claims.line}"] {
        assert!(line(&[word], "", "", false).is_err(), "{word}");
    }
}

#[test]
fn a_program_is_a_literal_absolute_path() {
    for (words, loads) in [
        (vec!["/bin/true"], true),
        (vec!["internal-sftp", "-R"], true),
        (vec!["true"], false),
        (vec!["X=1", "/bin/true"], false),
        (vec!["{a}"], false),
        (vec!["/bin/{a}"], false),
        (vec![""], false),
        (vec![], false),
    ] {
        let templates = words
            .iter()
            .map(|word| Template::parse(word).unwrap())
            .collect();
        assert_eq!(Command::of(templates).is_ok(), loads, "{words:?}");
    }
}

fn internal_sftp(words: &[&str]) -> Result<Command, String> {
    let words = ["internal-sftp"].iter().chain(words);
    Command::of(words.map(|word| Template::parse(word).unwrap()).collect())
}

#[test]
fn literals_that_internal_sftp_would_split_do_not_load() {
    for (words, loads) in [
        (vec![], true),
        (vec!["-R"], true),
        (vec!["-d", "/srv/upload"], true),
        (vec!["-d", "/srv/{a}"], true),
        (vec!["-d", "{claims.dir}"], true),
        (
            vec!["-u", "027", "-l", "INFO", "-f", "AUTH", "-d", "/x"],
            true,
        ),
        (
            vec!["-u", "027", "-l", "INFO", "-f", "AUTH", "-d", "/x", "-R"],
            false,
        ),
        (vec!["-d", "/srv/my files"], false),
        (vec!["-d", "/srv/my files{a}"], false),
        (vec!["-d", "/srv/'x'"], false),
        (vec!["-d", "\"/srv\""], false),
        (vec!["-d", "/srv/a\\b"], false),
        (vec!["-d", "%h"], false),
        (vec!["-d", "~root"], false),
        (vec!["-d", "#x"], false),
        (vec!["-d", ""], false),
    ] {
        assert_eq!(internal_sftp(&words).is_ok(), loads, "{words:?}");
    }
}

#[test]
fn values_that_internal_sftp_would_split_are_refused_at_load_or_at_issue() {
    let command = internal_sftp(&["-d", "{a}"]).unwrap();
    let pattern = |source: &str| Rule::Pattern(Pattern::compile(source).unwrap());
    let one_of = |values: &[&str]| {
        let values = values.iter().map(|&value| value.to_owned());
        Rule::OneOf(values.collect())
    };
    for (case, rule, loads) in [
        ("a plain pattern", pattern("/srv/[a-z0-9_-]+"), true),
        ("plain values", one_of(&["/srv/a", "/srv/b"]), true),
        ("anything", pattern(".+"), false),
        ("blanks", pattern("[a-z ]+"), false),
        ("tabs", pattern("[a-z\t]+"), false),
        ("white space", pattern(r"[a-z]+(\s[a-z]+)?"), false),
        ("a quote", pattern("[a-z']+"), false),
        ("an expansion", pattern("/srv/%?u"), false),
        ("nothing", pattern("[a-z]*"), false),
        (
            "a value with a blank",
            one_of(&["/srv/a", "x -d /etc"]),
            false,
        ),
        ("an empty value", one_of(&["/srv/a", ""]), false),
    ] {
        let parameter = Parameter::new("a".to_owned(), rule, false);
        let parameters = BTreeMap::from([("a".to_owned(), parameter)]);
        let checked = command.check_parameters(&parameters);
        assert_eq!(checked.is_ok(), loads, "{case}");
    }
    for (command, loads) in [
        (internal_sftp(&["-d", "/srv/{a}"]).unwrap(), true),
        (internal_sftp(&["-d", "{a}{a}"]).unwrap(), false),
    ] {
        let parameter = Parameter::new("a".to_owned(), pattern("[a-z]*"), false);
        let parameters = BTreeMap::from([("a".to_owned(), parameter)]);
        let checked = command.check_parameters(&parameters);
        assert_eq!(
            checked.is_ok(),
            loads,
            "an empty value beside text, or alone"
        );
    }

    let command = internal_sftp(&["-d", "{claims.dir}"]).unwrap();
    for (dir, issued) in [
        ("/srv/web", true),
        ("x -d /etc -u 000 y", false),
        ("it's", false),
        ("%d", false),
        ("~root", false),
        ("a\\b", false),
        ("", false),
        ("-R", false),
    ] {
        let claims = json!({ "dir": dir });
        let line = command.line(
            &BTreeMap::new(),
            &BTreeMap::new(),
            claims.as_object().unwrap(),
        );
        assert_eq!(line.is_ok(), issued, "{dir}: {line:?}");
        if issued {
            assert_eq!(line.unwrap(), format!("internal-sftp -d {dir}"));
        }
    }
}

#[test]
fn a_line_has_its_bound() {
    let long = "x".repeat(MAX_VALUE);
    let words = vec!["{a}"; 9];
    let error = line(&words, &long, "", false).unwrap_err();
    assert!(error.contains("at most 8192"), "{error}");
}
