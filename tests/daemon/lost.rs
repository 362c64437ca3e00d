//! A configuration without its ledger: a server that has never run, or one that lost it.

use std::{fs, process::Command};

use crate::process::{Daemon, Home, daypass, succeed};

/// What a start that is refused says.
fn refusal(command: &mut Command) -> String {
    let daemon = Daemon::launch(command).unwrap();
    let reason = daemon.logged("stopped")["reason"].to_string();
    assert_eq!(daemon.wait().code(), Some(1));
    reason
}

#[test]
fn a_server_that_init_made_starts_and_one_that_lost_its_ledger_does_not() {
    let home = Home::new();
    assert!(home.start().stop().success());
    let backup = home.path("backup");
    fs::rename(home.path("state"), &backup).unwrap();
    for (case, empty) in [("no folder", false), ("an empty folder", true)] {
        if empty {
            fs::create_dir(home.path("state")).unwrap();
        }
        let reason = refusal(&mut home.serve());
        for part in [
            "there is no ledger in",
            "put back the newest copy",
            "--new-ledger",
        ] {
            assert!(reason.contains(part), "{case}: {reason}");
        }
        assert_eq!(home.path("state").exists(), empty, "{case}");
    }
    fs::remove_dir(home.path("state")).unwrap();
    fs::rename(&backup, home.path("state")).unwrap();
    assert!(home.start().stop().success());
}

#[test]
fn a_new_ledger_is_begun_when_told_and_only_if_there_is_none() {
    let home = Home::new();
    let reason = refusal(home.serve().arg("--new-ledger"));
    assert!(reason.contains("start without --new-ledger"), "{reason}");
    fs::remove_dir_all(home.path("state")).unwrap();
    let daemon = Daemon::spawn(home.serve().arg("--new-ledger"));
    assert!(daemon.stop().success());
    assert!(home.start().stop().success());
}

/// As under systemd: the folder is made by another, and empty.
#[test]
fn the_state_folder_can_be_said_to_init() {
    let folder = tempfile::tempdir().unwrap();
    let (made, state) = (folder.path().join("made"), folder.path().join("state"));
    fs::create_dir(&state).unwrap();
    let init = || {
        let mut init = daypass();
        init.arg("init").arg(&made);
        init.args(["--name", "localhost", "--listen", "127.0.0.1:0", "--state"]);
        init.arg(&state);
        init.output().unwrap()
    };
    succeed(init());
    let text = fs::read_to_string(made.join("daypass.toml")).unwrap();
    let text = text.replace("format = \"text\"", "format = \"json\"");
    fs::write(made.join("daypass.toml"), text).unwrap();
    let mut serve = daypass();
    serve
        .args(["serve", "--config"])
        .arg(made.join("daypass.toml"));
    // What the unit sets, and the configuration overrules.
    serve.env("STATE_DIRECTORY", folder.path().join("other"));
    assert!(Daemon::spawn(&mut serve).stop().success());
    assert!(state.join("ledger.db").exists());

    fs::rename(&made, folder.path().join("before")).unwrap();
    let refused = init();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("of another server"), "{said}");
    assert!(!made.exists());
}
