//! Logins that a host reports: a real sshd's, against the real daemon, and what a thief of the CA
//! key, a flood, and a log that was rotated or is gone lead to.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use daypass::{
    ledger::event::NewHost,
    notify::Schedule,
    proto::v1::{Ask, Login, LoginCertificate, LoginReport, ReportLoginsRequest, revoke_request},
    ssh::host_proof::HostVerb,
};
use prost::Message;
use serde_json::Value;
use sha2::{Digest, Sha256};
use ssh_key::{Certificate, HashAlg, public::KeyData};
use tempfile::TempDir;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    ca::{Ca, Pass},
    daemon::issue,
    fake_ca::FakeCa,
    fake_hosts::CODE,
    host::Host,
    sshd::{Sshd, log, login},
    support::{
        command::{DAYPASS, Done},
        env::{EnvOptions, TestEnv},
        files::{self, new_key, write_key, write_program},
        hosts::{SECTION, TestHost, code, join, new_host, report_logins},
        now,
        policy::{AUDIT_AND_ADMIN, limits, role},
    },
};

const QUICK: Schedule = Schedule {
    first: Duration::from_millis(20),
    most: Duration::from_millis(100),
    attempts: 3,
};

/// A server that knows hosts. The folder has its host CA key.
fn knowing() -> (EnvOptions, TempDir) {
    let folder = files::folder();
    let file = folder.path().join("host_ca_key");
    write_key(&file, &new_key());
    let section = SECTION.replace("host_ca_key", &file.display().to_string());
    (TestEnv::new().configuration(section), folder)
}

/// A server, and a host that has joined, whose sshd's lines the test writes to a log file.
struct Site {
    env: TestEnv,
    host: Host,
    sshd: Sshd,
    /// Bytes of sshd's output that are in the log file.
    copied: usize,
    _folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let (options, folder) = knowing();
        let env = options
            .webhook_schedule(QUICK)
            .signed_in(&["carol"])
            .start()
            .await;
        let host = Host::new().await;
        let (url, roots) = env.world().server();
        host.set_up_at(&url, &roots, &[]).await;
        let code = env.carol().add_host("web-1", false).await.unwrap();
        let sshd = Sshd::start(&host);
        let mut site = Self {
            env,
            host,
            sshd,
            copied: 0,
            _folder: folder,
        };
        site.write(0);
        let log = format!("--logins={}", site.log().display());
        site.host.json(&["setup", "--join", &code, &log]).await;
        site
    }

    fn log(&self) -> std::path::PathBuf {
        self.host.path("auth.log")
    }

    /// Writes sshd's new lines as a syslog daemon does, which has a clock that is so many seconds
    /// ahead.
    fn write(&mut self, ahead: i64) {
        let said = log(&self.host);
        let new = said.get(self.copied..).unwrap_or_default();
        let at = OffsetDateTime::now_utc() + time::Duration::seconds(ahead);
        let at = at.format(&Rfc3339).unwrap();
        let mut text = fs::read_to_string(self.log()).unwrap_or_default();
        for line in new.lines() {
            text.push_str(&format!("{at} web-1 sshd[7]: {line}\n"));
        }
        fs::write(self.log(), text).unwrap();
        self.copied = said.len();
    }

    /// A login with this pass, which sshd takes, and the sync after it.
    async fn login(&mut self, pass: &Pass, ahead: i64) -> Value {
        assert!(self.sshd.takes(pass), "{}", log(&self.host));
        self.write(ahead);
        self.sync().await
    }

    async fn sync(&self) -> Value {
        let report = self.host.json(&["sync"]).await;
        assert_eq!(report["notes"], serde_json::json!([]), "{report}");
        report["host"]["logins"].clone()
    }

    async fn findings(&self) -> Vec<Value> {
        foreign(self.env.events(0).await)
    }

    /// A certificate that a thief makes with the copied CA key, by OpenSSH's own tool.
    fn theft(&self, serial: &str, key_id: &str) -> Pass {
        let folder = files::folder();
        let key = folder.path().join("thief");
        let ca = self.env.world().files().dir().join("ca_key");
        let keygen = |words: &[&str]| {
            let done = Command::new("ssh-keygen")
                .args(words)
                .stdout(Stdio::null())
                .status();
            assert!(done.unwrap().success(), "{words:?}");
        };
        let (key, ca) = (key.to_str().unwrap(), ca.to_str().unwrap());
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", key]);
        let public = format!("{key}.pub");
        keygen(&[
            "-q",
            "-s",
            ca,
            "-I",
            key_id,
            "-n",
            &login(),
            "-z",
            serial,
            "-V",
            "+1h",
            &public,
        ]);
        let certificate = fs::read_to_string(format!("{key}-cert.pub")).unwrap();
        Pass {
            key: fs::read_to_string(key).unwrap(),
            certificate: Certificate::from_openssh(certificate.trim()).unwrap(),
        }
    }
}

