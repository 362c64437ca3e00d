//! Two replicas on one ledger.

use daypass::ledger::{Event, LedgerState};
use tokio::task::JoinSet;

use super::{
    cluster::Cluster,
    testing::{NOW, Replica, leaves, staged, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_of_two_replicas_get_an_index_each_and_none_is_left_out() {
    let database = Cluster::shared().database().await;
    let (first, second) = (Replica::new(), Replica::new());
    let stores = [
        first.open(&database).await.unwrap(),
        second.open(&database).await.unwrap(),
    ];
    let mut callers = JoinSet::new();
    for number in 0..200 {
        let store = stores[number as usize % 2].clone();
        callers.spawn(async move {
            let mut indices = Vec::new();
            for round in 0..3 {
                let index = store.record(staged(number * 10 + round), NOW).await;
                indices.push(index.unwrap());
            }
            indices
        });
    }
    let mut indices = callers.join_all().await.concat();
    indices.sort_unstable();
    assert_eq!(indices, (2..602).collect::<Vec<_>>());
    until(async || stores.iter().all(|store| store.size() == 602)).await;
    let [first, second] = [leaves(&stores[0]).await, leaves(&stores[1]).await];
    assert_eq!(first, second);
    for (index, leaf) in (0..).zip(&first) {
        assert_eq!(Event::parse(leaf).unwrap().index, index);
    }
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_one_replica_reaches_the_others_without_a_write_of_theirs() {
    let database = Cluster::shared().database().await;
    let (first, second) = (Replica::new(), Replica::new());
    let writing = first.open(&database).await.unwrap();
    let reading = second.open(&database).await.unwrap();
    for number in 0..5 {
        let index = writing.record(staged(number), NOW).await.unwrap();
        until(async || reading.size() > index).await;
        let entries = reading.entries(index, 1).await.unwrap();
        assert_eq!(Event::parse(&entries[0].1).unwrap().what, staged(number));
    }
}

#[tokio::test]
async fn a_write_sees_what_another_replica_committed_just_before() {
    let database = Cluster::shared().database().await;
    let (first, second) = (Replica::new(), Replica::new());
    let one = first.open(&database).await.unwrap();
    let other = second.open(&database).await.unwrap();
    for number in 0..20 {
        let before = one.record(staged(number), NOW).await.unwrap();
        let compose = move |_: &LedgerState| Ok(staged(100 + number));
        let event = other.compose(compose, NOW).await.unwrap();
        assert_eq!(event.index, before + 1);
    }
}

#[tokio::test]
async fn a_new_replica_and_one_that_was_away_take_over_the_whole_ledger() {
    let database = Cluster::shared().database().await;
    let (first, second) = (Replica::new(), Replica::new());
    let one = first.open(&database).await.unwrap();
    let other = second.open(&database).await.unwrap();
    other.close().await;
    for number in 0..50 {
        one.record(staged(number), NOW).await.unwrap();
    }
    let other = second.open(&database).await.unwrap();
    assert_eq!(other.size(), 53);
    let third = Replica::new().open(&database).await.unwrap();
    assert_eq!(third.size(), 54);
    assert_eq!(one.record(staged(99), NOW).await.unwrap(), 54);
}

#[tokio::test]
async fn a_folder_takes_one_daemon_also_when_the_ledger_is_elsewhere() {
    let database = Cluster::shared().database().await;
    let replica = Replica::new();
    let store = replica.open(&database).await.unwrap();
    let refused = replica.refusal(&database.address()).await;
    assert!(refused.contains("in use by another"), "{refused}");
    store.close().await;
    replica.open(&database).await.unwrap();
}
