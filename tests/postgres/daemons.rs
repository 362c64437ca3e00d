//! Two daemons of one server on one database, each a process of its own, as operators run them.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use daypass::{
    ledger::state::Verb,
    proto::v1::{preview_request, request::State},
};
use tokio::time::timeout;

use super::{
    cluster::{Cluster, Database},
    support::{
        api::{Api, Caller, ask},
        command::Terminal,
        env::UNLIMITED,
        files, https, ledger,
        orders::identity,
        policy,
        server::{Process, ServerFiles, signal},
        user::TestUser,
    },
    testing::until,
};

/// The bound for what one daemon learns from another.
const SOON: Duration = Duration::from_secs(1);

/// The same on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn policy() -> String {
    [
        &policy::limits(&["root"]),
        policy::AUDIT_AND_ADMIN,
        &policy::role("shell", "sre", "root", &["ttl = \"1h\""]),
        &policy::role("prod", "oncall", "root", &[policy::APPROVAL]),
    ]
    .concat()
}

/// A daemon, and a connection to it.
pub(crate) struct Daemon {
    pub(crate) files: ServerFiles,
    pub(crate) process: Process,
    pub(crate) api: Api,
}

impl Daemon {
    pub(crate) async fn start(files: ServerFiles) -> Self {
        let mut process = files.spawn(&[]);
        let api = files.expect_api(&mut process).await;
        Self {
            files,
            process,
            api,
        }
    }

    pub(crate) async fn again(&mut self) {
        self.process = self.files.spawn(&[]);
        self.api = self.files.expect_api(&mut self.process).await;
    }

