//! Lost connections, a lost server, and a database that another program changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use daypass::{
    ledger::Event,
    store::{Error, Store},
};
use tokio::task::JoinSet;

use super::{
    cluster::{Cluster, Database},
    proxy::Proxy,
    testing::{NOW, Replica, leaves, staged, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_found_and_acknowledged_once() {
    let database = Cluster::shared().database().await;
    let proxy = Proxy::start(database.cluster.socket());
    let (first, second) = (Replica::new(), Replica::new());
    let store = first
        .open_at(&database.address_at(proxy.socket()))
        .await
        .unwrap();
    let other = second.open(&database).await.unwrap();
    for round in 0..5 {
        let before = other.record(staged(1000 + round), NOW).await.unwrap();
        proxy.cut_after_commit();
        assert_eq!(store.record(staged(round), NOW).await.unwrap(), before + 1);
        assert!(proxy.has_cut());
        let after = other.record(staged(2000 + round), NOW).await.unwrap();
        assert_eq!(after, before + 2);
        store.record(staged(3000 + round), NOW).await.unwrap();
    }
    until(async || store.size() == other.size()).await;
    assert_eq!(leaves(&store).await, leaves(&other).await);
}

/// Less than the deadline of one append. Each round takes about four seconds.
const FORGOTTEN: Duration = Duration::from_secs(9);

/// After a firewall had forgotten the connections, the next reads took five seconds for each of
/// them, and a pass ten.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_network_forgot_cost_seconds_and_no_call_fails() {
    let database = Cluster::shared().database().await;
    let proxy = Proxy::start(database.cluster.socket());
    let replica = Replica::new();
    let address = database.address_at(proxy.socket());
    let store = replica.open_at(&address).await.unwrap();
    for round in 1..4 {
        store.record(staged(round), NOW).await.unwrap();
        // Several readers, so that several connections are idle.
        let mut readers = JoinSet::new();
        for _ in 0..8 {
            let store = store.clone();
            readers.spawn(async move { store.entries(0, 1000).await });
        }
        for read in readers.join_all().await {
            read.unwrap();
        }
        proxy.forget();
        let begun = Instant::now();
        store.entries(0, 1000).await.unwrap();
        let read = begun.elapsed();
        store.record(staged(10 + round), NOW).await.unwrap();
        let both = begun.elapsed();
        eprintln!("a read after {read:.1?}, and an append after {both:.1?}");
        assert!(both < FORGOTTEN, "{read:?}, {both:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_restarted_is_found_again_and_nothing_is_lost() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let (first, second) = (Replica::new(), Replica::new());
    let stores = [
        first.open(&database).await.unwrap(),
        second.open(&database).await.unwrap(),
    ];
    let last = stores[0].record(staged(1), NOW).await.unwrap();
    cluster.stop();
    let (one, other) = tokio::join!(
        stores[0].record(staged(2), NOW),
        stores[1].record(staged(2), NOW)
    );
    for refused in [one, other] {
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    cluster.resume();
    for store in &stores {
        until(async || store.record(staged(3), NOW).await.is_ok()).await;
    }
    until(async || stores[0].size() == last + 3).await;
    assert_eq!(leaves(&stores[0]).await.len() as u64, last + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_while_the_server_restarts() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let replica = Replica::new();
    let store = replica.open(&database).await.unwrap();
    store.record(staged(1), NOW).await.unwrap();
    let before = store.entries(0, 1000).await.unwrap();
    cluster.crash();
    let reader = store.clone();
    let read = tokio::spawn(async move { reader.entries(0, 1000).await });
    // A read that does not wait has failed by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.resume();
    assert_eq!(read.await.unwrap().unwrap(), before);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_wait_while_the_server_restarts_and_nothing_is_recorded_twice() {
    let cluster = Arc::new(Cluster::start());
    let database = cluster.database().await;
    let (first, second) = (Replica::new(), Replica::new());
    let stores = [
        first.open(&database).await.unwrap(),
        second.open(&database).await.unwrap(),
    ];
    let is_over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (store, is_over) = (stores[caller % 2].clone(), is_over.clone());
        callers.spawn(async move {
            let mut recorded = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let number = 1000 * caller as u64 + recorded.len() as u64;
                let index = store.record(staged(number), NOW).await;
                recorded.push((number, index));
            }
            recorded
        });
    }
    let size = async || stores[0].size();
    for _ in 0..3 {
        let before = size().await;
        until(async || size().await > before + 50).await;
        cluster.crash();
        cluster.resume();
    }
    let before = size().await;
    until(async || size().await > before + 50).await;
    is_over.store(true, Ordering::SeqCst);
    let recorded = callers.join_all().await.concat();
    // A replica hears of the other's last events a moment later.
    until(async || stores[0].size() >= stores[1].size()).await;
    let leaves = leaves(&stores[0]).await;
    let kinds: Vec<_> = leaves
        .iter()
        .map(|leaf| Event::parse(leaf).unwrap().what)
        .collect();
    for (number, index) in recorded {
        let times = kinds.iter().filter(|kind| **kind == staged(number)).count();
        match index {
            Ok(index) => assert_eq!((times, &kinds[index as usize]), (1, &staged(number))),
            // Another replica was faster after the crash, so it was not made again.
            Err(Error::Unavailable(why)) => {
                assert!(why.contains("nothing was recorded"), "{why}");
                assert_eq!(times, 0, "{number}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_replica_that_is_gone_without_a_word_stops_no_other() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    let staying = runtime();
    let database = staying.block_on(async { Cluster::shared().database().await });
    let (first, second) = (Replica::new(), Replica::new());
    let stays = staying.block_on(first.open(&database)).unwrap();
    let leaving = runtime();
    let leaves = leaving.block_on(second.open(&database)).unwrap();
    for number in 0..100 {
        let store = leaves.clone();
        leaving.spawn(async move { store.record(staged(number), NOW).await });
    }
    let acknowledged = leaving.block_on(leaves.record(staged(500), NOW)).unwrap();
    drop(leaves);
    leaving.shutdown_background();
    let index = staying.block_on(stays.record(staged(501), NOW)).unwrap();
    assert!(index > acknowledged);
}

/// Every write is refused for good, because the ledger is not the one that was signed.
async fn is_stopped(store: &Store, case: &str) {
    for _ in 0..3 {
        let refused = store.record(staged(1), NOW).await;
        assert!(
            matches!(refused, Err(Error::Tampered(_))),
            "{case}: {refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_another_program_changed_stops_every_replica_for_good() {
    let cases = [
        "INSERT INTO ledger SELECT 7, event, hashes FROM ledger WHERE position = 6",
        "DELETE FROM ledger WHERE position = 6",
        "UPDATE ledger SET hashes = decode('00', 'hex') WHERE position = 6",
        "DELETE FROM head",
        "UPDATE head SET note = 'x'",
        "UPDATE head SET note = (SELECT note FROM old_head); DELETE FROM ledger WHERE position > 4",
    ];
    for sql in cases {
        let database = Cluster::shared().database().await;
        let (first, second) = (Replica::new(), Replica::new());
        let one = first.open(&database).await.unwrap();
        let other = second.open(&database).await.unwrap();
        fill(&database, &one).await;
        until(async || other.size() == one.size()).await;
        database.run_sql(sql).await;
        is_stopped(&one, sql).await;
        is_stopped(&other, sql).await;
        let refused = Replica::new().open(&database).await;
        // A replica that knew nothing cannot notice an older ledger that is whole.
        let is_whole = sql.contains("old_head");
        assert_eq!(
            matches!(refused, Err(Error::Tampered(_) | Error::Start(_))),
            !is_whole,
            "{sql}: {refused:?}"
        );
    }
}

/// Seven events, and the signed head after the fifth in a table of the attacker's.
async fn fill(database: &Database, store: &Store) {
    for number in 2..5 {
        store.record(staged(number), NOW).await.unwrap();
    }
    database
        .run_sql("CREATE TABLE old_head AS SELECT note FROM head")
        .await;
    for number in 5..7 {
        store.record(staged(number), NOW).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_lost_the_ledger_is_refused_by_a_replica_that_knew_it() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let replica = Replica::new();
    let store = replica.open(&database).await.unwrap();
    store.record(staged(1), NOW).await.unwrap();
    store.close().await;
    let empty = cluster.database().await;
    let refused = replica.refusal(&empty.address()).await;
    let words = [
        "knows a ledger of 2 events",
        "Nothing was written",
        "Correct the address",
        "restore it",
    ];
    for words in words {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert_eq!(replica.open(&database).await.unwrap().size(), 3);
}
