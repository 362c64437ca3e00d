//! What every command shares: exit codes, help, JSON errors, pipes that close, and Ctrl-C.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

fn daypass(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
    command.args(arguments).env_remove("DAYPASS_FORMAT");
    command
}

fn run(arguments: &[&str]) -> Output {
    daypass(arguments).output().unwrap()
}

#[test]
fn wrong_usage_exits_2_and_prints_nothing_on_stdout() {
    let cases: [&[&str]; 5] = [
        &[],
        &["frobnicate"],
        &["--format", "xml", "roles"],
        &["serve", "--nonsense"],
        &["init"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_exit_0_on_stdout() {
    for arguments in [["help"], ["--help"], ["--version"]] {
        let output = run(&arguments);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{arguments:?}"
        );
        assert!(String::from_utf8(output.stdout).unwrap().contains("aypass"));
    }
    let help = String::from_utf8(run(&["help"]).stdout).unwrap();
    for line in ["1 failure, 2 wrong usage, 3 denied,", "130 interrupted"] {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn errors_are_json_on_stderr_where_json_was_asked_for() {
    let missing = ["serve", "--check", "--config", "/nonexistent/daypass.toml"];
    let by_flag = |arguments: &[&str]| daypass(arguments).args(["--format", "json"]).output();
    let by_variable =
        |arguments: &[&str]| daypass(arguments).env("DAYPASS_FORMAT", "json").output();
    let cases = [
        ("a failure, by flag", by_flag(&missing), 1),
        ("a failure, by variable", by_variable(&missing), 1),
        ("wrong usage, by flag", by_flag(&["serve", "--nonsense"]), 2),
        ("wrong usage, by variable", by_variable(&["frobnicate"]), 2),
    ];
    for (case, output, code) in cases {
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(code), "{case}");
        assert!(output.stdout.is_empty(), "{case}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], code, "{case}");
        assert!(error["error"]["message"].is_string(), "{case}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = daypass(&["man"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, "");
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, expected) in [
        ("bash", "complete -F _daypass daypass"),
        ("zsh", "compdef _daypass daypass"),
        ("fish", "complete --command daypass"),
        ("elvish", "ssh-config"),
        ("powershell", "ssh-config"),
    ] {
        let output = run(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        assert!(
            String::from_utf8(output.stdout).unwrap().contains(expected),
            "{shell}"
        );
    }
}

#[test]
fn man_writes_a_page_for_each_command() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("man1");
    assert!(
        run(&["man", "--out", out.to_str().unwrap()])
            .status
            .success()
    );
    for page in ["daypass.1", "daypass-ssh-config.1", "daypass-init.1"] {
        assert!(fs::metadata(out.join(page)).unwrap().len() > 100, "{page}");
    }
}

#[test]
fn ctrl_c_exits_130_in_silence() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", server.local_addr().unwrap());
    let state = TempDir::new().unwrap();
    let child = daypass(&["login", "--device", "--server", &url])
        .env("DAYPASS_STATE_DIR", state.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It waits for a server that never says a word.
    let (came, coming) = mpsc::channel();
    thread::spawn(move || came.send(server.accept()));
    let _connection = coming.recv_timeout(Duration::from_secs(60)).unwrap();
    let process = child.id().to_string();
    let kill = Command::new("kill").args(["-s", "INT", &process]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_eq!(said, "");
}
