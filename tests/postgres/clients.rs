//! Clients that know several addresses of one server: each address is a daemon of its own, and any
//! of them may die.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use daypass::{ledger::state::Verb, proto::v1::request::State};
use tokio::time::timeout;

use super::{
    cluster::{Cluster, Database},
    daemons::{Daemon, pair, pair_at},
    proxy::Proxy,
    support::{api::ask, command::Terminal, files, running::Running, server::signal},
};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const WATCH: [&str; 4] = ["requests", "watch", "--format", "json"];

/// Two daemons, and the folder of people who know both.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) daemons: [Daemon; 2],
}

impl Site {
    async fn start(database: &Database) -> Self {
        Self::of(pair(database).await)
    }

    pub(crate) fn of(daemons: [Daemon; 2]) -> Self {
        let folder = files::folder();
        files::write_secret(&folder.path().join("password"), "any");
        Self { folder, daemons }
    }

    /// A terminal of a person of the dev issuer; no variable names a server.
    fn terminal(&self, name: &str) -> Terminal {
        let ca = self.daemons[0].files.path("tls.pem");
        let variables = [
            ("DAYPASS_CA_FILE", ca.display().to_string()),
            ("DAYPASS_DEV", self.folder.path().display().to_string()),
        ];
        Terminal {
            home: self.folder.path().join(name),
            state: self.folder.path().join(name).join("state"),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        }
    }

    /// Signs in at these addresses, which the session remembers.
    async fn sign_in(&self, name: &str, server: &str) -> Terminal {
        self.sign_in_on(name, name, server).await
    }

    /// The same on one of several machines of a person.
    pub(crate) async fn sign_in_on(&self, machine: &str, name: &str, server: &str) -> Terminal {
        let terminal = self.terminal(machine);
        terminal
            .json(&["login", "--as", name, "--server", server])
            .await;
        terminal
    }

