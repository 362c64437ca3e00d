//! Replicas of one ledger that is handed over to another key: those that have it go on, and one
//! that lacks it stops and says which.

use daypass::{
    ledger::keyring::Keyring,
    store::{Error, Store},
};

use super::{
    cluster::{Cluster, Database},
    support::handover::{hand_over, verifier_of},
    testing::{NOW, Replica, signer, signer_of, staged, until},
};

const SERVER: &str = "daypass.example.com";

async fn open(replica: &Replica, database: &Database, keys: Keyring) -> Result<Store, Error> {
    replica.open_as(&database.address(), keys).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_with_the_next_key_follow_a_handover_and_one_without_it_stops() {
    let database = Cluster::shared().database().await;
    let both = || Keyring::new(signer(), Some(signer_of(SERVER, 8))).unwrap();
    let new = verifier_of(&signer_of(SERVER, 8), &signer());
    let replicas = [Replica::new(), Replica::new(), Replica::new()];
    let first = open(&replicas[0], &database, both()).await.unwrap();
    let second = open(&replicas[1], &database, both()).await.unwrap();
    let behind = open(&replicas[2], &database, signer().into())
        .await
        .unwrap();
    let index = hand_over(&first, SERVER, &new, NOW).await.unwrap();
    until(async || second.verifier() == new).await;
    assert!(second.record(staged(1), NOW).await.unwrap() > index);
    assert!(first.record(staged(2), NOW).await.unwrap() > index);
    for _ in 0..2 {
        let stopped = behind.record(staged(3), NOW).await.unwrap_err().to_string();
        assert!(
            stopped.contains(&new.to_string()) && stopped.contains("next_key"),
            "{stopped}"
        );
    }
    behind.close().await;
    let refused = open(&replicas[2], &database, signer().into()).await;
    assert!(refused.unwrap_err().to_string().contains(&new.to_string()));
    // One after the other, the old key is taken out.
    second.close().await;
    let second = open(&replicas[1], &database, signer_of(SERVER, 8).into())
        .await
        .unwrap();
    second.record(staged(4), NOW).await.unwrap();
    first.record(staged(5), NOW).await.unwrap();
    let joined = open(&replicas[2], &database, both()).await.unwrap();
    joined.record(staged(6), NOW).await.unwrap();
    for store in [first, second, joined] {
        assert_eq!(
            (store.handovers().len(), store.verifier()),
            (1, new.clone())
        );
        store.close().await;
    }
}
