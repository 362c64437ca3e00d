//! `daypass policy check|test|explain` as a user runs it: offline, on files.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const POLICY: &str = r#"
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["alice"]

[[role]]
name = "logs"
allow = '"oncall" in claims.groups'
principals = ["alice"]
command = ["/bin/echo", "logs of", "{unit}"]
params.unit = { pattern = "[a-z]+" }
source = "caller"

[[test]]
as = { claims = { groups = ["oncall"] } }
ask = { role = "logs", params = { unit = "nginx; reboot" } }
expect = "denied: parameter"
"#;

/// What the ledger writes for a denied ask.
const EVENT: &str = r#"{"index":1,"at":"2026-11-22T12:00:00Z","type":"denied","who":{"issuer":"https://id.example.com","subject":"bob-1","label":"bob@example.com","claims":{"groups":["oncall"]}},"ask":{"role":"shell","caller":"192.0.2.7"},"key":null,"reason":"NOT_ALLOWED","detail":"d","policy":"p"}"#;

fn daypass(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daypass"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("DAYPASS_FORMAT")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An `[[emergency_identity]]` with this key, on the fifth line.
fn registered(key: &str) -> String {
    format!(
        "[[emergency_identity]]\nissuer = \"https://id.example.com\"\nsubject = \"bob\"\nlabel = \"bob\"\nkeys = [\"{key}\"]\n"
    )
}

/// An RSA public key with exponent 65537 and a modulus of `bits` ones.
fn rsa(bits: usize) -> String {
    let modulus = [vec![0], vec![0xff; bits / 8]].concat();
    let mut blob = Vec::new();
    for field in [b"ssh-rsa".as_slice(), &[1, 0, 1], &modulus] {
        blob.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        blob.extend(field);
    }
    format!("ssh-rsa {}", STANDARD.encode(blob))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("policy.toml", POLICY);
    write(
        "failing.toml",
        &POLICY.replace("denied: parameter", "granted"),
    );
    write("broken.toml", &POLICY.replace("allow", "alow"));
    write(
        "broken-key.toml",
        &format!("{POLICY}{}", registered(&rsa(9216))),
    );
    write(
        "claims.json",
        r#"{"iss":"https://id.example.com","sub":"bob-1","groups":["oncall"]}"#,
    );
    write(
        "export",
        &format!(
            "{{\"index\":0,\"at\":\"2026-11-22T12:00:00Z\",\"type\":\"policy_loaded\",\"policy\":\"p\"}}\n{EVENT}\n\nnote\n"
        ),
    );
    folder
}

#[test]
fn check_and_test_end_with_the_documented_codes() {
    let folder = folder();
    for (case, arguments, code, out, err) in [
        (
            "a policy that loads",
            vec!["policy", "check", "policy.toml"],
            0,
            "loads, with 2 roles",
            "",
        ),
        (
            "by option",
            vec!["policy", "check", "--policy", "policy.toml"],
            0,
            "loads, with 2 roles",
            "",
        ),
        (
            "a broken policy",
            vec!["policy", "check", "broken.toml"],
            1,
            "",
            "broken.toml:",
        ),
        (
            "an emergency key that the CA refuses",
            vec!["policy", "check", "broken-key.toml"],
            1,
            "",
            "broken-key.toml:23: invalid emergency key: an RSA key has 3072 to 8192 bits; write one line of a .pub file",
        ),
        (
            "no such file",
            vec!["policy", "check", "none.toml"],
            1,
            "",
            "failed to read none.toml",
        ),
        ("no file", vec!["policy", "check"], 2, "", "required"),
        (
            "tests that pass",
            vec!["policy", "test", "policy.toml"],
            0,
            "1 test passed, 0 failed",
            "",
        ),
        (
            "tests that fail",
            vec!["policy", "test", "failing.toml"],
            1,
            "got denied: parameter",
            "1 test failed",
        ),
    ] {
        let output = daypass(folder.path(), &arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{case}: {stdout}{stderr}");
        assert!(stdout.contains(out), "{case}: {stdout}");
        assert!(stderr.contains(err), "{case}: {stderr}");
    }
}

#[test]
fn explain_tells_the_same_of_claims_and_of_a_past_event() {
    let folder = folder();
    let explain = |arguments: &[&str]| -> Value {
        let mut all = vec![
            "policy",
            "explain",
            "--policy",
            "policy.toml",
            "--format",
            "json",
        ];
        all.extend(arguments);
        let output = daypass(folder.path(), &all);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let claims = explain(&["--claims", "claims.json", "--role", "shell"]);
    let event = explain(&["--event", "1", "--export", "export"]);
    assert_eq!(claims, event);
    assert_eq!(claims["subject"], "bob-1");
    assert_eq!(claims["roles"][0]["granted"], json!(false));
    assert_eq!(
        claims["roles"][0]["checks"][0]["detail"],
        r#"needs "sre" in claims.groups -- here claims.groups is ["oncall"]"#
    );

    let logs = [
        "--claims",
        "claims.json",
        "--param",
        "unit=nginx",
        "--source-address",
        "192.0.2.7",
    ];
    let all = explain(&logs);
    assert_eq!(all["roles"][1]["role"], "logs");
    assert_eq!(all["roles"][1]["granted"], json!(true));
}

#[test]
fn explain_refuses_what_is_no_ask() {
    let folder = folder();
    for (case, arguments, code) in [
        ("no identity", vec![], 2),
        ("an event without its export", vec!["--event", "1"], 2),
        (
            "claims and an event",
            vec![
                "--claims",
                "claims.json",
                "--event",
                "1",
                "--export",
                "export",
            ],
            2,
        ),
        (
            "an event that is no ask",
            vec!["--event", "0", "--export", "export"],
            2,
        ),
        (
            "an event beyond the export",
            vec!["--event", "2", "--export", "export"],
            2,
        ),
        (
            "claims that are no JSON",
            vec!["--claims", "policy.toml"],
            2,
        ),
        (
            "a parameter without a value",
            vec!["--claims", "claims.json", "--param", "unit"],
            2,
        ),
    ] {
        let mut all = vec!["policy", "explain", "--policy", "policy.toml"];
        all.extend(arguments);
        let output = daypass(folder.path(), &all);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{case}: {}",
            text(&output.stderr)
        );
    }
}

/// `policy check` beside or with a configuration refuses what the daemon would: an issuer with one
/// slash too many, and a page without a receiver.
#[test]
fn a_check_compares_the_policy_with_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_daypass"))
        .arg("init")
        .arg(folder.path())
        .args(["--name", "localhost", "--issuer", "https://id.example.com"])
        .args(["--client-id", "daypass"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let key = fs::read_to_string(folder.path().join("ca_key.pub")).unwrap();
    let registered = |issuer: &str| {
        format!(
            "{POLICY}\n[[emergency_identity]]\nissuer = \"{issuer}\"\nsubject = \"bob\"\n\
             label = \"bob@example.com\"\nkeys = [\"{}\"]\n",
            key.trim()
        )
    };
    let policy = folder.path().join("policy.toml");
    let elsewhere = tempfile::tempdir().unwrap();
    let alone = elsewhere.path().join("policy.toml");
    let config = folder.path().join("daypass.toml");
    let config = config.to_str().unwrap();
    let (policy_path, alone_path) = (policy.to_str().unwrap(), alone.to_str().unwrap());
    let serve = || {
        let serve = ["serve", "--check", "--offline", "--config", config];
        daypass(folder.path(), &serve)
    };
    for (issuer, is_known) in [
        ("https://id.example.com", true),
        ("https://id.example.com/", false),
        ("https://id.example.org", false),
    ] {
        for path in [&policy, &alone] {
            fs::write(path, registered(issuer)).unwrap();
        }
        let said = |output: Output| {
            assert_eq!(output.status.success(), is_known, "{issuer}: {output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        for output in [
            daypass(folder.path(), &["policy", "check", policy_path]),
            daypass(
                folder.path(),
                &["policy", "check", alone_path, "--config", config],
            ),
            serve(),
        ] {
            let said = said(output);
            let expected = format!("issuer {issuer:?} is not the url of an [[issuer]]");
            assert!(is_known || said.contains(&expected), "{said}");
        }
        let output = daypass(folder.path(), &["policy", "check", alone_path]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("were not compared"), "{text}");
    }
}

/// An ask that was refused because its token was bound to no key: the ledger says that it was, so
/// the same policy explains it, and a replay finds that nothing changes.
#[test]
fn a_past_ask_with_an_unbound_token_is_judged_as_one() {
    let folder = folder();
    let policy = POLICY.replacen(
        "principals = [\"alice\"]",
        "principals = [\"alice\"]\nrequire = { bound = true }",
        1,
    );
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("bound.toml", &policy);
    let event = EVENT
        .replace("NOT_ALLOWED", "STEP_UP_REQUIRED")
        .replace("oncall", "sre");
    let unbound = event.replace("\"policy\":\"p\"}", "\"policy\":\"p\",\"unbound\":true}");
    for (case, event, more, is_refused) in [
        ("unbound", &unbound, &[][..], true),
        ("bound", &event, &[], false),
        ("what if it were unbound", &event, &["--unbound"], true),
    ] {
        write(
            "export",
            &format!(
                "{{\"index\":0,\"at\":\"2026-11-22T12:00:00Z\",\"type\":\"policy_loaded\",\
                 \"policy\":\"p\"}}\n{event}\n\nnote\n"
            ),
        );
        let explain = [
            "policy",
            "explain",
            "--policy",
            "bound.toml",
            "--role",
            "shell",
        ];
        let explain = [&explain[..], &["--event", "1", "--export", "export"], more].concat();
        let output = daypass(folder.path(), &explain);
        let said = text(&output.stdout);
        assert_eq!(
            said.contains("bound to your key"),
            is_refused,
            "{case}: {said}"
        );
        let replay = ["policy", "replay", "bound.toml", "--export", "export"];
        let output = daypass(folder.path(), &replay);
        let changes = output.status.code() == Some(1);
        assert_eq!(changes, !event.contains("unbound"), "{case}: {output:?}");
    }
}
