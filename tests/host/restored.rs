//! A server is lost, and an older copy of its ledger is restored: laptops and hosts refuse it until
//! an administrator has signed, and then all of it works again.

use std::{fs, path::PathBuf, process::Command};

use daypass::{
    ledger::EventKind,
    proto::v1::{RestoreStatement, revoke_request},
};
use serde_json::json;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, rand_core::OsRng};
use time::OffsetDateTime;

use super::{
    daemon::{Site, issue},
    sshd::{Sshd, log},
    support::{
        api::ask,
        command::{DAYPASS, Done},
        files,
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

    /// Has a witness look once, which has the ledger's key and no sign-in.
    async fn witness(&self) -> Done {
        let key = self.env.authority().store.verifier().to_string();
        let terminal = self.env.terminal("witness");
        let url = self.env.server.url();
        let words = ["ledger", "witness", &url, "--once", "--key", &key];
        terminal.run_json(&words).await
    }

    async fn restore(&self, name: &str) -> Done {
        let (dir, config) = (self.at(name).display().to_string(), self.configuration());
        self.operator(&["restore", &dir, "--config", &config]).await
    }

    fn state(&self) -> PathBuf {
        self.env.world().files().dir().join("state")
    }

    /// Makes a key for an administrator. Returns its path and its fingerprint.
    fn administrators_key(&self, name: &str) -> (String, String) {
        let path = self.at(name);
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        key.write_openssh_file(&path, LineEnding::LF).unwrap();
        let public = key.public_key().to_openssh().unwrap();
        fs::write(path.with_extension("pub"), public).unwrap();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        (path.display().to_string(), fingerprint)
    }

    /// Names this key as the administrators' only one in the policy.
    async fn register(&mut self, path: &str) {
        let key = fs::read_to_string(format!("{path}.pub")).unwrap();
        let policy = self.env.world().files().dir().join("policy.toml");
        let text = fs::read_to_string(&policy).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("keys  = "));
        let text = lines.collect::<Vec<_>>().join("\n");
        let named = format!("[admin]\nkeys  = [{:?}]", key.trim());
        fs::write(policy, text.replace("[admin]", &named) + "\n").unwrap();
        self.env.restart().await;
    }

    /// The server is lost, and a backup is put back.
    async fn lose_and_restore(&mut self, name: &str) {
        self.lose(&format!("{name}-{}", self.env.ledger_size().await))
            .await;
        self.restore(name).await.exits("restore", 0);
        self.env.restart().await;
    }

    /// The server is lost.
    async fn lose(&mut self, name: &str) {
        self.env.server.world_mut().stop_daemon().await.unwrap();
        fs::rename(self.state(), self.at(&format!("lost-{name}"))).unwrap();
    }

    async fn doctor(&self) -> (i32, String, String) {
        let output = self.host.daypass(&["doctor"]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("WRONG"), "{text}");
        (output.status.code().unwrap(), String::new(), text)
    }

    /// Something that a host hears of.
    async fn revoke_one(&self) -> u64 {
        let alice = self.env.user("alice", &["sre"]);
        let (serial, _) = issue(&alice).await;
        let carol = self.carol.over(&self.env.api);
        let target = revoke_request::Target::Serial(serial);
        carol.revoke(target).await.unwrap();
        serial
    }
}

const ACCEPT: [&str; 5] = [
    "admin",
    "accept-restore",
    "--reason",
    "the disk died",
    "--yes",
];

