//! `daypass backup` and `daypass restore` when something goes wrong: a full disk, a kill, a second
//! run at the same time, the wrong user, a medium that cannot be written. What is left is a whole
//! copy or none, and the same command works once the cause is gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "backup/altered.rs"]
mod altered;
#[path = "backup/by_hand.rs"]
mod by_hand;
mod support;

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
};

use support::{
    accounts,
    api::{Caller, ask},
    command::DAYPASS,
    env::TestEnv,
    ledger::assert_verifies,
    policy, root,
    server::ServerFiles,
};

/// strace ends as the program under it did.
const SIGKILL: i32 = 9;

/// A server with some events, stopped.
struct Site(ServerFiles);

impl Site {
    async fn new() -> Self {
        let files = TestEnv::new().policy(policy::SHELL).prepare().await;
        let site = Self(files);
        site.issue(3).await;
        site
    }

    /// Starts the server, issues passes, and stops it.
    async fn issue(&self, count: usize) {
        let mut process = self.0.spawn(&[]);
        let api = self.0.expect_api(&mut process).await;
        let caller = Caller::new();
        let token = self.0.token(&caller, "alice", &["sre"]);
        let attempt = caller.attempt(api.server_name(), &token, ask("shell"));
        for _ in 0..count {
            api.issue(&attempt).await.unwrap();
        }
        process.stop().await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    fn backup(&self, dir: &Path) -> Command {
        let mut command = Command::new(DAYPASS);
        command.arg("backup").arg(dir).arg("--without-keys");
        self.configured(command)
    }

    fn restore(&self, dir: &Path) -> Command {
        let mut command = Command::new(DAYPASS);
        command.arg("restore").arg(dir);
        self.configured(command)
    }

    fn configured(&self, mut command: Command) -> Command {
        command.arg("--config").arg(self.0.configuration());
        command.stdin(Stdio::null());
        command
    }

    /// Moves the state folder away.
    fn lose_state(&self, to: &str) {
        fs::rename(self.state(), self.path(to)).unwrap();
    }

    /// Demands that the copy in the state folder is whole, and waits for its acceptance.
    async fn assert_restored(&self, case: &str) {
        let mut process = self.0.spawn(&[]);
        let api = self.0.expect_api(&mut process).await;
        let caller = Caller::new();
        let token = self.0.token(&caller, "alice", &["sre"]);
        let attempt = caller.attempt(api.server_name(), &token, ask("shell"));
        let refusal = api.issue(&attempt).await.expect_err(case);
        assert_eq!(refusal.reason, "LEDGER_RESTORED", "{case}");
        let auditor = self.0.token(&Caller::new(), "carol", &["security"]);
        assert_verifies(&api, &auditor).await;
        process.stop().await;
    }
}

/// `script` in a mount namespace of its own, with a `daypass` command as its `"$@"`.
fn in_mounts(script: &str, daypass: &Command) -> Command {
    let mut unshare = Command::new("unshare");
    // An ordinary user mounts as the root of a namespace.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", script]);
    unshare.arg("sh").arg(daypass.get_program());
    unshare.args(daypass.get_args()).stdin(Stdio::null());
    unshare
}

/// `daypass` under strace, killed at its n-th call that makes a file durable.
fn killed_at(point: usize, daypass: &Command) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    strace.args(["-e", "trace=fsync,fdatasync", "-e"]);
    strace.arg(format!("inject=fsync,fdatasync:signal=KILL:when={point}"));
    strace.arg(daypass.get_program()).args(daypass.get_args());
    strace.stdin(Stdio::null());
    strace
}

fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error} (apt-get install strace)"))
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    [out, err]
        .map(|text| String::from_utf8_lossy(text))
        .concat()
}

fn succeed(case: &str, command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{case}: {}", said(&output));
    said(&output)
}

fn fail(case: &str, command: &mut Command) -> String {
    let output = run(command);
    assert_eq!(output.status.code(), Some(1), "{case}: {}", said(&output));
    said(&output)
}

