//! `daypass ledger reconcile` over the log of a real sshd: honest logins, and those of a thief with
//! the CA's own key.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use daypass::{ledger::event::NewHost, proto::v1::Ask};
use serde_json::{Value, json};
use ssh_key::{Certificate, HashAlg, public::KeyData};
use time::{
    Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};

use crate::support::{
    command::{DAYPASS, Done},
    env::TestEnv,
    hosts::{TestHost, code, join, knowing, new_host},
    policy::{AUDIT_AND_ADMIN, limits},
};

/// Logs in with a certificate that this CA key signs; returns whether sshd takes it.
fn thief(env: &TestEnv, ca: &Path, (id, serial, login): (&str, &str, &str)) -> bool {
    let key = env.folder().join(format!("thief-{id}").replace('/', "-"));
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().unwrap();
        (output.status.success(), format!("{output:?}"))
    };
    let (path, ca) = (key.to_str().unwrap(), ca.to_str().unwrap());
    let (is_made, said) = run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path]);
    assert!(is_made, "{said}");
    let public = format!("{path}.pub");
    let sign = ["-q", "-s", ca, "-I", id, "-z", serial, "-n", login, &public];
    let (is_signed, said) = run("ssh-keygen", &sign);
    assert!(is_signed, "{said}");
    let config = env.world().files().ssh_config();
    let certificate = format!("CertificateFile={path}-cert.pub");
    let user = env.world().sshd().unwrap().user().to_owned();
    run(
        "ssh",
        &[
            "-F",
            config.to_str().unwrap(),
            "-o",
            &certificate,
            "-o",
            "IdentitiesOnly=yes",
            "-i",
            path,
            "-o",
            "PermitLocalCommand=no",
            "-l",
            &user,
            "web-1",
            "true",
        ],
    )
    .0
}

async fn reconciled(env: &TestEnv, more: &[&str]) -> Done {
    let log = env.folder().join("sshd.log");
    fs::write(&log, env.world().sshd().unwrap().log()).unwrap();
    let words = [
        "ledger",
        "reconcile",
        log.to_str().unwrap(),
        "--host",
        "web-1",
    ];
    let terminal = env.terminal("carol");
    terminal.run_json(&[&words, more].concat()).await
}

fn findings(done: &Done) -> Vec<(Value, Value)> {
    let found = done.json()["findings"].as_array().unwrap().clone();
    found
        .iter()
        .map(|it| (it["kind"].clone(), it["key_id"].clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_with_the_ca_key_shows_up_in_the_log_of_a_real_sshd() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["alice", "carol"])
        .start()
        .await;
    for _ in 0..2 {
        let words = "ssh web-1 --role shell -- true";
        env.run("alice", words, &[]).await.exits("alice logs in", 0);
    }
    let done = reconciled(&env, &[]).await.exits("honest logins", 0);
    assert_eq!(done.json()["logins"], 2, "{done:?}");
    assert_eq!(done.json()["good"], 2, "{done:?}");
    assert_eq!(findings(&done), []);

    let login = env.world().sshd().unwrap().user().to_owned();
    let serial = env.issued(0).await[0]["index"].as_u64().unwrap();
    let stolen = env.world().files().dir().join("ca_key");
    let other = env.folder().join("other_ca");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&other)
        .status();
    assert!(made.unwrap().success());
    assert!(thief(
        &env,
        &stolen,
        ("alice@example.com/shell", "0", &login)
    ));
    assert!(thief(
        &env,
        &stolen,
        ("alice@example.com/root", &serial.to_string(), &login)
    ));
    assert!(
        !thief(&env, &other, ("eve", "1", &login)),
        "a CA that the host does not trust"
    );

    let done = reconciled(&env, &[]).await.exits("a copied CA key", 1);
    let expected = [
        (json!("unknown"), json!("alice@example.com/shell")),
        (json!("altered"), json!("alice@example.com/root")),
    ];
    assert_eq!(findings(&done), expected, "{done:?}");
    assert_eq!(done.json()["good"], 2);
    assert!(
        done.error()["message"]
            .as_str()
            .unwrap()
            .contains("2 logins are not as the ledger has them"),
        "{done:?}"
    );

    // For people: a table, and what to do.
    let log = env.folder().join("sshd.log");
    let words = [
        "ledger",
        "reconcile",
        log.to_str().unwrap(),
        "--host",
        "web-1",
    ];
    let done = env.terminal("carol").run(&words).await.exits("as text", 1);
    for says in [
        "not issued",
        "altered",
        "recorded is alice@example.com/shell",
        "2 as they were issued",
    ] {
        assert!(done.stdout.contains(says), "{says}: {}", done.stdout);
    }
    assert!(
        done.stderr.contains("tell your security team"),
        "{}",
        done.stderr
    );
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_the_export_serves_without_the_server_and_other_cas_can_be_named() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["alice", "carol"])
        .start()
        .await;
    let words = "ssh web-1 --role shell -- true";
    env.run("alice", words, &[]).await.exits("alice logs in", 0);
    let export = env.folder().join("export");
    let path = export.to_str().unwrap();
    let terminal = env.terminal("carol");
    terminal
        .run(&["ledger", "export", "--out", path])
        .await
        .exits("export", 0);
    let done = reconciled(&env, &["--ledger", path])
        .await
        .exits("offline", 0);
    assert_eq!(done.json()["good"], 1, "{done:?}");

    let ca = done_ca(&env);
    let done = reconciled(&env, &["--ledger", path, "--other-ca", &ca]).await;
    assert_eq!(done.json()["by_other_cas"], 1, "{done:?}");

    // A ledger that was changed does not judge.
    let text = fs::read_to_string(&export).unwrap();
    fs::write(&export, text.replacen("\"shell\"", "\"shall\"", 1)).unwrap();
    let done = reconciled(&env, &["--ledger", path])
        .await
        .exits("a changed ledger", 1);
    assert_eq!(done.stdout, "");
    env.close().await;
}