#[tokio::test(flavor = "multi_thread")]
async fn after_an_older_copy_is_restored_all_go_on_by_an_administrators_statement_alone() {
    let mut site = Site::start().await;
    let (key, fingerprint) = site.administrators_key("administrator");
    site.register(&key).await;
    site.carol = site.env.carol();
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
    let seen = site.witness().await.exits("a witness", 0).json();
    assert_eq!(seen["sighting"], "first");

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
    assert_eq!(failure.1, "LEDGER_RESTORED");
    assert!(failure.2.contains(accept), "{failure:?}");
    let (_, _, doctor) = site.doctor().await;
    assert!(doctor.contains(accept), "{doctor}");
    let alarm = site.witness().await.exits("the witness", 7);
    assert_eq!(alarm.json()["alarm"]["kind"], "restored");
    assert!(alarm.stderr.contains(accept), "{alarm:?}");
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
    let done = admin.run(&ACCEPT).await.exits("another key", 1);
    assert!(done.stderr.contains("names other keys"), "{done:?}");
    let accepted = admin.json(&[&ACCEPT[..], &["--key", &key]].concat()).await;
    assert_eq!(accepted["key"], *fingerprint);
    let through = accepted["through"].as_u64().unwrap();
    assert!(through > size);

    // All of it works, and says so once.
    let done = laptop.run(&["roles"]).await.exits("the laptop goes on", 0);
    for part in [
        "restored from a backup",
        "carol",
        "the disk died",
        &*fingerprint,
    ] {
        assert!(done.stderr.contains(part), "{done:?}");
    }
    let done = laptop.run(&["roles"]).await.exits("and is quiet", 0);
    assert_eq!(done.stderr, "");
    let done = site.witness().await.exits("the witness goes on", 0);
    assert_eq!(done.json()["sighting"], "restored");
    assert!(done.stderr.contains(&*fingerprint), "{done:?}");
    let done = site.witness().await.exits("and is quiet", 0);
    assert_eq!(
        (&*done.stderr, &done.json()["sighting"]),
        ("", &json!("unchanged"))
    );
    // A page of `skipped` entries hid what happened.
    let listed = site
        .env
        .daypass("carol", "ledger list --limit 5 --format text");
    let listed = listed.await;
    assert!(listed.stdout.contains("the disk died"), "{listed:?}");
    assert_eq!(listed.stdout.lines().count(), 6, "{listed:?}");
    assert!(!listed.stdout.contains("skipped"), "{listed:?}");
    assert!(listed.stderr.contains("--event skipped"), "{listed:?}");
    let (fresh_serial, fresh) = issue(&alice).await;
    assert!(fresh_serial >= through, "{fresh_serial} {through}");
    let after = site.host.json(&["sync"]).await;
    assert!(after["krl_version"].as_u64() > before["krl_version"].as_u64());
    let note = after["notes"][0].as_str().unwrap();
    for part in ["carol", "the disk died", &*fingerprint] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(site.host.json(&["sync"]).await["notes"], json!([]));
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
    let said = "is not signed by this server's ledger key";
    assert!(done.stderr.contains(said), "{done:?}");
    // The CA key was rotated since: the ledger's key proves whose backup it is.
    files::write_key(&site.env.folder().join("next_key"), &files::new_key());
    let (old, new) = ("file = \"ca_key\"", "file = \"../next_key\"");
    site.env.edit("daypass.toml", old, new);
    site.restore("backup").await.exits("the good one", 0);
    site.env.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_not_known_before_counts_only_by_name() {
    let mut site = Site::start().await;
    let (laptop, admin) = (site.env.terminal("alice"), site.env.terminal("carol"));
    laptop.sign_in("alice").await;
    admin.sign_in("carol").await;
    site.host.json(&["sync"]).await;
    site.back_up("backup").await.exits("backup", 0);
    site.revoke_one().await;
    assert_eq!(laptop.run(&["roles"]).await.code, 0);
    site.host.json(&["sync"]).await;
    site.lose_and_restore("backup").await;
    // The policy names no administrator's key, so the session's signs, and no one knows it.
    let accepted = admin.json(&ACCEPT).await;
    let key = accepted["key"].as_str().unwrap().to_owned();
    let other = format!("SHA256:{}", "a".repeat(43));

    let done = laptop.run(&["roles"]).await.exits("the laptop", 1);
    let command = format!("daypass ledger accept {key}");
    assert!(done.stderr.contains(&command), "{done:?}");
    let done = laptop.run(&["ledger", "accept", &other]).await;
    done.exits("another fingerprint", 1);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    laptop.run(&words).await.exits("by name", 0);
    assert_eq!(laptop.run(&["roles"]).await.code, 0);

    let kept = site.host.read("daypass/revoked.krl");
    let failure = site.host.fails(&["sync"]).await;
    let command = format!("daypass host sync --accept-key {key}");
    assert!(failure.2.contains(&command), "{failure:?}");
    let (code, reason, _) = site.host.fails(&["sync", "--accept-key", &other]).await;
    assert_eq!((code, &*reason), (1, "LEDGER_RESTORED"));
    assert_eq!(site.host.read("daypass/revoked.krl"), kept);
    site.host.json(&["sync", "--accept-key", &key]).await;
    site.host.json(&["sync"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_stolen_server_names_at_last_accepts_nothing() {
    let mut site = Site::start().await;
    let (key, _) = site.administrators_key("administrator");
    site.register(&key).await;
    site.carol = site.env.carol();
    let (laptop, thief) = (site.env.terminal("alice"), site.env.terminal("carol"));
    laptop.sign_in("alice").await;
    thief.sign_in("carol").await;
    assert_eq!(laptop.run(&["roles"]).await.code, 0);
    site.host.json(&["sync"]).await;
    site.back_up("backup").await.exits("backup", 0);
    // The thief has all keys of the server, and names a key of their own.
    let (own, _) = site.administrators_key("thief");
    site.register(&own).await;
    site.revoke_one().await;
    assert_eq!(laptop.run(&["roles"]).await.code, 0);
    site.host.json(&["sync"]).await;
    site.lose_and_restore("backup").await;
    thief.json(&[&ACCEPT[..], &["--key", &own]].concat()).await;
    let done = laptop.run(&["roles"]).await.exits("the laptop", 1);
    assert!(done.stderr.contains("a short time ago"), "{done:?}");
    let failure = site.host.fails(&["sync"]).await;
    assert_eq!(failure.1, "LEDGER_RESTORED");
    assert!(failure.2.contains("a short time ago"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_one_restore_is_refused_after_another() {
    let mut site = Site::start().await;
    let (key, _) = site.administrators_key("administrator");
    site.register(&key).await;
    site.carol = site.env.carol();
    let admin = site.env.terminal("carol");
    admin.sign_in("carol").await;
    site.back_up("one").await.exits("backup", 0);
    site.revoke_one().await;
    site.back_up("two").await.exits("backup", 0);
    site.lose_and_restore("one").await;
    admin.json(&[&ACCEPT[..], &["--key", &key]].concat()).await;
    let events = site.env.events(0).await;
    let accepted = events.iter().find(|event| event.get("restore").is_some());
    let accepted = accepted.unwrap().clone();
    let through = accepted["target"]["through"].as_u64().unwrap();
    for (case, copy) in [("another copy", "two"), ("the same copy", "one")] {
        site.lose_and_restore(copy).await;
        let carol = site.carol.over(&site.env.api);
        let target = revoke_request::Target::Through(through);
        let mut request = carol.revoke_request(target, 0);
        let text = |name: &str| accepted["restore"][name].as_str().unwrap().to_owned();
        let base64 = text("signature");
        let lines: Vec<&str> = base64
            .as_bytes()
            .chunks(70)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let armored = format!(
            "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
            lines.join("\n")
        );
        request.restore = Some(RestoreStatement {
            size: accepted["restore"]["size"].as_u64().unwrap(),
            root: base16ct::lower::decode_vec(text("root")).unwrap(),
            public_key: text("key"),
            signature: armored,
        });
        let refusal = carol.send_revoke(request).await.unwrap_err();
        assert_eq!(refusal.reason, "LEDGER_RESTORED", "{case}");
        assert!(
            refusal.message.contains("another restored copy"),
            "{case}: {refusal:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_knows_more_than_was_accepted_refuses_until_more_is() {
    let mut site = Site::start().await;
    let (key, _) = site.administrators_key("administrator");
    site.register(&key).await;
    site.carol = site.env.carol();
    let admin = site.env.terminal("carol");
    admin.sign_in("carol").await;
    site.host.json(&["sync"]).await;
    site.back_up("backup").await.exits("backup", 0);
    // The lost ledger grew by more entries than an administrator's client adds on its own.
    let store = &site.env.authority().store;
    for _ in 0..1100 {
        let event = EventKind::KeyStaged {
            key: "SHA256:x".to_owned(),
        };
        store
            .record(event, OffsetDateTime::now_utc())
            .await
            .unwrap();
    }
    site.revoke_one().await;
    let known = site.host.json(&["sync"]).await["krl_version"]
        .as_u64()
        .unwrap();
    let laptop = site.env.terminal("alice");
    laptop.sign_in("alice").await;
    assert_eq!(laptop.run(&["roles"]).await.code, 0);
    site.lose_and_restore("backup").await;
    admin.json(&[&ACCEPT[..], &["--key", &key]].concat()).await;
    let failure = site.host.fails(&["sync"]).await;
    let words = format!("daypass admin accept-restore --past {known}");
    assert!(failure.2.contains(&words), "{failure:?}");
    let done = laptop.run(&["roles"]).await.exits("the laptop", 1);
    let (_, past) = done.stderr.rsplit_once("--past ").unwrap();
    let past = past.split('\n').next().unwrap().trim().to_owned();
    let words = [&ACCEPT[..], &["--key", &key, "--past", &past]].concat();
    admin.json(&words).await;
    site.host.json(&["sync"]).await;
    laptop.run(&["roles"]).await.exits("the laptop", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_put_back_by_hand_are_refused_by_all_who_know_more_until_they_are_marked() {
    let mut site = Site::start().await;
    let (key, _) = site.administrators_key("administrator");
    site.register(&key).await;
    site.carol = site.env.carol();
    let (laptop, admin) = (site.env.terminal("alice"), site.env.terminal("carol"));
    laptop.sign_in("alice").await;
    admin.sign_in("carol").await;
    site.host.json(&["sync"]).await;
    // A snapshot of the machine, say.
    site.env.server.world_mut().stop_daemon().await.unwrap();
    let copy = |from: PathBuf, to: PathBuf| {
        let mut cp = Command::new("cp");
        assert!(cp.arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copy(site.state(), site.at("snapshot"));
    site.env.restart().await;
    site.carol = site.env.carol();
    let revoked = site.revoke_one().await;
    assert_eq!(laptop.run(&["roles"]).await.code, 0);
    assert_eq!(admin.run(&["roles"]).await.code, 0);
    let before = site.host.json(&["sync"]).await;

    site.lose("by-hand").await;
    copy(site.at("snapshot"), site.state());
    site.env.restart().await;
    // The server does not know it. Who has seen more does, and says what helps.
    let done = laptop.run_json(&["roles"]).await.exits("the laptop", 1);
    assert!(done.stderr.contains("restore --by-hand"), "{done:?}");
    let failure = site.host.fails(&["sync"]).await;
    assert!(failure.2.contains("restore --by-hand"), "{failure:?}");
    let (_, _, doctor) = site.doctor().await;
    assert!(doctor.contains("restore --by-hand"), "{doctor}");

    let config = site.configuration();
    let mark = ["restore", "--by-hand", "--config", &config];
    let done = site.operator(&mark).await.exits("while it runs", 1);
    assert!(done.stderr.contains("in use"), "{done:?}");
    site.env.server.world_mut().stop_daemon().await.unwrap();
    site.operator(&mark).await.exits("marked", 0);
    site.env.restart().await;
    let done = laptop.run_json(&["roles"]).await.exits("not accepted", 1);
    assert_eq!(done.error()["reason"], "LEDGER_RESTORED");
    admin.json(&[&ACCEPT[..], &["--key", &key]].concat()).await;
    let done = laptop.run(&["roles"]).await.exits("the laptop", 0);
    assert!(
        done.stderr.contains(" UTC. Their reason: the disk died"),
        "{done:?}"
    );
    let after = site.host.json(&["sync"]).await;
    assert!(after["krl_version"].as_u64() > before["krl_version"].as_u64());
    let list = site.host.path("daypass/revoked.krl");
    let listed = Command::new("ssh-keygen")
        .args(["-Q", "-l", "-f"])
        .arg(list)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let (_, last) = listed.split_once("serial: 1-").unwrap();
    let last: u64 = last.split_whitespace().next().unwrap().parse().unwrap();
    assert!(last > revoked, "{listed}");
}
