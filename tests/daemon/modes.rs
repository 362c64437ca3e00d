//! Files that another user could read or change: the daemon names the file and the `chmod` that
//! mends it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use crate::process::{Daemon, Home, daypass, succeed};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `serve --check` and `serve` say to a world in which one mode is wrong. After the `chmod`
/// that they name, `--check` has nothing to say.
fn expect_refused(home: &Home, path: &Path, wrong: u32, problem: &str, line: &str) {
    let before = mode(path);
    chmod(path, wrong);
    for check in [true, false] {
        let mut serve = home.serve();
        if check {
            serve.args(["--check", "--offline"]);
        }
        let said = said(&serve.output().unwrap());
        let (name, line) = (path.display(), format!("run `{line} {}`", path.display()));
        assert!(
            said.contains(problem) && said.contains(&line),
            "{name} {wrong:o}: {said}"
        );
    }
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{line} {}", path.display()))
        .status();
    assert!(status.unwrap().success());
    succeed(
        home.serve()
            .args(["--check", "--offline"])
            .output()
            .unwrap(),
    );
    chmod(path, before);
}

#[test]
fn a_secret_that_others_can_read_stops_the_start() {
    let home = Home::new();
    for name in ["ca_key", "ledger_key", "tls.key"] {
        for wrong in [0o644, 0o640, 0o604] {
            let problem = "others can read it";
            expect_refused(&home, &home.path(name), wrong, problem, "chmod 600");
        }
    }
}

#[test]
fn what_others_can_write_to_is_not_obeyed() {
    let home = Home::new();
    for name in ["daypass.toml", "policy.toml", "tls.pem"] {
        for wrong in [0o664, 0o646, 0o666] {
            let problem = "others can write to it";
            expect_refused(&home, &home.path(name), wrong, problem, "chmod go-w");
        }
    }
    let folder = home.config().parent().unwrap().to_owned();
    for wrong in [0o770, 0o777] {
        let problem = "others can write to the folder it lies in";
        expect_refused(&home, &folder, wrong, problem, "chmod go-w");
    }
}

#[test]
fn a_state_folder_that_others_can_write_to_is_refused() {
    let home = Home::new();
    home.start().stop();
    for wrong in [0o770, 0o777, 0o1777] {
        let problem = "others can write to it";
        expect_refused(&home, &home.path("state"), wrong, problem, "chmod go-w");
    }
}

#[test]
fn a_passphrase_that_others_can_read_opens_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let (passphrase, made) = (folder.path().join("passphrase"), folder.path().join("made"));
    fs::write(&passphrase, "correct horse\n").unwrap();
    let init = || {
        let mut init = daypass();
        init.arg("init").arg(&made).args(["--name", "localhost"]);
        init.arg("--passphrase-file").arg(&passphrase);
        init.output().unwrap()
    };
    let check = || {
        let mut check = daypass();
        check.args(["serve", "--check", "--offline", "--config"]);
        check.arg(made.join("daypass.toml")).output().unwrap()
    };
    let line = format!("run `chmod 600 {}`", passphrase.display());
    chmod(&passphrase, 0o644);
    assert!(said(&init()).contains(&line));
    assert!(!made.exists(), "nothing was made with a known passphrase");
    chmod(&passphrase, 0o600);
    succeed(init());
    succeed(check());
    chmod(&passphrase, 0o640);
    assert!(said(&check()).contains(&line));
}

#[test]
fn files_of_the_state_folder_are_their_owners_under_any_umask() {
    let home = Home::new();
    let mut serve = Command::new("sh");
    serve.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    serve.arg(env!("CARGO_BIN_EXE_daypass"));
    serve.arg("serve").arg("--config").arg(home.config());
    let state = home.path("state");
    let expect_private = |when: &str| {
        assert_eq!(mode(&state), 0o700, "{when}");
        let names: Vec<_> = fs::read_dir(&state)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(names.len() >= 3, "{when}: {names:?}");
        for path in &names {
            assert_eq!(mode(path), 0o600, "{when}: {}", path.display());
        }
        names
    };
    let daemon = Daemon::spawn(&mut serve);
    expect_private("while it runs");
    daemon.stop();
    // As an earlier version, or `cp` from a backup, leaves them.
    for path in expect_private("after it ran") {
        chmod(&path, 0o644);
    }
    let daemon = Daemon::spawn(&mut serve);
    expect_private("after others could read them");
    daemon.stop();
}

#[test]
fn a_reload_keeps_the_policy_when_others_can_write_to_the_new_one() {
    let home = Home::new();
    let daemon = home.start();
    home.edit("policy.toml", "[limits]", "# another\n[limits]");
    chmod(&home.path("policy.toml"), 0o664);
    daemon.signal("HUP");
    let refused = daemon.logged("reload failed");
    let text = refused.to_string();
    assert!(text.contains("chmod go-w"), "{text}");
    daemon.stop();
}
