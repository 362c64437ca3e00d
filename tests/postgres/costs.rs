//! What a server asks of PostgreSQL: while it appends, and while nothing happens.

use std::time::{Duration, Instant};

use daypass::dev::receiver::Receiver;
use tokio::{task::JoinSet, time::sleep};

use super::{
    cluster::Cluster,
    daemons::pair_with,
    proxy::Proxy,
    testing::{NOW, Replica, staged, until},
};

/// The longest wait until what a start makes servers ask has ended.
const SETTLED: Duration = Duration::from_secs(90);

/// The time for which the servers are watched.
const QUIET: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn an_append_of_any_size_makes_three_round_trips() {
    let database = Cluster::shared().database().await;
    let proxy = Proxy::start(database.cluster.socket());
    let (first, second) = (Replica::new(), Replica::new());
    let address = database.address_at(proxy.socket());
    let stores = [
        first.open_at(&address).await.unwrap(),
        second.open_at(&address).await.unwrap(),
    ];
    // The statements are prepared now.
    for store in &stores {
        store.record(staged(0), NOW).await.unwrap();
    }
    // So that no append has to read what the other replica appended.
    until(async || stores[0].size() == stores[1].size()).await;
    proxy.traffic().take_appends();
    for number in 1..20 {
        stores[0].record(staged(number), NOW).await.unwrap();
    }
    assert_eq!(proxy.traffic().take_appends(), [3; 19]);
    let mut callers = JoinSet::new();
    for number in 100..300 {
        let store = stores[0].clone();
        callers.spawn(async move { store.record(staged(number), NOW).await.unwrap() });
    }
    callers.join_all().await;
    let trips = proxy.traffic().take_appends();
    assert!(
        trips.len() < 200 && trips.iter().all(|trips| *trips == 3),
        "{trips:?}"
    );
    // One more to read what the other replica appended.
    stores[1].record(staged(1000), NOW).await.unwrap();
    for number in 2000..2010 {
        stores[0].record(staged(number), NOW).await.unwrap();
        stores[1].record(staged(number + 100), NOW).await.unwrap();
    }
    let trips = proxy.traffic().take_appends();
    assert!(trips.iter().all(|trips| *trips <= 4), "{trips:?}");
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_quiet_servers_with_a_webhook_ask_the_database_little() {
    let database = Cluster::shared().database().await;
    let receiver = Receiver::start().await.unwrap();
    let section = format!(
        "[[webhook]]\nname = \"test\"\nurl = \"{}\"\nsecret_file = \"test.secret\"\n\
         networks = [\"127.0.0.1/32\"]\n",
        receiver.url()
    );
    let proxy = Proxy::start(database.cluster.socket());
    let address = database.address_at(proxy.socket());
    let secrets = [("test.secret", receiver.secret())];
    let _pair = pair_with(&[address.clone(), address], &section, &secrets).await;
    let lease = async || {
        database
            .number("SELECT coalesce(max(until), 0) FROM mailbox")
            .await
    };
    until(async || lease().await > 0).await;
    // What follows a start, such as the first reading of the ledger.
    let (mut flat, started) = (0, Instant::now());
    while flat < 2 {
        assert!(started.elapsed() < SETTLED, "the servers are not quiet");
        let before = proxy.traffic().trips();
        sleep(Duration::from_secs(1)).await;
        let is_flat = proxy.traffic().trips() - before <= 12;
        flat = if is_flat { flat + 1 } else { 0 };
    }
    let (before, begun) = (proxy.traffic().trips(), Instant::now());
    let (mut last, mut renewals) = (lease().await, 0);
    while begun.elapsed() < QUIET {
        sleep(Duration::from_millis(200)).await;
        let now = lease().await;
        renewals += usize::from(now != last);
        last = now;
    }
    // Each looks for events, and one of them for the lease, once in a second. The deliverer keeps
    // it once in three. A pool tests its connections before and after each use. Eight seconds may
    // have nine turns.
    let trips = proxy.traffic().trips() - before;
    let seconds = begun.elapsed().as_secs() as usize;
    eprintln!(
        "{trips} round trips and {renewals} renewals in {:?}",
        begun.elapsed()
    );
    assert!(trips <= 6 * (seconds + 1) + 6, "{trips} in {seconds} s");
    assert!(
        (1..=seconds / 3 + 2).contains(&renewals),
        "{renewals} in {seconds} s"
    );
}