    /// Both addresses, as a user types them.
    pub(crate) fn both(&self) -> String {
        let [a, b] = &self.daemons;
        format!("{},{}", a.files.url(), b.files.url())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_go_on_when_any_one_server_dies() {
    let database = Cluster::shared().database().await;
    let mut site = Site::start(&database).await;
    let both = site.both();
    let alice = site.sign_in("alice", &both).await;
    let status = alice.json(&["status"]).await;
    for daemon in &site.daemons {
        let server = status["server"].as_str().unwrap();
        assert!(server.contains(&daemon.files.url()), "{status}");
    }
    for killed in [0, 1, 0] {
        site.daemons[killed].process.kill();
        alice.json(&["pass", "--role", "shell"]).await;
        alice.json(&["roles"]).await;
        site.daemons[killed].again().await;
    }
    // One of the addresses names the same server, with the same sign-in and the same files.
    let second = site.daemons[1].files.url();
    alice.json(&["roles", "--server", &second]).await;
    let all = alice.json(&["status", "--all"]).await;
    assert_eq!(all["servers"].as_array().unwrap().len(), 1, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_swallows_every_packet_costs_less_than_a_second() {
    let database = Cluster::shared().database().await;
    let site = Site::start(&database).await;
    // Connections are made by the operating system, and nothing ever reads from them.
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let hole = format!("https://localhost:{}", hole.local_addr().unwrap().port());
    let alice = site
        .sign_in("alice", &format!("{hole},{}", site.both()))
        .await;
    let (mut quick, mut took) = (Duration::MAX, Duration::MAX);
    for turn in 0..3 {
        quick = quick.min(timed(&alice, &["roles"]).await);
        // The server that answered last stops as a machine without power does.
        let stopped = site.daemons[turn % 2].process.0.id();
        signal(stopped, "STOP");
        took = took.min(timed(&alice, &["roles"]).await);
        signal(stopped, "CONT");
    }
    // Ten seconds are the limit of one address.
    assert!(took < quick + Duration::from_secs(9), "{quick:?} {took:?}");
}

/// The passes that a server refused.
async fn refusals(daemon: &Daemon) -> u64 {
    let metrics = String::from_utf8(daemon.get("/metrics").await.1).unwrap();
    let calls = metrics
        .lines()
        .filter(|line| line.starts_with("daypass_calls_total{method=\"Passes/Issue\""));
    let refused = calls.filter(|line| !line.contains("code=\"OK\""));
    refused
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

async fn timed(terminal: &Terminal, words: &[&str]) -> Duration {
    let begun = Instant::now();
    terminal.json(words).await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_and_a_wait_go_on_at_the_other_server() {
    let database = Cluster::shared().database().await;
    let mut site = Site::start(&database).await;
    let both = site.both();
    let bob = site.sign_in("bob", &both).await;
    let dave = site.sign_in("dave", &both).await;
    let mut watch = Running::start(dave.command(&WATCH));
    let asked = [
        "pass", "--role", "prod", "--reason", "INC-7", "--wait", "10m", "--format", "json",
    ];
    let mut wait = Running::start(bob.command(&asked));
    wait.says("waiting for approval").await;
    let first = watch.prints().await;
    assert_eq!(first["state"], "pending");

    // Both are connected to the first address. It does not come back.
    site.daemons[0].process.kill();
    let approve = ["requests", "approve", &first["id"].to_string()];
    dave.run(&approve).await.exits("dave approves", 0);
    let ended = timeout(PATIENCE, wait.child.wait()).await;
    let ended = ended.expect("bob's wait ends").unwrap();
    assert_eq!(ended.code(), Some(0), "{:?}", wait.err.next_line().await);
    assert_eq!(wait.prints().await["role"], "prod");
    // Each state once, also those that came while no watch was open.
    let mut states = vec![];
    while states.last().is_none_or(|state| state != "redeemed") {
        states.push(watch.prints().await["state"].as_str().unwrap().to_owned());
    }
    let expected: [&[&str]; 2] = [&["approved", "redeemed"], &["redeemed"]];
    assert!(expected.iter().any(|it| states == **it), "{states:?}");
    watch.child.kill().await.unwrap();
}

/// The server refused for lack of its database, and the command ended beside a server that had it.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_on_at_the_server_that_has_its_database() {
    let database = Cluster::shared().database().await;
    let proxy = Proxy::start(database.cluster.socket());
    let addresses = [database.address_at(proxy.socket()), database.address()];
    let site = Site::of(pair_at(&addresses).await);
    let alice = site.sign_in("alice", &site.both()).await;
    let laptop = site.sign_in_on("laptop", "alice", &site.both()).await;
    let dave = site.sign_in("dave", &site.both()).await;
    let bob = site.sign_in("bob", &site.both()).await;
    let asker = site.daemons[0].user("bob", &["oncall"]);
    let request = asker.request(ask("prod")).await;
    let before = alice.json(&["pass", "--role", "shell"]).await;

    let nowhere = files::folder();
    proxy.lead_to(nowhere.path());
    proxy.cut_after_commit();
    let after = alice.json(&["pass", "--role", "shell"]).await;
    assert!(proxy.has_cut());
    assert!(after["serial"].as_u64() > before["serial"].as_u64());
    // The next command begins there, and waits for no refusal of the first server.
    let refused = refusals(&site.daemons[0]).await;
    assert!(refused > 0, "the pass before was");
    alice.json(&["pass", "--role", "shell"]).await;
    assert_eq!(refusals(&site.daemons[0]).await, refused);
    // A decision is looked at first, by a call that may be made twice.
    let approve = ["requests", "approve", &request.id.to_string()];
    dave.run(&approve).await.exits("dave approves", 0);
    let asked = [
        "pass", "--role", "prod", "--reason", "INC-8", "--wait", "0s",
    ];
    bob.run(&asked).await.exits("bob asks", 5);
    let asked = ["pass", "--role", "shell", "--reason", "INC-9"];
    laptop
        .run(&asked)
        .await
        .exits("alice asks with a reason", 0);
}

/// Its connections stay open, as those of a machine without power do.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_moves_on_from_a_server_that_hangs() {
    let database = Cluster::shared().database().await;
    let site = Site::start(&database).await;
    let dave = site.sign_in("dave", &site.both()).await;
    let b = &site.daemons[1];
    let bob = b.user("bob", &["oncall"]);
    let mut watch = Running::start(dave.command(&WATCH));
    let first = bob.request(ask("prod")).await;
    assert_eq!(watch.prints().await["id"], first.id);

    // The watch is at the first address.
    signal(site.daemons[0].process.0.id(), "STOP");
    bob.decide(Verb::Cancel, &first).await.unwrap();
    assert_eq!(watch.prints().await["state"], "cancelled");
    watch.child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_at_once_what_another_one_has_recorded() {
    let database = Cluster::shared().database().await;
    let [a, b] = pair(&database).await;
    let lead = b.user("dave", &["sre-lead"]);
    for _ in 0..10 {
        let bob = a.user("bob", &["oncall"]);
        let request = bob.request(ask("prod")).await;
        // No time passes between the two servers.
        let seen = lead.view(request.id).await.unwrap();
        assert_eq!(seen.state(), State::Pending);
        lead.approve(&seen).await.unwrap();
        let redeemed = bob.redeem(&request, ask("prod")).await.unwrap();
        assert!(redeemed.serial > request.id);
        let spent = bob.over(&b.api).redeem(&request, ask("prod")).await;
        assert!(spent.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_named_by_other_addresses_keeps_what_is_known_of_it() {
    let database = Cluster::shared().database().await;
    let site = Site::start(&database).await;
    let [a, b] = &site.daemons;
    let alice = site.sign_in("alice", &a.files.url()).await;
    let folders = || fs::read_dir(alice.file("servers")).unwrap().count();
    assert_eq!(folders(), 1);
    // The second address joins, and the first one leaves.
    for server in [site.both(), b.files.url()] {
        let terminal = site.sign_in("alice", &server).await;
        terminal.json(&["roles"]).await;
        assert_eq!(folders(), 1, "{server}: one server has one folder");
        let known = site.terminal("alice").json(&["status"]).await;
        assert_eq!(known["signed_in"], true, "{known}");
    }
}
