//! `daypass ledger reconcile` over the log of a real sshd: honest logins, and those of a thief with
//! the CA's own key.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{command::Done, env::TestEnv};

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
        (put("empty", b""), "no accepted login of sshd"),
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
    let words = ["ledger", "reconcile", "x", "--other-ca", "SHA256:short"];
    let done = terminal
        .run(&words)
        .await
        .exits("an invalid fingerprint", 2);
    assert!(done.stderr.contains("ssh-keygen -l"), "{}", done.stderr);

    // A login that sshd cut off may hide anything, so it is an alarm.
    let cut = put("truncated", &line.as_bytes()[..line.len() - 30]);
    let done = terminal
        .run(&["ledger", "reconcile", &cut, "--host", "h"])
        .await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stdout.contains("cannot be read"), "{}", done.stdout);

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
