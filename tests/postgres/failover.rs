//! A primary that is lost, and its standby.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use daypass::store::Error;

use tokio::task::JoinSet;

use super::{
    clients::Site,
    cluster::{Cluster, Database},
    daemons::{asking, assert_all_recorded, pair_at},
    proxy::Proxy,
    support::{api::ask, command::Terminal, ledger},
    testing::{NOW, Replica, staged, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_standby_has_not_is_not_acknowledged() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let replica = Replica::new();
    let store = replica.open(&database).await.unwrap();
    let standby = cluster.standby().await;
    store.record(staged(1), NOW).await.unwrap();
    standby.signal_receiver("-STOP");
    let refused = store.record(staged(2), NOW).await;
    standby.signal_receiver("-CONT");
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    until(async || store.record(staged(3), NOW).await.is_ok()).await;
    store.close().await;
}

/// Ends each wait for the standby while `attempt` lasts.
async fn interrupted<T>(
    database: &Database,
    function: &str,
    attempt: impl Future<Output = T>,
) -> T {
    let sql = format!(
        "SELECT {function}(pid) FROM pg_stat_activity \
         WHERE wait_event = 'SyncRep' AND application_name = 'daypass'"
    );
    let interrupt = async {
        loop {
            database.run_sql(&sql).await;
        }
    };
    tokio::select! {
        done = attempt => done,
        () = interrupt => unreachable!("it goes on for ever"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_wait_for_the_standby_is_cancelled_is_not_acknowledged() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let replica = Replica::new();
    let store = replica.open(&database).await.unwrap();
    let standby = cluster.standby().await;
    for function in ["pg_cancel_backend", "pg_terminate_backend"] {
        until(async || store.record(staged(1), NOW).await.is_ok()).await;
        standby.signal_receiver("-STOP");
        let refused = interrupted(&database, function, store.record(staged(2), NOW)).await;
        standby.signal_receiver("-CONT");
        let refused = refused.expect_err(function);
        assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
        // Not for want of an answer: that is the test above.
        assert!(!refused.to_string().contains("no answer"), "{refused}");
    }
    until(async || store.record(staged(3), NOW).await.is_ok()).await;
    store.close().await;
    // What was not acknowledged may be there, and the ledger goes on after it.
    replica.open(&database).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_standby_without_the_last_commits_stops_the_replica_that_knows_them() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let proxy = Proxy::start(database.cluster.socket());
    let replica = Replica::new();
    let address = database.address_at(proxy.socket());
    let store = replica.open_at(&address).await.unwrap();
    let standby = cluster.standby().await;
    store.record(staged(1), NOW).await.unwrap();
    // The operator takes the standby out of the commits.
    database
        .run_sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        .await;
    database.run_sql("SELECT pg_reload_conf()").await;
    standby.signal_receiver("-STOP");
    until(async || store.record(staged(2), NOW).await.is_ok()).await;
    cluster.crash();
    // What the receiver has not read yet is lost with it.
    standby.crash();
    standby.resume();
    standby.promote().await;
    proxy.lead_to(standby.socket());
    until(async || matches!(store.record(staged(3), NOW).await, Err(Error::Tampered(_)))).await;
    store.close().await;
    let refused = replica.refusal(&address).await;
    assert!(refused.contains("were signed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_hosts_in_the_address_servers_find_the_new_primary_themselves() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let standby = cluster.standby().await;
    // The standby first: it answers and must not be taken.
    let hosts = format!(
        "{},{}",
        standby.socket().display(),
        cluster.socket().display()
    );
    let address = database.address_at(std::path::Path::new(&hosts));
    let [a, b] = pair_at(&[address.clone(), address]).await;
    let users = [&a, &b].map(|daemon| daemon.user("alice", &["sre"]));
    for user in &users {
        user.issue(ask("shell")).await.unwrap();
    }
    let carol = a.user("carol", &["security"]);
    let before = a.api.ledger_size(&carol.token).await;
    cluster.crash();
    standby.promote().await;
    for user in &users {
        until(async || user.issue(ask("shell")).await.is_ok()).await;
    }
    // Readers too.
    for daemon in [&a, &b] {
        let carol = daemon.user("carol", &["security"]);
        let export = ledger::assert_verifies(&daemon.api, &carol.token).await;
        let events = export.split(|byte| *byte == b'\n').count() as u64;
        assert!(events > before, "{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_load_loses_no_acknowledged_pass() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let proxies = [(); 2].map(|()| Proxy::start(cluster.socket()));
    let addresses = proxies
        .each_ref()
        .map(|proxy| database.address_at(proxy.socket()));
    let [a, b] = pair_at(&addresses).await;
    let standby = cluster.standby().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut asks = Vec::new();
    for number in 0..8 {
        let user = [&a, &b][number % 2].user(&format!("user-{number}"), &["sre"]);
        asks.push(asking(user, is_over.clone()));
    }
    let size = async |daemon: &super::daemons::Daemon| {
        let carol = daemon.user("carol", &["security"]);
        daemon.api.ledger_size(&carol.token).await
    };
    let before = size(&a).await;
    until(async || size(&a).await > before + 60).await;
    cluster.crash();
    standby.promote().await;
    for proxy in &proxies {
        proxy.lead_to(standby.socket());
    }
    for daemon in [&a, &b] {
        let before = size(daemon).await;
        until(async || size(daemon).await > before + 20).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let mut serials = Vec::new();
    for one in asks {
        serials.extend(one.await.unwrap());
    }
    assert!(serials.len() > 60, "{}", serials.len());
    for daemon in [&a, &b] {
        assert_all_recorded(daemon, serials.clone()).await;
    }
}

/// Time without a primary, until the operator's program has noticed it.
const WITHOUT: Duration = Duration::from_secs(1);

/// A server lets its callers wait for six seconds. If the cluster had a primary again this long
/// after the old one crashed, no command may fail.
const SOON: Duration = Duration::from_secs(4);

/// What the commands of one terminal got.
#[derive(Default)]
struct Got {
    serials: Vec<u64>,
    refused: usize,
}

/// Runs `daypass pass` until it is over. The only refusal that it takes is the one for want of the
/// database.
async fn passes(terminal: Terminal, is_over: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Got {
    let mut got = Got::default();
    while !is_over.load(Ordering::SeqCst) {
        let pass = terminal.run_json(&["pass", "--role", "shell"]).await;
        if pass.code == 6 {
            assert_eq!(pass.error()["reason"], "STORE_UNAVAILABLE", "{pass:?}");
            got.refused += 1;
            continue;
        }
        let pass = pass.exits("a pass", 0).json();
        got.serials.push(pass["serial"].as_u64().unwrap());
        done.fetch_add(1, Ordering::SeqCst);
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_wait_for_the_new_primary_and_each_gets_one_pass() {
    // A machine that is busy promotes slowly, or stalls between two looks of a server, which says
    // nothing about the commands. If none waited for the new primary, all rounds had refusals.
    let mut rounds = Vec::new();
    for _ in 0..8 {
        let (without, refused) = commands_beside_a_failover().await;
        if without < SOON && refused == 0 {
            return;
        }
        rounds.push((without, refused));
    }
    panic!("commands were refused, or no standby was promoted within {SOON:?}: {rounds:?}");
}

/// Commands of four machines while the primary fails over. Returns how long there was none, and how
/// many commands were refused.
async fn commands_beside_a_failover() -> (Duration, usize) {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let standby = cluster.standby().await;
    let hosts = format!(
        "{},{}",
        cluster.socket().display(),
        standby.socket().display()
    );
    let address = database.address_at(std::path::Path::new(&hosts));
    let site = Site::of(pair_at(&[address.clone(), address]).await);
    let (is_over, done) = (Arc::default(), Arc::<AtomicUsize>::default());
    let mut commands = JoinSet::new();
    for number in 0..4 {
        let machine = format!("machine-{number}");
        // Half of them ask the first server, and half the second.
        let url = site.daemons[number % 2].files.url();
        let terminal = site.sign_in_on(&machine, "alice", &url).await;
        commands.spawn(passes(terminal, Arc::clone(&is_over), done.clone()));
    }
    until(async || done.load(Ordering::SeqCst) >= 8).await;
    let crashed = Instant::now();
    cluster.crash();
    tokio::time::sleep(WITHOUT).await;
    standby.promote().await;
    let without = crashed.elapsed();
    let before = done.load(Ordering::SeqCst);
    until(async || done.load(Ordering::SeqCst) >= before + 8).await;
    is_over.store(true, Ordering::SeqCst);
    let (mut serials, mut refused) = (Vec::new(), 0);
    for got in commands.join_all().await {
        serials.extend(got.serials);
        refused += got.refused;
    }
    let daemon = &site.daemons[0];
    let carol = daemon.user("carol", &["security"]);
    let events = daemon.api.events(&carol.token, 0).await;
    let issued = events.iter().filter(|event| event["type"] == "issued");
    // What was refused after its commit got no answer may have been recorded.
    let issued = issued.count();
    assert!(
        (serials.len()..=serials.len() + refused).contains(&issued),
        "{issued} for {} commands, and {refused} refused ones",
        serials.len()
    );
    assert_all_recorded(daemon, serials).await;
    (without, refused)
}