/// The fingerprint of the CA in the first login of the log.
fn done_ca(env: &TestEnv) -> String {
    let log = env.world().sshd().unwrap().log();
    let line = log
        .lines()
        .find(|line| line.contains("Accepted publickey"))
        .unwrap();
    line.rsplit(' ').next().unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_log_of_sshd_are_refused_with_what_to_do() {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    let terminal = env.terminal("carol");
    let put = |name: &str, bytes: &[u8]| {
        let path = env.folder().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let line = "Accepted publickey for root from 192.0.2.7 port 1 ssh2: ED25519-CERT SHA256:k ID a/b \
                (serial 7) CA ED25519 SHA256:c\n";
    let long = format!("{}\n{line}", "x".repeat(70_000));
    let cases = [
        (put("empty", b""), "no line of sshd is in these logs"),
        (
            put("syslog", b"Nov 29 21:30:01 h cron[1]: hello\n"),
            "journalctl -o json",
        ),
        (put("auth.log.gz", &[0x1f, 0x8b, 8, 0]), "zcat"),
        (put("bare", line.as_bytes()), "add --host NAME"),
        (put("cut", long.as_bytes()), "line 2"),
        (
            env.folder().join("none").display().to_string(),
            "failed to read",
        ),
        (env.folder().display().to_string(), "failed to read"),
    ];
    for (file, says) in cases {
        let done = terminal.run(&["ledger", "reconcile", &file]).await;
        assert_eq!(done.code, 2, "{file}: {done:?}");
        assert!(done.stderr.contains(says), "{says}: {}", done.stderr);
    }
    for (option, value, says) in [
        ("--other-ca", "SHA256:short", "ssh-keygen -l"),
        ("--host", "", "name of the host that the log is of"),
        ("--host", "web 1", "name of the host that the log is of"),
        ("--log-zone", "", "an offset such as +02:00"),
        ("--log-zone", "Europe/Nowhere", "an offset such as +02:00"),
    ] {
        let words = ["ledger", "reconcile", "x", option, value];
        let done = terminal.run(&words).await.exits(option, 2);
        assert!(done.stderr.contains(says), "{says}: {}", done.stderr);
    }
    // Nothing comes in by stdin, and it is no terminal.
    let done = terminal.run(&["ledger", "reconcile"]).await;
    let done = done.exits("an empty stdin", 2);
    assert!(done.stderr.contains("no line of sshd"), "{}", done.stderr);
    let typed = format!("{DAYPASS} ledger reconcile");
    let command = terminal.program("script", &["-qefc", &typed, "/dev/null"]);
    let done = Done::of(command).await.exits("a terminal", 2);
    let says = "stdin is a terminal: name log files, or on a host: journalctl";
    assert!(done.stdout.contains(says), "{done:?}");

    // A login that sshd cut off may hide anything, so it is an alarm.
    let cut = put("truncated", &line.as_bytes()[..line.len() - 30]);
    let done = terminal
        .run(&["ledger", "reconcile", &cut, "--host", "h"])
        .await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stdout.contains("cannot be read"), "{}", done.stdout);
    let says = "or the log is of a form that is not read";
    assert!(done.stdout.contains(says), "{}", done.stdout);

    // A person who may not read the ledger.
    let words = [
        "ledger",
        "reconcile",
        &put("one", line.as_bytes()),
        "--host",
        "h",
    ];
    let done = env.terminal("alice").run(&words).await;
    assert_eq!(done.code, 4, "{done:?}");
    env.close().await;
}

/// A role for the hosts of the group `web`, and one for those behind a bastion.
const ROLES: &str = r#"
[hosts]
web = ["web-*", "10.0.0.*"]
db = ["db-*"]
edge = ["edge.example.com"]
[[bastion]]
name = "edge"
host = "edge.example.com"
login = "jump"
group = "edge"
addresses = ["192.0.2.10"]
hosts = ["db-*"]
source = "caller"
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
hosts = ["web"]
principals = ["deploy"]
[[role]]
name = "db"
allow = '"sre" in claims.groups'
hosts = ["db"]
principals = ["deploy"]
source = "bastion"
"#;

/// A server that knows hosts of three groups, and one that bastions lead to.
async fn knowing_hosts() -> TestEnv {
    let policy = format!("{}{AUDIT_AND_ADMIN}{ROLES}", limits(&["deploy", "jump"]));
    let options = TestEnv::new().policy(policy).signed_in(&["carol"]);
    let env = knowing(options).start().await;
    for (name, group, alias) in [
        ("web-1", "web", Some("10.0.0.7")),
        ("web-2", "web", None),
        ("db-1.example.com", "db", None),
        ("edge.example.com", "edge", None),
    ] {
        let (code, carol) = (code(), env.carol());
        let host = NewHost {
            group: group.to_owned(),
            aliases: alias.into_iter().map(str::to_owned).collect(),
            ..new_host(name, &code)
        };
        let request = carol.add_host_request(host).await;
        carol.send_add_host(request).await.unwrap();
        let joining = TestHost::new(name).joining(env.api.server_name(), &code);
        join(&env.api, joining).await.unwrap();
    }
    env
}

fn ask(role: &str, host: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        host: host.to_owned(),
        ..Ask::default()
    }
}

