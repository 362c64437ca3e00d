//! A network that loses every packet, as after a change of a firewall, or before a machine without
//! power: nothing is refused, and no connection ends.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    clients::Site,
    cluster::Cluster,
    daemons::{Daemon, pair_at, prepared, start_all},
    network::{DATABASE, Network, Relay},
    support::{api::ask, command::Done, running::Running, server::ServerFiles},
    testing::until,
};

/// The bound for a call to a server whose database is lost. A client waits for 30 seconds.
const REFUSED: Duration = Duration::from_secs(28);

/// The bound for the calls after it.
const AGAIN: Duration = Duration::from_secs(25);

/// The bound for a server whose database another one has locked and lost.
const OTHERS: Duration = Duration::from_secs(20);

/// The bound for a command beside an address that is lost. It takes half a second more than others.
const CONNECTS: Duration = Duration::from_secs(30);

/// The bound for a wait on a connection that is lost, and the call that follows.
const MOVES_ON: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_its_database_answers_in_time_and_others_go_on() {
    let test = "black_hole::a_server_that_loses_its_database_answers_in_time_and_others_go_on";
    let Some(network) = Network::of(test) else {
        return;
    };
    let database = Cluster::shared().database().await;
    let _relay = Relay::start(&network, database.cluster.socket());
    let name = &database.name;
    let far = format!("postgres://{name}:geheim@{DATABASE}/{name}");
    let [a, b] = pair_at(&[far, database.address()]).await;
    let [at_a, at_b] = [&a, &b].map(|daemon| daemon.user("alice", &["sre"]));
    at_a.issue(ask("shell")).await.unwrap();
    at_b.issue(ask("shell")).await.unwrap();

    network.cut("data");
    let begun = Instant::now();
    let refused = async {
        let refused = at_a.issue(ask("shell")).await.unwrap_err();
        (refused, begun.elapsed())
    };
    let others = async {
        for _ in 0..3 {
            at_b.issue(ask("shell")).await.unwrap();
        }
        begun.elapsed()
    };
    let ((refused, took), others) = tokio::join!(refused, others);
    assert_eq!(refused.reason, "STORE_UNAVAILABLE", "{refused:?}");
    assert!(refused.message.contains("run the same command again"));
    assert!(took < REFUSED, "{took:?}");
    assert!(others < OTHERS, "{others:?}");
    until(async || ready(&a).await == 503).await;
    assert_eq!(ready(&b).await, 200);
    // Later callers wait for one attempt to connect.
    let again = Instant::now();
    at_a.issue(ask("shell")).await.unwrap_err();
    let again = again.elapsed();
    assert!(again < AGAIN, "{again:?}");
    eprintln!("refused after {took:.1?}, then {again:.1?}; the other server: {others:.1?}");

    network.heal("data");
    let healed = until(async || at_a.issue(ask("shell")).await.is_ok()).await;
    eprintln!("again after {healed:.1?}");
    until(async || ready(&a).await == 200).await;
    assert_eq!(a.kinds().await, b.kinds().await);
}

async fn ready(daemon: &Daemon) -> u16 {
    daemon.get("/readyz").await.0
}

/// A daemon that listens at every address.
fn is_public(files: &ServerFiles) {
    let configuration = files.configuration();
    let text = fs::read_to_string(&configuration).unwrap();
    let text = text.replace("listen = \"127.0.0.1:", "listen = \"0.0.0.0:");
    fs::write(configuration, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_lose_one_server_go_on_at_the_other() {
    let test = "black_hole::clients_that_lose_one_server_go_on_at_the_other";
    let Some(network) = Network::of(test) else {
        return;
    };
    let database = Cluster::shared().database().await;
    let files = prepared(&[database.address(), database.address()], "", &[]).await;
    files.iter().for_each(is_public);
    let [a, b] = start_all(files).await;
    let second = b.files.url().replace("localhost", "second.example");
    let both = format!("{},{second}", a.files.url());
    let site = Site::of([a, b]);
    let [alice, bob, dave] = ["alice", "bob", "dave"];
    let alice = site.sign_in_on("alice", alice, &both).await;
    let bob = site.sign_in_on("bob", bob, &both).await;
    let dave = site.sign_in_on("dave", dave, &both).await;

    let asked = [
        "pass", "--role", "prod", "--reason", "INC-7", "--wait", "10m", "--format", "json",
    ];
    let mut wait = Running::start(network.away(&bob, &asked));
    wait.says("waiting for approval").await;
    let list = ["requests", "--format", "json"];
    let listed = Done::of(network.away(&dave, &list)).await.success();
    let id = listed["requests"][0]["id"].to_string();

    network.cut("first");
    let begun = Instant::now();
    let pass = ["pass", "--role", "shell", "--format", "json"];
    Done::of(network.away(&alice, &pass)).await.success();
    let connected = begun.elapsed();
    assert!(connected < CONNECTS, "{connected:?}");
    let approve = ["requests", "approve", &id];
    let approved = Done::of(network.away(&dave, &approve)).await;
    approved.exits("dave approves", 0);
    let ended = timeout(MOVES_ON, wait.child.wait()).await;
    let ended = ended.expect("bob's wait ends").unwrap();
    assert_eq!(ended.code(), Some(0), "{:?}", wait.err.next_line().await);
    assert_eq!(wait.prints().await["role"], "prod");
    let moved = begun.elapsed();
    eprintln!("a new command took {connected:.1?}; the wait moved on after {moved:.1?}");
}