fn is_killed(status: ExitStatus) -> bool {
    status.signal() == Some(SIGKILL) || status.code() == Some(128 + SIGKILL)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_no_part_of_a_backup_and_the_same_command_works_with_more_room() {
    let site = Site::new().await;
    let medium = site.path("medium");
    fs::create_dir(&medium).unwrap();
    // The database, the checkpoint, the files beside it and the list each meet the end of the disk.
    let (mut refused, mut whole) = (0, 0);
    for kilobytes in (4..=96).step_by(4) {
        for dir in [medium.clone(), medium.join("new")] {
            let script = format!(
                "mount -t tmpfs -o size={kilobytes}k,mode=700 none '{0}' && \
                 {{ \"$@\" || {{ code=$?; ls -A '{0}'; exit $code; }}; }}",
                medium.display()
            );
            let output = run(&mut in_mounts(&script, &site.backup(&dir)));
            let case = format!("{kilobytes} KiB, {}: {}", dir.display(), said(&output));
            match output.status.code() {
                Some(0) => {
                    whole += 1;
                    continue;
                }
                Some(1) => refused += 1,
                _ => panic!("{case}"),
            }
            assert_eq!(output.stdout, b"", "it leaves nothing: {case}");
            assert!(case.contains("full") || case.contains("No space"), "{case}");
        }
    }
    assert!(refused > 10 && whole > 10, "{refused} {whole}");
    let script = format!(
        "mount -t tmpfs -o size=8k,mode=700 none '{0}' && ! \"$@\" && \
         mount -o remount,size=1m '{0}' && \"$@\"",
        medium.display()
    );
    for dir in [medium.clone(), medium.join("new")] {
        succeed("more room", &mut in_mounts(&script, &site.backup(&dir)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_no_part_of_a_ledger_and_the_same_restore_works_with_more_room() {
    let site = Site::new().await;
    let backup = site.path("backup");
    succeed("backup", &mut site.backup(&backup));
    site.lose_state("lost");
    fs::create_dir(site.state()).unwrap();
    let (mut refused, mut whole) = (0, 0);
    for kilobytes in (4..=96).step_by(4) {
        let script = format!(
            "mount -t tmpfs -o size={kilobytes}k,mode=700 none '{0}' && \
             {{ \"$@\" || {{ code=$?; ls -A '{0}'; exit $code; }}; }}",
            site.state().display()
        );
        let output = run(&mut in_mounts(&script, &site.restore(&backup)));
        let case = format!("{kilobytes} KiB: {}", said(&output));
        match output.status.code() {
            Some(0) => {
                whole += 1;
                continue;
            }
            Some(1) => refused += 1,
            _ => panic!("{case}"),
        }
        let left = String::from_utf8_lossy(&output.stdout);
        assert!(left.lines().all(|name| name == "lock"), "{case}");
        assert!(case.contains("full") || case.contains("No space"), "{case}");
    }
    assert!(refused > 5 && whole > 5, "{refused} {whole}");
    let script = format!(
        "mount -t tmpfs -o size=8k,mode=700 none '{0}' && ! \"$@\" && \
         mount -o remount,size=1m '{0}' && \"$@\" && cp -p '{0}'/* '{1}'",
        site.state().display(),
        site.path("kept").display()
    );
    fs::create_dir(site.path("kept")).unwrap();
    succeed("more room", &mut in_mounts(&script, &site.restore(&backup)));
    fs::remove_dir(site.state()).unwrap();
    fs::rename(site.path("kept"), site.state()).unwrap();
    site.assert_restored("with more room").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_killed_is_never_taken_for_one() {
    let site = Site::new().await;
    site.lose_state("kept");
    let mut killed = 0;
    for point in 1.. {
        let dir = site.path(&format!("backup-{point}"));
        fs::rename(site.path("kept"), site.state()).unwrap();
        let status = run(&mut killed_at(point, &site.backup(&dir))).status;
        site.lose_state("kept");
        if status.success() {
            break;
        }
        assert!(is_killed(status), "{point}: {status}");
        killed += 1;
        if !dir.exists() {
            continue;
        }
        // It may have come to its end: then it is whole.
        let output = run(&mut site.restore(&dir));
        match output.status.code() {
            Some(0) => {
                site.assert_restored(&format!("{point}")).await;
                site.lose_state(&format!("restored-{point}"));
            }
            _ => {
                let said = said(&output);
                assert!(said.contains("is not complete"), "{point}: {said}");
                assert!(!site.state().exists(), "{point}: nothing was put back");
                let words = fail("the same folder", &mut with_state(&site, &dir));
                assert!(words.contains("remove the folder"), "{point}: {words}");
            }
        }
    }
    assert!(killed > 3, "{killed}");
}

/// Another backup into `dir`, with the state folder in its place.
fn with_state(site: &Site, dir: &Path) -> Command {
    let script =
        r#"cp -a "$0/kept" "$0/state" && { "$@"; code=$?; rm -r "$0/state"; exit $code; }"#;
    let mut sh = Command::new("sh");
    sh.args(["-c", script]).arg(site.0.folder());
    let backup = site.backup(dir);
    sh.arg(backup.get_program()).args(backup.get_args());
    sh.stdin(Stdio::null());
    sh
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_starts_no_server_and_is_done_again_by_the_same_command() {
    let site = Site::new().await;
    let backup = site.path("backup");
    succeed("backup", &mut site.backup(&backup));
    site.lose_state("lost");
    let policy = fs::read(site.path("policy.toml")).unwrap();
    let mut killed = 0;
    for point in 1.. {
        // The configuration of the backup, so that files are put back, too.
        fs::remove_file(site.path("policy.toml")).unwrap();
        let mut restore = Command::new(DAYPASS);
        restore.arg("restore").arg(&backup).stdin(Stdio::null());
        let status = run(&mut killed_at(point, &restore)).status;
        let is_whole = status.success();
        assert!(is_whole || is_killed(status), "{point}: {status}");
        if !is_whole {
            killed += 1;
            if !site.state().join("ledger.db").exists() && site.path("policy.toml").exists() {
                let mut process = site.0.spawn(&[]);
                let ended = process.ended().await;
                assert_eq!(ended.code(), Some(1), "{point}: it starts on a half ledger");
            }
            if !site.state().join("ledger.db").exists() {
                succeed("the same command again", &mut restore);
            }
        }
        assert_eq!(fs::read(site.path("policy.toml")).unwrap(), policy);
        let left = names(&site.state());
        let expected = ["checkpoint", "ledger.db", "lock", "restored"];
        assert_eq!(left, expected, "{point}");
        site.assert_restored(&format!("{point}")).await;
        fs::remove_dir_all(site.state()).unwrap();
        if is_whole {
            break;
        }
    }
    assert!(killed > 3, "{killed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_backups_at_once_into_one_folder_one_succeeds_and_is_whole() {
    let site = Site::new().await;
    for round in 0..8 {
        let dir = site.path(&format!("backup-{round}"));
        if round % 2 == 0 {
            fs::create_dir(&dir).unwrap();
            support::files::chmod(&dir, 0o700);
        }
        let start = || {
            let mut command = site.backup(&dir);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let started: Vec<_> = (0..4).map(|_| start()).collect();
        let ended = started.into_iter().map(|it| it.wait_with_output().unwrap());
        let ended: Vec<Output> = ended.collect();
        let good = ended.iter().filter(|it| it.status.success()).count();
        let words: Vec<String> = ended.iter().map(said).collect();
        assert_eq!(good, 1, "{round}: {words:?}");
        site.lose_state("kept");
        succeed("the one that succeeded", &mut site.restore(&dir));
        fs::remove_dir_all(site.state()).unwrap();
        fs::rename(site.path("kept"), site.state()).unwrap();
    }
    let both = [site.path("one"), site.path("two")];
    let started = both.each_ref().map(|dir| {
        let mut command = site.backup(dir);
        command.stdout(Stdio::null()).spawn().unwrap()
    });
    for mut it in started {
        assert!(it.wait().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_whole() {
    let site = Site::new().await;
    let mut process = site.0.spawn(&[]);
    let api = site.0.expect_api(&mut process).await;
    let callers = (0..4).map(|_| {
        let (api, caller) = (api.clone(), Caller::new());
        let token = site.0.token(&caller, "alice", &["sre"]);
        tokio::spawn(async move {
            let attempt = caller.attempt(api.server_name(), &token, ask("shell"));
            let mut last = 0;
            for _ in 0..50 {
                last = api.issue(&attempt).await.unwrap().serial;
            }
            last
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut copies = 0;
    while callers.iter().any(|caller| !caller.is_finished()) || copies == 0 {
        let dir = site.path(&format!("backup-{copies}"));
        let mut backup = tokio::process::Command::from(site.backup(&dir));
        let output = backup.output().await.unwrap();
        assert!(output.status.success(), "{}", said(&output));
        copies += 1;
    }
    for caller in callers {
        assert!(caller.await.unwrap() > 0, "no caller notices");
    }
    process.stop().await;
    site.lose_state("lost");
    for copy in 0..copies {
        let dir = site.path(&format!("backup-{copy}"));
        succeed("a copy", &mut site.restore(&dir));
        site.assert_restored(&format!("copy {copy}")).await;
        fs::remove_dir_all(site.state()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_on_a_read_only_medium_is_restored() {
    let site = Site::new().await;
    let backup = site.path("backup");
    succeed("backup", &mut site.backup(&backup));
    site.lose_state("lost");
    let script = format!(
        "mount --bind '{0}' '{0}' && mount -o remount,bind,ro '{0}' && \"$@\"",
        backup.display()
    );
    succeed("restore", &mut in_mounts(&script, &site.restore(&backup)));
    site.assert_restored("from a read-only medium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_user_and_a_folder_that_cannot_be_used_are_named() {
    root::expect_root("backup", "files of another user");
    let site = Site::new().await;
    let owner = accounts::id(0);
    let chown = |path: &Path| {
        let mut chown = Command::new("chown");
        chown.arg("-R").arg(format!("{owner}:{owner}")).arg(path);
        succeed("chown", &mut chown);
    };
    // The mistake: root runs it over the files of the server's own account.
    chown(site.0.folder());
    let words = fail("root", &mut site.backup(&site.path("by-root")));
    for part in [&*owner.to_string(), "runuser -u"] {
        assert!(words.contains(part), "{words}");
    }
    assert!(!site.path("by-root").exists());
    let as_owner = |command: &Command| {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--clear-groups", "--reuid"]);
        setpriv.arg(owner.to_string()).arg("--regid");
        setpriv.arg(owner.to_string()).arg(command.get_program());
        setpriv.args(command.get_args()).stdin(Stdio::null());
        setpriv
    };
    let backup = site.path("backup");
    succeed("as the owner", &mut as_owner(&site.backup(&backup)));

    // Folders that cannot be read, written or made.
    let closed = site.path("closed");
    fs::create_dir(&closed).unwrap();
    support::files::chmod(&closed, 0o700);
    let open = site.path("open");
    fs::create_dir(&open).unwrap();
    support::files::chmod(&open, 0o777);
    let file = site.path("file");
    fs::write(&file, "").unwrap();
    for (case, dir, part) in [
        ("another user's folder", closed.clone(), "ermission denied"),
        ("below it", closed.join("new"), "ermission denied"),
        ("a folder of all users", open, "chmod go-w"),
        ("a file", file, "Not a directory"),
        ("no folder above", site.path("no/new"), "No such file"),
    ] {
        let words = fail(case, &mut as_owner(&site.backup(&dir)));
        assert!(words.contains(part), "{case}: {words}");
        assert!(
            words.contains(&dir.display().to_string()),
            "{case}: {words}"
        );
    }
    // A restore by root would give the server files that it cannot open.
    site.lose_state("lost");
    fs::create_dir(site.state()).unwrap();
    chown(&site.state());
    let words = fail("restore by root", &mut site.restore(&backup));
    assert!(words.contains("runuser -u"), "{words}");
    assert_eq!(names(&site.state()), [""; 0]);
    for (case, dir) in [
        ("no backup", site.path("nothing")),
        ("a file", site.path("file")),
    ] {
        let words = fail(case, &mut as_owner(&site.restore(&dir)));
        assert!(
            words.contains(&dir.display().to_string()),
            "{case}: {words}"
        );
    }
    succeed("by the owner", &mut as_owner(&site.restore(&backup)));
}