/// What sshd says of a login with this certificate.
fn accepted(certificate: &str, login: &str) -> String {
    let certificate = Certificate::from_openssh(certificate).unwrap();
    let fingerprint = |key: &KeyData| key.fingerprint(HashAlg::Sha256);
    format!(
        "Accepted publickey for {login} from 192.0.2.7 port 41234 ssh2: ED25519-CERT {} ID {} \
         (serial {}) CA ED25519 {}",
        fingerprint(certificate.public_key()),
        certificate.key_id(),
        certificate.serial(),
        fingerprint(certificate.signature_key()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_joined_counts_by_its_group_and_a_jump_pass_by_the_bastion() {
    let env = knowing_hosts().await;
    let alice = env.user("alice", &["sre"]);
    let issue = async |role, host| alice.issue(ask(role, host)).await.unwrap();
    let (anywhere, web) = (issue("shell", "").await, issue("shell", "web-1").await);
    let (address, db) = (
        issue("shell", "10.0.0.7").await,
        issue("db", "db-1.example.com").await,
    );
    let jump = db.jump.as_ref().unwrap();
    assert_eq!(jump.principals, ["jump@edge"]);
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
    let line = |host: &str, certificate: &str, login: &str| {
        let message = accepted(certificate, login);
        format!("{now} {host} sshd[7]: {message}\n")
    };
    let of_db = line("db-1", &db.certificate, "deploy");
    let of_bastion = line("edge", &jump.certificate, "jump");
    let good = [
        line("web-2", &anywhere.certificate, "deploy"),
        line("web-2", &web.certificate, "deploy"),
        line("web-1", &address.certificate, "deploy"),
        of_db.clone(),
        of_bastion.clone(),
    ];
    let other = line("db-1", &anywhere.certificate, "deploy");
    let terminal = env.terminal("carol");
    let run = async |log: String| {
        let file = env.folder().join("auth.log");
        fs::write(&file, log).unwrap();
        // The name is for lines that have none.
        let words = ["ledger", "reconcile", file.to_str().unwrap(), "--host", "x"];
        terminal.json(&words).await
    };
    let done = run(good.concat() + &other).await;
    assert_eq!((&done["logins"], &done["good"]), (&6.into(), &5.into()));
    let found = &done["findings"][0];
    assert_eq!(found["kind"], "elsewhere", "{done}");
    assert_eq!(found["host"], "db-1", "{done}");
    assert_eq!(found["serial"], anywhere.serial, "{done}");

    // The log of one of the two hosts alone says nothing of the other pass.
    let quiet = |host: &str| {
        let minute = |minutes| {
            let at = OffsetDateTime::now_utc() + Duration::minutes(minutes);
            at.format(&Rfc3339).unwrap()
        };
        let line = |at| format!("{at} {host} sshd[7]: Connection closed by 192.0.2.7 port 1\n");
        line(minute(-1)) + &line(minute(1))
    };
    for (log, unused) in [
        (of_db + &quiet("db-1"), vec![]),
        (of_bastion + &quiet("edge"), vec![]),
        (quiet("edge"), vec![jump.serial]),
        (quiet("db-1"), vec![db.serial]),
        (quiet("web-1"), vec![web.serial, address.serial]),
        (quiet("web-2"), vec![]),
    ] {
        let done = run(log.clone()).await;
        assert_eq!(done["never_used"]["serials"], json!(unused), "{log}");
        assert_eq!(done["findings"], json!([]), "{log}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_log_of_another_zone_comes_in_by_stdin() {
    let env = knowing_hosts().await;
    let pass = env
        .user("alice", &["sre"])
        .issue(ask("shell", "web-1"))
        .await;
    let serial = pass.unwrap().serial;
    let format =
        format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second]");
    let zone = UtcOffset::from_hms(-5, 0, 0).unwrap();
    let line = |minutes| {
        let at = OffsetDateTime::now_utc() + Duration::minutes(minutes);
        let at = at.to_offset(zone).format(&format).unwrap();
        format!("{at} web-1 auth.info sshd[7]: Server listening on :: port 22.\n")
    };
    let file = env.folder().join("messages");
    fs::write(&file, line(-1) + &line(1)).unwrap();
    let terminal = env.terminal("carol");
    let run = async |more: &[&str], name: &str| {
        let words = [&["ledger", "reconcile", "--format", "json"], more].concat();
        let mut command = terminal.command(&words);
        command.stdin(File::open(&file).unwrap()).env("TZ", name);
        Done::of(command).await.exits("a quiet log", 0)
    };
    for (more, name, is_found, is_said) in [
        (&["--log-zone", "-05:00"][..], "UTC", true, false),
        (&["--log-zone", "America/Bogota", "-"], "UTC", true, false),
        (&["--log-zone=+11:00"], "America/Bogota", false, false),
        (&[], "America/Bogota", true, true),
        (&[], "UTC", false, true),
    ] {
        let done = run(more, name).await;
        let unused = done.json()["never_used"]["serials"].clone();
        let expected = if is_found { vec![serial] } else { vec![] };
        assert_eq!(unused, json!(expected), "{more:?} {name}: {done:?}");
        let note = format!("the times of 2 lines do not say their zone, and were taken as {name}");
        assert_eq!(done.stderr.contains(&note), is_said, "{more:?}: {done:?}");
    }
    env.close().await;
}