    pub(crate) fn user(&self, name: &str, groups: &[&str]) -> TestUser {
        let caller = Caller::new();
        TestUser {
            name: name.to_owned(),
            token: self.files.token(&caller, name, groups),
            caller,
            api: self.api.clone(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let client = https::client(self.files.tls_ca());
        let answer = client.get(format!("{}{path}", self.files.url())).send();
        let answer = answer.await.unwrap();
        (
            answer.status().as_u16(),
            answer.bytes().await.unwrap().to_vec(),
        )
    }

    /// The kinds of all events.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        let auditor = self.user("carol", &["security"]);
        let events = self.api.events(&auditor.token, 0).await;
        let kind = |event: &serde_json::Value| event["type"].as_str().unwrap_or("?").to_owned();
        events.iter().map(kind).collect()
    }
}

/// Two daemons on a new database.
pub(crate) async fn pair(database: &Database) -> [Daemon; 2] {
    pair_at(&[database.address(), database.address()]).await
}

/// The same, by an address for each.
pub(crate) async fn pair_at(addresses: &[String; 2]) -> [Daemon; 2] {
    pair_with(addresses, "", &[]).await
}

/// The same with more sections of the configuration, and the secret files that they name.
pub(crate) async fn pair_with(
    addresses: &[String; 2],
    sections: &str,
    secrets: &[(&str, &str)],
) -> [Daemon; 2] {
    let prepared = prepared(addresses, sections, secrets).await;
    start_all(prepared).await
}

/// The files of two daemons.
pub(crate) async fn prepared(
    addresses: &[String; 2],
    sections: &str,
    secrets: &[(&str, &str)],
) -> [ServerFiles; 2] {
    let folder = files::folder();
    let write = |folder: &Path, address: &str| {
        files::write_secret(&folder.join("postgres"), address);
        for (name, secret) in secrets {
            files::write_secret(&folder.join(name), secret);
        }
    };
    write(folder.path(), &addresses[0]);
    let sections = format!("[store]\npostgres_file = \"postgres\"\n{sections}");
    let first = ServerFiles::prepare(folder, &policy(), UNLIMITED, &sections).await;
    let second = first.replica();
    write(second.folder(), &addresses[1]);
    [first, second]
}

pub(crate) async fn start_all([first, second]: [ServerFiles; 2]) -> [Daemon; 2] {
    [Daemon::start(first).await, Daemon::start(second).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_of_two_daemons_have_serials_of_one_row_and_documents_are_the_same() {
    let database = Cluster::shared().database().await;
    let [mut a, b] = pair(&database).await;
    let alice = a.user("alice", &["sre"]);
    let mut serials = Vec::new();
    for _ in 0..5 {
        for [daemon, other] in [[&a, &b], [&b, &a]] {
            let pass = alice.over(&daemon.api).issue(ask("shell")).await.unwrap();
            serials.push(pass.serial);
            // A client that asks another server next must not find a shorter ledger.
            let (_, note) = other.get("/checkpoint").await;
            let note = String::from_utf8(note).unwrap();
            let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
            assert!(size > pass.serial, "{size} {}", pass.serial);
        }
    }
    let first = serials[0];
    let expected: Vec<u64> = (first..first + 10).collect();
    assert_eq!(serials, expected, "each serial is the index of its event");
    let carol = b.user("carol", &["security"]);
    let target = preview_request::Target::Serial(first);
    let after = carol.preview(target).await.unwrap().after;
    let target = daypass::proto::v1::revoke_request::Target::Serial(first);
    let revoked = carol.send_revoke(carol.revoke_request(target, after)).await;
    assert_eq!(revoked.unwrap(), [first]);
    // The other one knows it without waiting.
    for path in ["/krl", "/ca.pub", "/recovery"] {
        assert_eq!(a.get(path).await, b.get(path).await, "{path}");
        let (status, body) = a.get(path).await;
        assert!(status == 200 && !body.is_empty(), "{path}: {status}");
    }
    // One of them starts again: the keys are named once, and so is the policy.
    let before = a.get("/ca.pub").await;
    signal(a.process.0.id(), "TERM");
    assert!(a.process.ended().await.success());
    a.again().await;
    assert_eq!(a.get("/ca.pub").await, before);
    let kinds = b.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|it| *it == kind).count();
    let counted = ["started", "key_activated", "policy_loaded"].map(count);
    assert_eq!(counted, [3, 1, 1], "{kinds:?}");
    ledger::assert_verifies(&b.api, &carol.token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_one_daemon_is_refused_by_the_other_at_once() {
    let database = Cluster::shared().database().await;
    let [a, b] = pair(&database).await;
    let (alice, carol) = (a.user("alice", &["sre"]), a.user("carol", &["security"]));
    let on_b = alice.over(&b.api);
    on_b.issue(ask("shell")).await.unwrap();
    let target = preview_request::Target::Identity("alice@example.com".to_owned());
    let after = carol.preview(target).await.unwrap().after;
    let lock = carol.lock_request(identity("alice@example.com"), after);
    let locked = carol.send_lock(lock).await.unwrap();
    assert_eq!(
        locked.serials.len(),
        1,
        "the pass of the other daemon is revoked"
    );
    // No time passes: the ledger decides, not what the other daemon has heard.
    let refused = on_b.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "LOCKED", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_one_daemon_is_watched_decided_and_redeemed_on_the_others() {
    let database = Cluster::shared().database().await;
    let [a, b] = pair(&database).await;
    let (bob, lead) = (a.user("bob", &["oncall"]), b.user("dave", &["sre-lead"]));
    let mut watch = lead.watch(0).await.unwrap();
    let mut fastest = PATIENCE;
    let mut last = None;
    for _ in 0..10 {
        let another = a.user("bob", &["oncall"]);
        let request = another.request(ask("prod")).await;
        let filed = Instant::now();
        let told = timeout(PATIENCE, watch.message()).await;
        let told = told.expect("a change comes").unwrap().unwrap();
        assert_eq!(told.id, request.id);
        fastest = fastest.min(filed.elapsed());
        last = Some((another, request));
    }
    assert!(fastest < SOON, "{fastest:?}");
    let (another, request) = last.unwrap();
    let seen = lead.view(request.id).await.unwrap();
    let approved = lead.approve(&seen).await;
    assert_eq!(approved.unwrap().state(), State::Approved);
    let redeemed = another.redeem(&request, ask("prod")).await.unwrap();
    assert!(redeemed.serial > request.id);
    // Spent once, on any daemon.
    let again = another.over(&b.api).redeem(&request, ask("prod")).await;
    assert!(again.is_err());
    let other = bob.request(ask("prod")).await;
    until(async || lead.view(other.id).await.is_ok()).await;
    let seen = lead.view(other.id).await.unwrap();
    let denied = lead.decide(Verb::Deny, &seen).await;
    assert_eq!(denied.unwrap().state(), State::Denied);
}

/// Asks on one daemon until it is told to stop. Returns the serials of the passes that it got.
pub(crate) fn asking(
    user: TestUser,
    is_over: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Vec<u64>> {
    tokio::spawn(async move {
        let mut serials = Vec::new();
        while !is_over.load(Ordering::SeqCst) {
            match user.issue(ask("shell")).await {
                Ok(pass) => serials.push(pass.serial),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        serials
    })
}

/// Checks the ledger against the passes that callers have.
pub(crate) async fn assert_all_recorded(daemon: &Daemon, serials: Vec<u64>) {
    let carol = daemon.user("carol", &["security"]);
    let export = ledger::assert_verifies(&daemon.api, &carol.token).await;
    assert_decided(daemon, &export, serials.len()).await;
    let unique: BTreeSet<u64> = serials.iter().copied().collect();
    assert_eq!(unique.len(), serials.len(), "no serial twice");
    let mut issued = BTreeSet::new();
    for line in export.split(|byte| *byte == b'\n') {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
        if event["type"] == "issued" {
            issued.insert(event["index"].as_u64().unwrap());
        }
    }
    let lost: Vec<_> = unique.difference(&issued).collect();
    assert!(
        lost.is_empty(),
        "acknowledged and not in the ledger: {lost:?}"
    );
}

/// Demands that the export's policies give each of its passes, of which there are `at_least` many.
async fn assert_decided(daemon: &Daemon, export: &[u8], at_least: usize) {
    let home = files::folder();
    let file = home.path().join("export");
    fs::write(&file, export).unwrap();
    let terminal = Terminal {
        home: home.path().to_owned(),
        state: home.path().join("state"),
        variables: Vec::new(),
    };
    let key = ledger::trust(&daemon.api).await.ledger_verifier_key;
    let file = file.to_str().unwrap();
    let verified = terminal
        .json(&["ledger", "verify", file, "--decisions", "--key", &key])
        .await;
    let decisions = &verified["decisions"];
    assert_eq!(decisions["wrong"], 0, "{decisions}");
    assert_eq!(decisions["without_text"], 0, "{decisions}");
    let confirmed = decisions["confirmed"].as_u64().unwrap();
    assert!(confirmed >= at_least as u64, "{decisions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_under_load_loses_no_pass_and_stops_no_other() {
    let database = Cluster::shared().database().await;
    let [mut a, b] = pair(&database).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut asks = Vec::new();
    for number in 0..8 {
        let daemon = [&a, &b][number % 2];
        let user = daemon.user(&format!("user-{number}"), &["sre"]);
        asks.push(asking(user, is_over.clone()));
    }
    for _ in 0..3 {
        let size = b
            .api
            .ledger_size(&b.user("carol", &["security"]).token)
            .await;
        until(async || {
            b.api
                .ledger_size(&b.user("carol", &["security"]).token)
                .await
                > size + 50
        })
        .await;
        a.process.kill();
        let size = b
            .api
            .ledger_size(&b.user("carol", &["security"]).token)
            .await;
        until(async || {
            b.api
                .ledger_size(&b.user("carol", &["security"]).token)
                .await
                > size + 20
        })
        .await;
        a.again().await;
    }
    is_over.store(true, Ordering::SeqCst);
    let mut serials = Vec::new();
    for one in asks {
        serials.extend(one.await.unwrap());
    }
    assert!(serials.len() > 60, "{}", serials.len());
    assert_all_recorded(&a, serials.clone()).await;
    assert_all_recorded(&b, serials).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_policies_take_no_turns_and_the_last_that_an_operator_loaded_is_in_force() {
    let database = Cluster::shared().database().await;
    let [mut a, b] = pair(&database).await;
    let alice = a.user("alice", &["sre"]);
    let on_b = alice.over(&b.api);
    let old = fs::read_to_string(b.files.path("policy.toml")).unwrap();
    let new = old.replace("ttl = \"1h\"", "ttl = \"10m\"");
    fs::write(b.files.path("policy.toml"), &new).unwrap();
    signal(b.process.0.id(), "HUP");
    let lifetime = async |user: &TestUser| {
        let pass = user.issue(ask("shell")).await.unwrap();
        pass.valid_before - pass.valid_after
    };
    until(async || lifetime(&on_b).await < 1000).await;
    // The other one is refused, says why, and is not ready.
    for _ in 0..5 {
        let refused = alice.issue(ask("shell")).await.unwrap_err();
        assert_eq!(refused.reason, "POLICY_CHANGED", "{refused:?}");
        assert_eq!(refused.code, tonic::Code::Unavailable);
        lifetime(&on_b).await;
    }
    let (status, notes) = a.get("/readyz").await;
    let notes = String::from_utf8(notes).unwrap();
    assert_eq!(status, 503, "{notes}");
    assert!(notes.contains("policy: another server"), "{notes}");
    until(async || a.files.log().contains("give it the same policy file")).await;
    // A start with the file that it had before puts nothing back.
    a.process.kill();
    a.again().await;
    let on_a = alice.over(&a.api);
    let refused = on_a.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "POLICY_CHANGED", "{refused:?}");
    assert!(lifetime(&on_b).await < 1000);
    // It goes on by itself when the file is there.
    fs::write(a.files.path("policy.toml"), &new).unwrap();
    until(async || on_a.issue(ask("shell")).await.is_ok()).await;
    assert!(lifetime(&on_a).await < 1000);
    let kinds = b.kinds().await;
    let loaded = kinds.iter().filter(|it| *it == "policy_loaded").count();
    assert_eq!(loaded, 2, "{kinds:?}");
    // An operator's reload decides, whichever file it is.
    fs::write(a.files.path("policy.toml"), &old).unwrap();
    signal(a.process.0.id(), "HUP");
    until(async || {
        on_a.issue(ask("shell"))
            .await
            .is_ok_and(|pass| pass.valid_before - pass.valid_after > 1000)
    })
    .await;
    let kinds = b.kinds().await;
    let loaded = kinds.iter().filter(|it| *it == "policy_loaded").count();
    assert_eq!(loaded, 3, "{kinds:?}");
}
