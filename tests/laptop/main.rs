//! A user whose name is no login of any host, with plain ssh, scp and sftp after `daypass
//! ssh-config install`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod plain;
mod refused;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod tools;

use std::{fs, path::Path};

use daypass::proto::v1::revoke_request::Target;
use support::{
    env::TestEnv,
    files::chmod,
    laptop::{HOME, Laptop, NAME},
};

const POLICY: &str = r#"
[limits]
principals = ["deploy", "root", "aaron", "ada"]

[hosts]
web = ["web-*"]

[admin]
allow = '"security" in claims.groups'

[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = [LOGINS]
pty = true
ttl = "1h"
"#;

/// A role for another login, and one with a forced command.
const MORE_ROLES: &str = r#"
[[role]]
name = "admin"
allow = '"sre" in claims.groups'
principals = ["root"]
pty = true
ttl = "1h"

[[role]]
name = "logs"
allow = '"sre" in claims.groups'
principals = ["deploy"]
command = ["/bin/echo", "the log of {unit}"]
params.unit = { pattern = "[a-z]+" }
ttl = "1h"
"#;

/// An environment whose one host is in no group, and a laptop where alice has signed in.
async fn signed_in(logins: &str) -> (TestEnv, Laptop) {
    laptop_with(POLICY.replace("LOGINS", logins)).await
}

/// The same, with a role for root and one for logs beside the shell of deploy.
async fn signed_in_with_more_roles() -> (TestEnv, Laptop) {
    laptop_with(POLICY.replace("LOGINS", r#""deploy""#) + MORE_ROLES).await
}

async fn laptop_with(policy: String) -> (TestEnv, Laptop) {
    let env = TestEnv::new().policy(policy).with_sshd().start().await;
    let laptop = Laptop::new(env.world());
    laptop.says("daypass login --as alice").await;
    laptop.says("daypass ssh-config install").await;
    (env, laptop)
}

/// What ssh makes of its configuration for a host.
async fn setting(laptop: &Laptop, words: &str, name: &str) -> Vec<String> {
    let said = laptop.says(&format!("ssh -G {words}")).await;
    let name = format!("{name} ");
    let lines = said.lines().filter_map(|line| line.strip_prefix(&name));
    lines.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_ssh_and_all_that_run_it_log_in_at_the_first_try_as_the_pass_says() {
    let (env, laptop) = signed_in(r#""deploy""#).await;
    assert_eq!(laptop.says("id -un").await, NAME);
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    assert_eq!(setting(&laptop, "WEB-1", "user").await, ["deploy"]);
    assert_eq!(laptop.says("daypass ssh web-2 -- id -un").await, "deploy");

    laptop.put("letter", "dear deploy\n");
    laptop.says("scp -q letter web-1:").await;
    laptop.says("scp -q -O letter web-1:by-scp").await;
    laptop.put("batch", "put letter by-sftp\nls\n");
    let listed = laptop.says("sftp -q -b batch web-1").await;
    assert!(listed.contains("by-sftp"), "{listed}");
    assert_eq!(
        laptop.says("ssh web-1 cat letter by-scp by-sftp").await,
        "dear deploy\ndear deploy\ndear deploy"
    );

    // As ansible runs it, with a connection that stays open for the next one.
    let options = format!(
        "-C -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={HOME}/cp -o KbdInteractiveAuthentication=no \
         -o PreferredAuthentications=gssapi-with-mic,gssapi-keyex,hostbased,publickey -o PasswordAuthentication=no \
         -o ConnectTimeout=60"
    );
    for _ in 0..2 {
        let line = format!("ssh {options} -tt web-1 '/bin/sh -c '\"'\"'id -un && sleep 0'\"'\"''");
        assert_eq!(laptop.says(&line).await, "deploy");
    }
    laptop.says(&format!("ssh {options} -O exit web-1")).await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_user_names_wins_over_the_passes() {
    let (env, laptop) = signed_in(r#""deploy", "root""#).await;
    for (line, login) in [
        ("ssh web-1 id -un", "deploy"),
        ("ssh root@web-1 id -un", "root"),
        ("ssh -l root web-1 id -un", "root"),
        ("ssh -o User=root web-1 id -un", "root"),
        ("daypass ssh -l root web-1 -- id -un", "root"),
        ("daypass ssh root@web-1 -- id -un", "root"),
        ("daypass ssh web-1 -- id -un", "deploy"),
    ] {
        assert_eq!(laptop.says(line).await, login, "{line}");
    }
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    let own = "Host web-*\n    User root\n";
    laptop.put(".ssh/config", &format!("{own}Host *\n{config}"));
    assert_eq!(laptop.says("ssh web-1 id -un").await, "root", "above");
    laptop.put(".ssh/config", &format!("{config}{own}"));
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy", "below");
    let denied = laptop.sh("daypass ssh -l mallory web-1").await;
    assert_eq!(denied.code, 2, "no role has it: {denied:?}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_login_of_a_host_has_its_own_pass_for_daypass_ssh_and_for_plain_ssh() {
    let (env, laptop) = signed_in_with_more_roles().await;
    laptop.put("letter", "dear reader\n");
    // The pass of the first line was the only one of its host, and denied all others.
    for (line, login) in [
        ("daypass ssh root@web-1 -- id -un", "root"),
        ("ssh deploy@web-1 id -un", "deploy"),
        ("ssh web-1 id -un", "deploy"),
        ("ssh root@web-1 id -un", "root"),
        ("daypass ssh web-1 -- id -un", "deploy"),
        ("daypass ssh deploy@web-1 -- id -un", "deploy"),
        ("ssh -l root web-1 id -un", "root"),
        (
            "scp -q letter deploy@web-1: && ssh deploy@web-1 id -un",
            "deploy",
        ),
        (
            "scp -q root@web-1:/etc/hostname . && ssh web-1 id -un",
            "deploy",
        ),
    ] {
        assert_eq!(laptop.says(line).await, login, "{line}");
    }
    let files = setting(&laptop, "deploy@web-1", "identityfile").await;
    assert_eq!(files.len(), 1, "one pass is offered: {files:?}");
    let files = setting(&laptop, "root@web-1", "identityfile").await;
    assert!(files[0].ends_with("/login-root/pass"), "{files:?}");
    let status = laptop.says("daypass status --format json").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["passes"].as_array().unwrap().len(), 3, "{status}");
    // A configuration that is read twice keeps to the same pass.
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    laptop.put(
        ".ssh/config",
        &format!("{config}Match final\n    Compression no\n"),
    );
    for (line, login) in [
        ("ssh web-1 id -un", "deploy"),
        ("ssh root@web-1 id -un", "root"),
    ] {
        assert_eq!(laptop.says(line).await, login, "read twice: {line}");
        let words = line.trim_start_matches("ssh ").trim_end_matches(" id -un");
        let files = setting(&laptop, words, "identityfile").await;
        assert_eq!(files.len(), 1, "read twice: {line}: {files:?}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_signs_of_the_shell_starts_nothing() {
    let (env, laptop) = signed_in_with_more_roles().await;
    for login in [
        "$(touch started)",
        "`touch started`",
        "x;touch started",
        "x\";touch started;\"",
        "x'\"'\"';touch started;'\"'\"'",
        "-touch",
        "x\ntouch started",
        "%n%h",
    ] {
        let done = laptop.sh(&format!("ssh -G -l '{login}' web-1")).await;
        assert!(!laptop.home().join("started").exists(), "{login}: {done:?}");
        laptop.sh(&format!("ssh -l '{login}' web-1 true")).await;
        assert!(!laptop.home().join("started").exists(), "{login}");
    }
    // ssh refuses most of these names itself if they are on its command line, but none in a file.
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    for login in [
        "$(touch started)",
        "`touch started`",
        "x;touch started",
        "x';touch started;'",
        "'$(touch started)'",
        "x' --host=x; touch started #",
    ] {
        laptop.put(".ssh/config", &format!("User \"{login}\"\n{config}"));
        for line in ["ssh -G web-1", "ssh web-1 true"] {
            let done = laptop.sh(line).await;
            assert!(!laptop.home().join("started").exists(), "{login}: {done:?}");
        }
    }
    laptop.put(".ssh/config", &config);
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_connection_never_carries_the_command_of_another_pass() {
    let (env, laptop) = signed_in_with_more_roles().await;
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    let share = format!(
        "Host *\n    ControlMaster auto\n    ControlPersist 60\n    ControlPath {HOME}/cm-%h\n"
    );
    laptop.put(".ssh/config", &format!("{config}{share}"));
    for (line, expected) in [
        ("daypass ssh web-1 --role shell -- id -un", "deploy"),
        (
            "daypass ssh web-1 --role logs --param unit=nginx -- id",
            "the log of nginx",
        ),
        (
            "daypass ssh web-1 --role logs --param unit=cron -- id",
            "the log of cron",
        ),
        ("daypass ssh web-1 --role admin -- id -un", "root"),
        ("ssh web-1 id -un", "deploy"),
        ("ssh root@web-1 id -un", "root"),
        ("daypass ssh web-1 -- id -un", "deploy"),
    ] {
        assert_eq!(laptop.says(line).await, expected, "{line}");
        let sockets = laptop.says("find . -name 'cm-*'").await;
        assert_eq!(sockets, "", "{line}: no connection stays open");
    }
    env.close().await;
}

/// A master that the user opened with a path of their own, and a configuration that names the path
/// below the installed lines.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_pass_is_not_used_through_an_open_master() {
    let (env, laptop) = signed_in_with_more_roles().await;
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    let share = format!("Host *\n    ControlPath {HOME}/cm\n");
    laptop.put(".ssh/config", &format!("{config}{share}"));
    laptop.says("ssh -MNf -S cm web-1 >/dev/null 2>&1").await;
    assert_eq!(laptop.says("ssh -S cm web-1 id -un").await, "deploy");
    let identity = Target::Identity("alice".to_owned());
    let revoked = env.carol().revoke(identity).await.unwrap();
    assert!(!revoked.is_empty());
    // The host has the revocation a moment later.
    let refused = "n=0; while ssh -o ControlPath=none web-1 true 2>/dev/null; do [ $((n += 1)) -lt 600 ]; sleep 0.1; done";
    laptop.says(refused).await;
    for (case, prepare) in [
        ("the pass is on disk", "true"),
        ("no pass can be had", "daypass logout"),
        (
            "and there is no server",
            "rm -rf .local/state/daypass/servers",
        ),
    ] {
        laptop.says(prepare).await;
        let done = laptop.sh("ssh web-1 id -un").await;
        assert_eq!((done.code, &*done.stdout), (255, ""), "{case}: {done:?}");
        let master = laptop.sh("ssh -S cm -O check web-1").await;
        assert_eq!(
            master.code, 0,
            "{case}: the master is still open: {master:?}"
        );
    }
    laptop.says("ssh -S cm -O exit web-1 2>/dev/null").await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_warns_of_a_control_path_that_counts_for_hosts_of_passes() {
    let (env, laptop) = signed_in(r#""deploy""#).await;
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    let share = "Host *\n    ControlMaster auto\n    ControlPath ~/cm\n";
    let alias = "Host w1\n    HostName web-1\n";
    for (case, text, expected) in [
        ("below", format!("{config}{share}"), None),
        ("above", format!("{share}{config}"), Some("config:3: ")),
        (
            "an alias",
            format!("{config}{alias}{share}"),
            Some("config:11: "),
        ),
    ] {
        laptop.put(".ssh/config", &text);
        let done = laptop.sh("daypass ssh-config install").await;
        assert_eq!(done.code, 0, "{case}: {done:?}");
        match expected {
            Some(place) => assert!(done.stderr.contains(place), "{case}: {done:?}"),
            None => assert_eq!(done.stderr, "", "{case}"),
        }
        // ssh itself says whether the warning is right.
        for host in ["web-1", "w1"] {
            let path = setting(&laptop, host, "controlpath").await;
            let is_shared = path.iter().any(|path| path.ends_with("/cm"));
            let is_warned = case == "above" || (case == "an alias" && host == "w1");
            let is_known = host == "web-1" || case == "an alias";
            assert!(
                is_shared == is_warned || !is_known,
                "{case} {host}: {path:?}"
            );
        }
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_logins_it_is_the_users_own_name_else_the_first_by_the_alphabet() {
    for (logins, expected) in [
        (r#""root", "deploy""#, "deploy"),
        (r#""deploy", "aaron", "ada""#, "ada"),
    ] {
        let (env, laptop) = signed_in(logins).await;
        assert_eq!(setting(&laptop, "web-1", "user").await, [expected]);
        let pass = laptop.says("daypass pass --host web-1 --format json").await;
        let pass: serde_json::Value = serde_json::from_str(&pass).unwrap();
        assert_eq!(pass["login"], expected, "{pass}");
        env.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_pass_can_be_had_neither_login_nor_key_of_an_older_one_is_used() {
    let (env, laptop) = signed_in(r#""deploy""#).await;
    let state = laptop.home().join(".local/state/daypass");
    let (folder, session) = (state.join("hosts/web-1"), state.join("session.json"));
    let ours = |files: &[String]| files.iter().any(|file| file.contains("daypass"));
    assert_eq!(setting(&laptop, "web-1", "user").await, ["deploy"]);
    assert!(ours(&setting(&laptop, "web-1", "identityfile").await));

    let cases = [
        (
            "the session is over and the pass gone",
            folder.join("pass-cert.pub"),
        ),
        ("its file cannot be written", folder.join("ssh_config")),
    ];
    for (case, gone) in cases {
        let kept = (fs::read(&session).unwrap(), fs::read(&gone).unwrap());
        fs::remove_file(&gone).unwrap();
        if gone.ends_with("ssh_config") {
            fs::create_dir(&gone).unwrap();
        } else {
            fs::write(&session, "{}").unwrap();
        }
        assert_eq!(setting(&laptop, "web-1", "user").await, [NAME], "{case}");
        let files = setting(&laptop, "web-1", "identityfile").await;
        assert!(!ours(&files), "{case}: {files:?}");
        let refused = laptop.sh("ssh web-1 id -un").await;
        assert_eq!(refused.code, 255, "{case}: {refused:?}");
        assert!(refused.stderr.contains("daypass: "), "{case}: {refused:?}");
        let _ = fs::remove_dir(&gone);
        put_back(&session, &kept.0);
        put_back(&gone, &kept.1);
        assert_eq!(
            setting(&laptop, "web-1", "user").await,
            ["deploy"],
            "{case}"
        );
    }

    laptop.says("daypass logout").await;
    assert_eq!(setting(&laptop, "web-1", "user").await, [NAME]);
    assert!(!state.join("hosts").exists());
    env.close().await;
}

/// Root writes for the user, whose folder it is.
fn put_back(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::{MetadataExt, chown};
    fs::write(path, bytes).unwrap();
    chmod(path, 0o600);
    let folder = fs::metadata(path.parent().unwrap()).unwrap();
    chown(path, Some(folder.uid()), Some(folder.gid())).unwrap();
}