fn foreign(events: Vec<Value>) -> Vec<Value> {
    let events = events.into_iter();
    events.filter(|it| it["type"] == "foreign_login").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_by_the_copied_ca_key_is_an_event_and_a_webhook_after_one_sync() {
    let mut site = Site::start().await;
    let alice = site.env.user("alice", &["sre"]);
    let (_, pass) = issue(&alice).await;
    let logins = site.login(&pass, 0).await;
    assert_eq!(
        (&logins["reported"], &logins["foreign"]),
        (&1.into(), &0.into())
    );
    assert_eq!(
        site.findings().await,
        Vec::<Value>::new(),
        "a pass is as it was issued"
    );

    let place = site.host.read("daypass/logins.json");
    let thief = site.theft("4711", "mallory");
    let logins = site.login(&thief, 0).await;
    assert_eq!(
        (&logins["reported"], &logins["foreign"]),
        (&1.into(), &1.into())
    );
    let found = site.findings().await;
    assert_eq!(found.len(), 1, "{found:?}");
    let event = found[0].clone();
    for (field, expected) in [
        ("host", "web-1"),
        ("finding", "unknown"),
        ("login", login().as_str()),
        ("from", "127.0.0.1"),
        ("key_id", "mallory"),
    ] {
        assert_eq!(event[field], expected, "{event}");
    }
    assert_eq!(event["serial"], 4711);
    let receiver = site.env.world().receiver();
    let is_told = |all: &[daypass::dev::receiver::Delivery]| {
        all.iter().any(|one| one.kind() == "foreign_login")
    };
    let told = tokio::time::timeout(Duration::from_secs(60), receiver.until(is_told)).await;
    assert!(told.is_ok(), "no webhook");

    // The answer was lost: the host reports the same lines again.
    assert_eq!(site.sync().await["reported"], 0);
    fs::write(site.host.path("daypass/logins.json"), &place).unwrap();
    let logins = site.sync().await;
    assert_eq!(
        (&logins["reported"], &logins["foreign"]),
        (&1.into(), &1.into())
    );
    assert_eq!(site.findings().await, [event], "recorded once");

    // A real serial does not help the thief, and neither does a key id that sshd cuts.
    let (serial, _) = issue(&alice).await;
    let copy = site.theft(&serial.to_string(), "mallory");
    assert_eq!(site.login(&copy, 0).await["foreign"], 1);
    let hidden = site.theft("4712", &"x".repeat(1000));
    assert_eq!(site.login(&hidden, 0).await["foreign"], 1);
    let kinds: Vec<Value> = site.findings().await;
    let kinds: Vec<&str> = kinds
        .iter()
        .map(|it| it["finding"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["unknown", "altered", "unreadable"]);
    site.env.assert_verifies().await;

    let listed = site
        .env
        .daypass("carol", "ledger list --event foreign_login --format text");
    let listed = listed.await.stdout;
    let words = format!("{} from 127.0.0.1 (serial 4711): not issued", login());
    assert!(listed.contains(&words), "{listed}");
    // Its own index stood in place of the serial that sshd saw.
    let index = site.findings().await[0]["index"].clone();
    let shown = site
        .env
        .daypass("carol", format!("ledger show {index} --format json"));
    let shown = shown.await.success();
    assert_eq!((&shown["index"], &shown["serial"]), (&index, &4711.into()));
    let hosts = site
        .env
        .daypass("carol", "hosts --format json")
        .await
        .success();
    let until = hosts["hosts"][0]["report"]["logins_until"].as_u64();
    assert!(
        until.is_some_and(|it| it.abs_diff(now().unsigned_abs()) < 300),
        "{hosts}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_pass_that_an_old_list_lets_in_is_found() {
    let mut site = Site::start().await;
    let alice = site.env.user("alice", &["sre"]);
    let (serial, pass) = issue(&alice).await;
    site.host.json(&["sync"]).await;
    let target = revoke_request::Target::Serial(serial);
    site.env.carol().revoke(target).await.unwrap();
    // Within the tolerance of clocks nothing is said.
    assert_eq!(site.login(&pass, 0).await["foreign"], 0);
    // That sync brought the new list. The host had an older one for two minutes more.
    let list = site.host.path("daypass/revoked.krl");
    fs::write(&list, Ca::new().krl(0, &[])).unwrap();
    assert_eq!(site.login(&pass, 120).await["foreign"], 1);
    let found = site.findings().await;
    assert_eq!((found.len(), &found[0]["finding"]), (1, &"late".into()));
    let why = found[0]["why"].as_str().unwrap();
    assert!(why.contains("after it was revoked"), "{why}");
}

fn seen(serial: u64, port: u32) -> Login {
    Login {
        logged_at: Some(1_795_987_801),
        login: "root".to_owned(),
        from: "203.0.113.7".to_owned(),
        port,
        certificate: Some(LoginCertificate {
            serial,
            key_id: "mallory".to_owned(),
            key: "SHA256:thief".to_owned(),
            ca: "SHA256:other".to_owned(),
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_a_host_is_a_bounded_number_of_events_and_only_its_own_keys_report() {
    let (options, _folder) = knowing();
    let env = options.start().await;
    let server = env.api.server_name().to_owned();
    let web = TestHost::new("web-1");
    let report = |logins| web.reporting_logins(&server, &["web"], logins);
    let stranger = report_logins(&env.api, report(vec![seen(1, 1)])).await;
    assert_eq!(stranger.unwrap_err().reason, "NO_SUCH_HOST");
    let code = env.carol().add_host("web-1", false).await.unwrap();
    join(&env.api, web.joining(&server, &code)).await.unwrap();

    let thief = TestHost::new("web-1").reporting_logins(&server, &["web"], vec![seen(1, 1)]);
    let refused = report_logins(&env.api, thief).await.unwrap_err();
    assert_eq!(refused.reason, "HOST_KEY_CHANGED");
    let good = report(vec![seen(1, 1)]);
    let mut changed = good.clone();
    let last = changed.report.len() - 1;
    changed.report[last] ^= 1;
    assert!(
        report_logins(&env.api, changed).await.is_err(),
        "changed bytes"
    );
    let digest = Sha256::digest(&good.report).into();
    let as_sync = ReportLoginsRequest {
        keys: web.prove(&server, HostVerb::Sync, &digest),
        report: good.report.clone(),
    };
    assert!(
        report_logins(&env.api, as_sync).await.is_err(),
        "another verb"
    );
    let old = LoginReport {
        at: (now().unsigned_abs() - 3600) * 1000,
        host: "web-1".to_owned(),
        groups: Vec::new(),
        logins: vec![seen(1, 1)],
    }
    .encode_to_vec();
    let old = ReportLoginsRequest {
        keys: web.prove(&server, HostVerb::Logins, &Sha256::digest(&old).into()),
        report: old,
    };
    assert_eq!(
        report_logins(&env.api, old).await.unwrap_err().reason,
        "HOST_REPORT"
    );
    let many = report((0..101).map(|port| seen(1, port)).collect());
    assert!(report_logins(&env.api, many).await.is_err(), "too many");
    assert_eq!(foreign(env.events(0).await), Vec::<Value>::new());

    let flood = || (0..100).map(|port| seen(1, port)).collect();
    let (one, other) = tokio::join!(
        report_logins(&env.api, report(flood())),
        report_logins(&env.api, report(flood())),
    );
    assert_eq!((one.unwrap(), other.unwrap()), (100, 100));
    let found = foreign(env.events(0).await);
    assert_eq!(found.len(), 21, "twenty, and one that counts the rest");
    assert_eq!(found[20]["more"], 79, "{}", found[20]);
    let more = report((200..300).map(|port| seen(1, port)).collect());
    assert_eq!(report_logins(&env.api, more).await.unwrap(), 100);
    assert_eq!(foreign(env.events(0).await).len(), 21);
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_counts_by_its_own_group_names_and_aliases_as_in_a_log() {
    let (options, _folder) = knowing();
    let policy = format!(
        "{}{AUDIT_AND_ADMIN}[hosts]\nweb = [\"web-*\", \"10.0.0.*\"]\nedge = [\"x\"]\n{}",
        limits(&["deploy"]),
        role("shell", "sre", "deploy", &["hosts = [\"web\"]"])
    );
    let env = options.policy(policy).start().await;
    let server = env.api.server_name().to_owned();
    let carol = env.carol();
    let mut hosts = Vec::new();
    for (name, group, alias) in [("web-1", "edge", "10.0.0.7"), ("web-2", "web", "10.0.0.8")] {
        let code = code();
        let host = NewHost {
            group: group.to_owned(),
            aliases: vec![alias.to_owned()],
            ..new_host(name, &code)
        };
        let request = carol.add_host_request(host).await;
        carol.send_add_host(request).await.unwrap();
        let host = TestHost::new(name);
        join(&env.api, host.joining(&server, &code)).await.unwrap();
        hosts.push(host);
    }
    let alice = env.user("alice", &["sre"]);
    for (asked, on_edge, on_web) in [
        ("10.0.0.7", 0, 0),
        ("web-1", 0, 0),
        ("", 1, 0),
        ("web-2", 1, 0),
    ] {
        let ask = Ask {
            role: "shell".to_owned(),
            host: asked.to_owned(),
            ..Ask::default()
        };
        let issued = alice.issue(ask).await.unwrap();
        assert_eq!(issued.principals, ["deploy@web"]);
        let pass = Certificate::from_openssh(&issued.certificate).unwrap();
        let fingerprint = |key: &KeyData| key.fingerprint(HashAlg::Sha256).to_string();
        let login = Login {
            logged_at: Some(now().unsigned_abs()),
            login: "deploy".to_owned(),
            from: "203.0.113.7".to_owned(),
            port: 41_234,
            certificate: Some(LoginCertificate {
                serial: pass.serial(),
                key_id: pass.key_id().to_owned(),
                key: fingerprint(pass.public_key()),
                ca: fingerprint(pass.signature_key()),
            }),
        };
        for (host, expected) in hosts.iter().zip([on_edge, on_web]) {
            // It reports no groups.
            let report = host.reporting_logins(&server, &[], vec![login.clone()]);
            let found = report_logins(&env.api, report).await.unwrap();
            assert_eq!(found, expected, "asked for {asked:?}, on {}", host.name);
        }
    }
    let found = foreign(env.events(0).await);
    let kinds = found.iter().map(|it| &it["finding"]);
    assert!(kinds.eq(["elsewhere"; 2]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_text_of_a_login_refuses_no_report_and_is_recorded_as_one_line() {
    let (options, _folder) = knowing();
    let env = options.start().await;
    let server = env.api.server_name().to_owned();
    let web = TestHost::new("web-1");
    let code = env.carol().add_host("web-1", false).await.unwrap();
    join(&env.api, web.joining(&server, &code)).await.unwrap();
    let hostile = Login {
        login: format!("a\nb\u{202e}c\u{200b}{}", "x".repeat(1000)),
        ..seen(1, 1)
    };
    let report = web.reporting_logins(&server, &["web"], vec![hostile, seen(2, 2)]);
    assert_eq!(report_logins(&env.api, report).await.unwrap(), 2);
    let found = foreign(env.events(0).await);
    let logins: Vec<&str> = found.iter().filter_map(|it| it["login"].as_str()).collect();
    assert!(
        logins.iter().any(|it| it.starts_with("a b c xxx")),
        "{logins:?}"
    );
    assert!(logins.contains(&"root"), "{logins:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_restored_copy_waits_for_an_administrator_logins_are_kept_and_reported_after_it() {
    let mut site = Site::start().await;
    let key = new_key();
    let file = site.env.folder().join("administrator");
    write_key(&file, &key);
    let public = key.public_key().to_openssh().unwrap();
    let keys = format!("[admin]\nkeys  = [{public:?}]");
    site.env.edit("policy.toml", "[admin]", &keys);
    site.env.restart().await;
    let alice = site.env.user("alice", &["sre"]);
    let (_, pass) = issue(&alice).await;
    assert_eq!(site.login(&pass, 0).await["foreign"], 0);
    lose_and_restore(&mut site.env).await;

    let thief = site.theft("4711", "mallory");
    for pass in [&pass, &thief] {
        assert!(site.sshd.takes(pass), "{}", log(&site.host));
    }
    site.write(0);
    let place = site.host.read("daypass/logins.json");
    let waits = "logins are compared after an administrator has accepted the restored ledger: daypass admin accept-restore";
    for _ in 0..2 {
        let report = site.host.json(&["sync"]).await;
        assert_eq!(report["host"]["logins"], Value::Null, "{report}");
        assert!(report["notes"].to_string().contains(waits), "{report}");
        assert_eq!(site.host.read("daypass/logins.json"), place);
    }
    let doctor = site.host.daypass(&["doctor"]).await;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains(waits), "{doctor}");
    assert_eq!(site.findings().await, Vec::<Value>::new());

    let file = file.to_str().unwrap();
    let words = ["--reason", "the disk died", "--yes", "--key", file];
    let accept = [&["admin", "accept-restore"], &words[..]].concat();
    site.env.terminal("carol").json(&accept).await;
    let report = site.host.json(&["sync"]).await;
    let logins = &report["host"]["logins"];
    assert_eq!(
        (&logins["reported"], &logins["foreign"]),
        (&2.into(), &1.into()),
        "{report}"
    );
    // Not by the first page of events, which the skipped ones fill.
    let list = "ledger list --event foreign_login --format text";
    let listed = site.env.daypass("carol", list).await.stdout;
    assert_eq!(listed.matches(" foreign_login ").count(), 1, "{listed}");
    assert!(listed.contains("(serial 4711)"), "{listed}");
    let doctor = site.host.daypass(&["doctor"]).await;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.contains(waits), "{doctor}");
}

/// A copy is made, the server is lost, and the copy is put back.
async fn lose_and_restore(env: &mut TestEnv) {
    let (copy, world) = (
        env.folder().join("copy"),
        env.world().files().dir().to_owned(),
    );
    let copy = copy.to_str().unwrap();
    let config = world.join("daypass.toml").display().to_string();
    let run = async |words: &[&str]| {
        let mut command = tokio::process::Command::new(DAYPASS);
        command.args(words).args(["--config", &config]);
        command.stdin(Stdio::null());
        Done::of(command).await.exits(words[0], 0)
    };
    run(&["backup", copy, "--without-keys"]).await;
    env.server.world_mut().stop_daemon().await.unwrap();
    fs::rename(world.join("state"), world.join("lost")).unwrap();
    run(&["restore", copy]).await;
    env.restart().await;
}

/// A journal, as a program of this name prints it.
const JOURNALCTL: &str = r#"#!/bin/sh
here=$(dirname "$0")
is_root=
for word in "$@"; do case $word in
    _UID=0) is_root=yes ;;
    --lines=1) tail -n 1 "$here/journal"; exit ;;
    --cursor=*) cursor=${word#--cursor=} ;;
    --since=*) echo "$word" >>"$here/asked" ;;
esac; done
[ -n "$is_root" ] || { echo "it was asked for entries of every account" >&2; exit 1; }
if [ -e "$here/broken" ]; then echo "Failed to open journal" >&2; exit 1; fi
if [ -z "$cursor" ]; then cat "$here/journal"; exit; fi
# The entries from this cursor on; the oldest one, if it is gone.
grep -q "\"__CURSOR\":\"$cursor\"" "$here/journal" || { cat "$here/journal"; exit; }
sed -n "/\"__CURSOR\":\"$cursor\"/,\$p" "$here/journal"
"#;

/// sshd's words about a login.
fn accepted(serial: u64) -> String {
    format!(
        "Accepted publickey for root from 192.0.2.7 port 41234 ssh2: ED25519-CERT SHA256:kkkk ID alice/shell \
         (serial {serial}) CA ED25519 SHA256:cccc"
    )
}

struct Journal {
    server: FakeCa,
    host: Host,
    folder: TempDir,
    entries: Vec<String>,
}

impl Journal {
    async fn start() -> Self {
        let server = FakeCa::start(&Ca::new()).await;
        let host = Host::new().await;
        let folder = files::folder();
        write_program(&folder.path().join("journalctl"), JOURNALCTL);
        let mut journal = Self {
            server,
            host,
            folder,
            entries: Vec::new(),
        };
        journal.log("sshd", "Server listening on :: port 22.");
        journal
    }

    fn log(&mut self, program: &str, message: &str) {
        let number = self.entries.len();
        let entry = serde_json::json!({
            "__CURSOR": format!("s=1;i={number}"),
            "__REALTIME_TIMESTAMP": format!("{}000000", now()),
            "_HOSTNAME": "web-1",
            "_UID": "0",
            "SYSLOG_IDENTIFIER": program,
            "MESSAGE": message,
        });
        self.entries.push(entry.to_string());
        self.write(0);
    }

    fn accept(&mut self, program: &str, serial: u64) {
        self.log(program, &accepted(serial));
    }

    /// The journal without its first entries.
    fn write(&self, without: usize) {
        let rest: Vec<&str> = self
            .entries
            .iter()
            .skip(without)
            .map(String::as_str)
            .collect();
        fs::write(self.folder.path().join("journal"), rest.join("\n") + "\n").unwrap();
    }

    async fn daypass(&self, words: &[&str]) -> Value {
        let path = format!(
            "{}:{}",
            self.folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        let words = [words, &["--format", "json"]].concat();
        let output = self.host.daypass_with(&words, &[("PATH", &path)]).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// The serials that the server has been told of since the last time.
    fn told(&self) -> Vec<u64> {
        let reports = std::mem::take(&mut self.server.hosts.0.lock().logins);
        let logins = reports.into_iter().flat_map(|it| it.logins);
        logins.map(|it| it.certificate.unwrap().serial).collect()
    }

    async fn faults(&self) -> String {
        let report = self.daypass(&["doctor"]).await;
        let findings = report["findings"].as_array().unwrap().iter();
        let wrong = findings.filter(|it| it["level"] == "wrong");
        wrong.map(|it| it["message"].to_string()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_read_from_the_last_place_on_and_a_fault_of_it_stops_no_sync() {
    let mut journal = Journal::start().await;
    journal
        .host
        .set_up(&journal.server, &["--group", "web"])
        .await;
    // It has not joined.
    let report = journal.daypass(&["sync", "--logins"]).await;
    assert!(
        report["notes"].to_string().contains("--join CODE --logins"),
        "{report}"
    );
    let failed = journal.host.fails(&["setup", "--logins"]).await;
    assert!(
        failed.2.contains("daypass admin hosts add NAME"),
        "{failed:?}"
    );
    journal
        .host
        .json(&["setup", "--join", CODE, "--logins"])
        .await;

    journal.accept("sshd", 7);
    journal.accept("sshd-session", 8);
    journal.accept("sudo", 9);
    let report = journal.daypass(&["sync"]).await;
    assert_eq!(report["host"]["logins"]["reported"], 2, "{report}");
    assert_eq!(journal.told(), [7, 8]);
    let reports = journal.server.hosts.0.lock().reports.clone();
    assert!(reports.last().unwrap().logins_until.is_some());
    journal.daypass(&["sync"]).await;
    assert_eq!(journal.told(), Vec::<u64>::new(), "once");

    // The server does not take them: they come again.
    journal.accept("sshd-session", 10);
    journal.server.hosts.0.lock().refuse = Some("UNAVAILABLE");
    let report = journal.daypass(&["sync"]).await;
    assert_eq!(report["host"]["logins"], Value::Null, "{report}");
    journal.server.hosts.0.lock().refuse = None;
    journal.daypass(&["sync"]).await;
    assert_eq!(journal.told(), [10]);

    // A server without the method: the rest of the sync is done, and they come after its upgrade.
    journal.accept("sshd-session", 20);
    journal.server.hosts.0.lock().lacks_logins = true;
    let report = journal.daypass(&["sync"]).await;
    assert_eq!(report["host"]["logins"], Value::Null, "{report}");
    assert_eq!(report["host"]["reported"], true, "{report}");
    let old = "the server is older than reports of logins: upgrade it";
    assert!(report["notes"].to_string().contains(old), "{report}");
    let faults = journal.faults().await;
    assert!(faults.contains(old), "{faults}");
    journal.server.hosts.0.lock().lacks_logins = false;
    journal.daypass(&["sync"]).await;
    assert_eq!(journal.told(), [20]);

    // The journal cannot be read: the rest of the sync is done, and the server hears of it.
    fs::write(journal.folder.path().join("broken"), "").unwrap();
    let report = journal.daypass(&["sync"]).await;
    assert_eq!(report["host"]["reported"], true);
    let faults = journal.faults().await;
    assert!(faults.contains("Failed to open journal"), "{faults}");
    let reports = journal.server.hosts.0.lock().reports.clone();
    let told = reports.last().unwrap().faults.join(" ");
    assert!(told.contains("Failed to open journal"), "{told}");
    fs::remove_file(journal.folder.path().join("broken")).unwrap();

    // Entries that were not read are gone.
    journal.accept("sshd-session", 11);
    journal.accept("sshd-session", 12);
    journal.write(journal.entries.len() - 1);
    let report = journal.daypass(&["sync"]).await;
    assert_eq!(journal.told(), [12]);
    assert!(
        report["notes"]
            .to_string()
            .contains("removed before it was read"),
        "{report}"
    );
    assert!(
        journal
            .faults()
            .await
            .contains("removed before it was read")
    );

    // A set-up that does not name it keeps it, and one that ends it ends it.
    journal.host.json(&["setup"]).await;
    journal.accept("sshd-session", 13);
    journal.daypass(&["sync"]).await;
    assert_eq!(journal.told(), [13]);
    journal.host.json(&["setup", "--no-logins"]).await;
    journal.accept("sshd-session", 14);
    let report = journal.daypass(&["sync"]).await;
    assert_eq!(report["host"]["logins"], Value::Null, "{report}");
    assert_eq!(journal.told(), Vec::<u64>::new());
    assert!(!journal.host.path("daypass/logins.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_sixty_four_groups_reports_logins_and_one_of_more_is_refused_at_its_set_up() {
    let site = Site::start().await;
    let group = |number: usize| format!("{number:02}{}", "g".repeat(62));
    let named = |count: usize| -> Vec<String> {
        let groups = (0..count).map(group);
        groups.flat_map(|it| ["--group".to_owned(), it]).collect()
    };
    let words = named(65);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refused = site.host.fails(&[&["setup"], &words[..]].concat()).await;
    let why = "a host of 65 host groups cannot report logins, one of 64 can";
    assert!(refused.2.contains(why), "{refused:?}");
    site.host.json(&[&["setup"], &words[2..]].concat()).await;

    // As many as one report takes, with long texts.
    let said = format!(
        "ID {} (serial 4711) CA ED25519 SHA256:cccc",
        "x".repeat(250)
    );
    let at = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
    let line = |port: u16| {
        format!(
            "{at} web-1 sshd[7]: Accepted publickey for root from 192.0.2.7 port {port} ssh2: ED25519-CERT SHA256:kkkk {said}\n"
        )
    };
    let lines: String = (1..=150).map(line).collect();
    let mut text = fs::read_to_string(site.log()).unwrap();
    text.push_str(&lines);
    fs::write(site.log(), text).unwrap();
    let logins = site.sync().await;
    assert_eq!(
        (&logins["reported"], &logins["foreign"]),
        (&150.into(), &150.into())
    );
    site.host.json(&["setup", "--no-logins"]).await;
    let more = [&["setup"], &words[..]].concat();
    site.host.json(&more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sshd_that_logs_too_little_is_said() {
    let mut journal = Journal::start().await;
    journal.accept("sshd", 7);
    let more = format!("{}\nFingerprintHash md5\n", "LogLevel QUIET");
    fs::write(journal.host.path("sshd_config.d/10-quiet.conf"), more).unwrap();
    journal
        .host
        .set_up(&journal.server, &["--join", CODE])
        .await;
    let before = journal.faults().await;
    assert!(!before.contains("loglevel"), "{before}");
    journal.host.json(&["setup", "--logins"]).await;
    let faults = journal.faults().await;
    assert!(faults.contains("loglevel is SILENT"), "{faults}");
    assert!(faults.contains("fingerprinthash is MD5"), "{faults}");
}

/// A server with tight limits, and a host that was off the net for days.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_gets_on_at_each_sync_although_the_server_takes_a_part_of_it() {
    let mut journal = Journal::start().await;
    journal
        .host
        .set_up(&journal.server, &["--join", CODE])
        .await;
    journal.host.json(&["setup", "--logins"]).await;
    let file = format!("--logins={}", journal.folder.path().join("log").display());
    for words in [&["sync"][..], &["sync", &file]] {
        let _ = fs::write(journal.folder.path().join("log"), "");
        journal.server.hosts.0.lock().takes = usize::MAX;
        journal.daypass(words).await;
        journal.told();
        let mut text = String::new();
        for serial in 0..250 {
            journal.accept("sshd", serial);
            text.push_str(&format!(
                "Nov 29 21:30:01 web-1 sshd[7]: {}\n",
                accepted(serial)
            ));
        }
        fs::write(journal.folder.path().join("log"), text).unwrap();
        for (takes, expected, more) in [(2, 0..200, true), (1, 200..250, false), (1, 0..0, false)] {
            journal.server.hosts.0.lock().takes = takes;
            let report = journal.daypass(words).await;
            assert_eq!(journal.told(), expected.clone().collect::<Vec<u64>>());
            let logins = &report["host"]["logins"];
            assert_eq!(logins["reported"], expected.count(), "{report}");
            assert_eq!(logins["more"], more, "{report}");
        }
        // None is taken: that is a fault.
        journal.accept("sshd", 250);
        let text = fs::read_to_string(journal.folder.path().join("log")).unwrap();
        let text = format!("{text}Nov 29 21:30:01 web-1 sshd[7]: {}\n", accepted(250));
        fs::write(journal.folder.path().join("log"), text).unwrap();
        journal.server.hosts.0.lock().takes = 0;
        let report = journal.daypass(words).await;
        assert!(
            report["notes"].to_string().contains("too many calls"),
            "{report}"
        );
        journal.server.hosts.0.lock().takes = 1;
        journal.daypass(words).await;
        assert_eq!(journal.told(), [250]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_put_back_after_the_set_up_hides_no_login_for_days() {
    let mut journal = Journal::start().await;
    journal
        .host
        .set_up(&journal.server, &["--join", CODE])
        .await;
    journal.host.json(&["setup", "--logins"]).await;
    let place = journal.host.path("daypass/logins.json");
    let ahead = now() + 30 * 86400;
    let text = serde_json::json!({ "log": "journal", "until": ahead, "at": { "since": ahead } });
    fs::write(&place, text.to_string()).unwrap();
    let report = journal.daypass(&["sync"]).await;
    assert!(
        report["notes"]
            .to_string()
            .contains("clock of this host was put back"),
        "{report}"
    );
    assert!(
        journal
            .faults()
            .await
            .contains("clock of this host was put back")
    );
    let until = |report: &Value| report["host"]["logins"]["until"].as_i64().unwrap();
    assert!(until(&report) <= now(), "{report}");
    let asked = fs::read_to_string(journal.folder.path().join("asked")).unwrap();
    let since = asked
        .lines()
        .next_back()
        .unwrap()
        .trim_start_matches("--since=@");
    assert!(since.parse::<i64>().unwrap() <= now(), "{asked}");
    journal.accept("sshd", 7);
    journal.daypass(&["sync"]).await;
    assert!(journal.told().contains(&7));
}
