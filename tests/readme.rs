//! The README's server and host chapters, run as they stand on a machine of their own, and then a user who logs in.
//!
//! The machine is a set of namespaces (mounts, network, processes) with its own `/etc`, `/home`, `/run` and `/var`. What is
//! replaced is said in [`SUBSTITUTES`]; `systemctl` is a script that starts each unit's ExecStart as the unit's user.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// In the chapters' lines: what cannot be done as it stands, and what is done instead. Variables are set by `walk.sh`.
const SUBSTITUTES: [(&str, &str); 3] = [
    (
        "cargo build --release && install -m 755 target/release/daypass /usr/local/bin/",
        "ln -s /mnt/daypass /usr/local/bin/daypass",
    ),
    ("https://id.example.com", "\"$ISSUER\""),
    ("SHA256:...", "\"$FINGERPRINT\""),
];

/// The first shell block of a chapter.
fn block(readme: &str, chapter: &str) -> String {
    let (_, text) = readme
        .split_once(&format!("\n## {chapter}\n"))
        .unwrap_or_else(|| panic!("the README has no chapter {chapter:?}"));
    let (_, text) = text.split_once("\n```sh\n").unwrap();
    let (block, _) = text.split_once("\n```\n").unwrap();
    format!("{block}\n")
}

fn expect_root() {
    let id = Command::new("id").arg("-u").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&id.stdout).trim(),
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
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let (server, host) = (
        block(&readme, "Set up a server"),
        block(&readme, "Set up a host"),
    );
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
