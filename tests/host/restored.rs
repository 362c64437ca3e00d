//! A server is lost, and an older copy of its ledger is restored: laptops and hosts refuse it until
//! an administrator has signed, and then all of it works again.

use std::{fs, path::PathBuf};

use daypass::proto::v1::revoke_request;

use super::{
    daemon::{Site, issue},
    sshd::{Sshd, log},
    support::{
        api::ask,
        command::{DAYPASS, Done},
    },
};

impl Site {
    fn configuration(&self) -> String {
        let file = self.env.world().files().dir().join("daypass.toml");
        file.display().to_string()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.env.folder().join(name)
    }

    async fn operator(&self, words: &[&str]) -> Done {
        let mut command = tokio::process::Command::new(DAYPASS);
        command.args(words).stdin(std::process::Stdio::null());
        Done::of(command).await
    }

    async fn back_up(&self, name: &str) -> Done {
        let (dir, config) = (self.at(name).display().to_string(), self.configuration());
        let words = ["backup", &dir, "--without-keys", "--config", &config];
        self.operator(&words).await
    }

    async fn restore(&self, name: &str) -> Done {
        let (dir, config) = (self.at(name).display().to_string(), self.configuration());
        self.operator(&["restore", &dir, "--config", &config]).await
    }

    fn state(&self) -> PathBuf {
        self.env.world().files().dir().join("state")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_older_copy_is_restored_all_go_on_by_an_administrators_statement_alone() {
    let mut site = Site::start().await;
    let (laptop, admin) = (site.env.terminal("alice"), site.env.terminal("carol"));
    laptop.sign_in("alice").await;
    admin.sign_in("carol").await;
    let alice = site.env.user("alice", &["sre"]);
    let (kept_serial, kept) = issue(&alice).await;
    let (early_serial, early) = issue(&alice).await;
    let done = site
        .back_up("backup")
        .await
        .exits("while the daemon runs", 0);
    assert!(done.stdout.contains("no private key"), "{done:?}");

    // After the backup: more passes, and revocations of one that the copy knows and one that not.
    let (lost_serial, lost) = issue(&alice).await;
    let (revoked_serial, revoked) = issue(&alice).await;
    for serial in [early_serial, revoked_serial] {
        let target = revoke_request::Target::Serial(serial);
        site.carol.revoke(target).await.unwrap();
    }
    assert_eq!(laptop.run(&["roles"]).await.code, 0);
    let before = site.host.json(&["sync"]).await;
    let size = site.env.ledger_size().await;

    // The server is lost, and the copy is put back.
    site.env.server.world_mut().stop_daemon().await.unwrap();
    let refused = site.restore("backup").await.exits("over a ledger", 1);
    assert!(refused.stderr.contains("there is a ledger"), "{refused:?}");
    fs::rename(site.state(), site.at("lost")).unwrap();
    let done = site.restore("backup").await.exits("restore", 0);
    assert!(
        done.stdout.contains("daypass admin accept-restore"),
        "{done:?}"
    );
    site.env.restart().await;

    // The laptop, the host and the server itself refuse, and say what helps.
    let accept = "daypass admin accept-restore";
    let done = laptop.run_json(&["roles"]).await.exits("the laptop", 1);
    assert_eq!(done.error()["reason"], "LEDGER_RESTORED");
    assert!(done.stderr.contains(accept), "{done:?}");
    let failure = site.host.fails(&["sync"]).await;
    assert_eq!(failure.1, "KRL_OLDER");
    assert!(failure.2.contains(accept), "{failure:?}");
    let alice = alice.over(&site.env.api);
    let refusal = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refusal.reason, "LEDGER_RESTORED");
    let done = laptop.run(&["admin", "accept-restore", "--yes"]).await;
    assert_eq!(done.code, 3, "alice is no administrator: {done:?}");

    // A lock that the copy lacks is given again, and an administrator signs.
    admin
        .run(&["admin", "lock", "mallory", "--yes"])
        .await
        .exits("lock", 0);
    let words = [
        "admin",
        "accept-restore",
        "--reason",
        "the disk died",
        "--yes",
    ];
    let accepted = admin.json(&words).await;
    let through = accepted["through"].as_u64().unwrap();
    assert!(through > size);

    // All of it works, and says so once.
    let done = laptop.run(&["roles"]).await.exits("the laptop goes on", 0);
    for part in ["restored from a backup", "carol", "the disk died"] {
        assert!(done.stderr.contains(part), "{done:?}");
    }
    let done = laptop.run(&["roles"]).await.exits("and is quiet", 0);
    assert_eq!(done.stderr, "");
    let (fresh_serial, fresh) = issue(&alice).await;
    assert!(fresh_serial >= through, "{fresh_serial} {through}");
    let after = site.host.json(&["sync"]).await;
    assert!(after["krl_version"].as_u64() > before["krl_version"].as_u64());
    let sshd = Sshd::start(&site.host);
    assert!(sshd.takes(&fresh), "{}", log(&site.host));
    for (case, pass) in [
        ("issued before the backup", kept),
        ("revoked after it", early),
        ("lost", lost),
        ("lost and revoked", revoked),
    ] {
        assert!(!sshd.takes(&pass), "{case}: {}", log(&site.host));
    }
    assert!(kept_serial < lost_serial);
    // A revocation after all that reaches the host.
    let target = revoke_request::Target::Serial(fresh_serial);
    let carol = site.carol.over(&site.env.api);
    carol.revoke(target).await.unwrap();
    site.host.json(&["sync"]).await;
    assert!(!sshd.takes(&fresh), "{}", log(&site.host));
    admin.run(&["ledger", "verify"]).await.exits("verify", 0);
    // It outlives a start.
    site.env.restart().await;
    assert_eq!(laptop.run(&["roles"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_backup_is_not_made_and_not_put_back() {
    let mut site = Site::start().await;
    fs::create_dir(site.at("full")).unwrap();
    fs::write(site.at("full/file"), "").unwrap();
    let done = site.back_up("full").await.exits("a folder with files", 1);
    assert!(done.stderr.contains("is not empty"), "{done:?}");
    site.back_up("backup").await.exits("a good one", 0);
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(site.at("backup")), 0o700);
    for entry in fs::read_dir(site.at("backup")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
        let bytes = fs::read(&path).unwrap();
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!has(b"PRIVATE KEY"), "{}", path.display());
    }
    // Choose whether the keys are in it.
    let words = ["backup", "x", "--config", &site.configuration()];
    assert_eq!(site.operator(&words).await.code, 2);

    let running = site
        .restore("backup")
        .await
        .exits("while the daemon runs", 1);
    assert!(running.stderr.contains("in use by another"), "{running:?}");
    site.env.server.world_mut().stop_daemon().await.unwrap();
    fs::rename(site.state(), site.at("lost")).unwrap();
    let good = |name: &str| fs::read(site.at("backup").join(name)).unwrap();
    for (case, name, change, said) in [
        ("a cut ledger", "ledger.db", 0, "it was changed or cut"),
        (
            "a changed checkpoint",
            "checkpoint",
            1,
            "it was changed or cut",
        ),
        (
            "a cut list",
            "manifest.json",
            0,
            "is not the list of a backup",
        ),
    ] {
        let bytes = good(name);
        let mut bad = bytes.clone();
        match change {
            0 => bad.truncate(bytes.len() / 2),
            _ => bad[0] ^= 1,
        }
        fs::write(site.at("backup").join(name), bad).unwrap();
        let done = site.restore("backup").await.exits(case, 1);
        assert!(done.stderr.contains(said), "{case}: {done:?}");
        assert!(!site.state().join("ledger.db").exists(), "{case}");
        fs::write(site.at("backup").join(name), bytes).unwrap();
    }
    // Another server's keys.
    let other = Site::start().await;
    other.back_up("backup").await.exits("another server's", 0);
    let theirs = other.at("backup").display().to_string();
    let words = ["restore", &theirs, "--config", &site.configuration()];
    let done = site.operator(&words).await.exits("another server's", 1);
    assert!(done.stderr.contains("ledger key of"), "{done:?}");
    site.restore("backup").await.exits("the good one", 0);
    site.env.restart().await;
}
